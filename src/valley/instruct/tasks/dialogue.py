"""Dialogue: several rounds that build on each other, one of them about what cannot be seen."""

from valley.instruct.tasks._written import WrittenTask

TASK = WrittenTask(
    __file__,
    "three to six rounds that build on each other",
    "a conversation of exactly {rounds} turns. It begins with what is seen and goes on from there: later "
    "questions refer to earlier answers ('he', 'that', 'and then?') and ask about looks, actions, places, "
    "order, numbers or reasons. No question is asked twice, and no answer repeats an earlier one. In a "
    "conversation of four turns or more, exactly one question cannot be answered from the {medium}, and "
    "the assistant says so. Answers are one to three sentences.",
    rounds=(3, 6),
    max_tokens=1500,
)
