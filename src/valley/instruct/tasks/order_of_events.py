"""Order of events: which of two or more things comes first, or what comes after what."""

from valley.instruct.tasks._written import WrittenTask, has_timed_words

TASK = WrittenTask(
    __file__,
    "what comes before what",
    "one turn about the order of events. The person asks which of two or three events of the video comes "
    "first, or what happens right before or after another one; the question names the events in another "
    "order than that of the video, or leaves the asked one open. The assistant answers with the event, and "
    "says when each happens in seconds.",
    has_timed_words,
    max_tokens=500,
)
