"""Short caption: a request in few words, and one sentence that says what is going on."""

from valley.instruct.tasks._written import WrittenTask

TASK = WrittenTask(
    __file__,
    "one sentence that says what is going on",
    "one turn. The person asks in their own words for a short caption of the {medium}; the assistant "
    "answers with a single sentence of 5 to 25 words that names who or what is seen and what happens.",
    max_tokens=300,
)
