"""Unanswerable: a question that looks answerable, and an assistant who says that it cannot be seen."""

from valley.instruct.tasks._written import WrittenTask

TASK = WrittenTask(
    __file__,
    "a question that the clip does not answer",
    "one turn that cannot be answered. The person asks about something that fits the {medium} and might be "
    "known, such as a name, a place, a reason, a colour, a brand, or something outside of it, but on "
    "which the facts are silent; the question takes nothing for granted that is false. The assistant says "
    "plainly that this cannot be told from the {medium}, and may add what is seen instead, from the facts. "
    "It never guesses. List the facts that what is added rests on, or none.",
    max_tokens=400,
)
