"""Long description: as detailed as the facts allow, in the order of the clip."""

from valley.instruct.tasks._written import WrittenTask, has_words

TASK = WrittenTask(
    __file__,
    "everything that is known, in the order of the clip",
    "one turn. The person asks for a detailed description of the {medium}; the assistant describes it as "
    "fully as the facts allow, in the order in which things happen: who and what is seen, what they look "
    "like, what they do, where, and what changes. 150 to 300 words where there is enough to tell, fewer "
    "where there is not; stop when everything is told. No list, no headings, no guesses about moods or "
    "reasons.",
    has_words,
    max_tokens=1200,
)
