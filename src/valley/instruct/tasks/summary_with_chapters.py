"""Summary with chapters: the whole in two sentences, then its parts with times and titles."""

from valley.instruct.evidence import Evidence
from valley.instruct.tasks._written import WrittenTask, has_timed_words


def _suits(evidence: Evidence) -> bool:
    return has_timed_words(evidence, fewest=3)


TASK = WrittenTask(
    __file__,
    "the whole in two sentences, then chapters with times",
    "one turn. The person asks for a summary with chapters; the assistant answers with one or two "
    "sentences about the whole, and then two to eight chapters in their order, one a line: its times in "
    "seconds, such as '0.0-12.5 s', and a title of two to eight words. Chapters do not overlap, and begin "
    "and end where the facts let something new begin.",
    _suits,
    max_tokens=900,
)
