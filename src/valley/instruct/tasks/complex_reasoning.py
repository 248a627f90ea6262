"""Complex reasoning: a question whose answer takes more than one fact, or knowledge of the world."""

from valley.instruct.tasks._written import WrittenTask

TASK = WrittenTask(
    __file__,
    "a question that takes several steps to answer",
    "one turn that takes thought. The person asks why someone might do what they do, what is likely to "
    "follow, what would be needed, or what can be concluded; what is seen is not retold in the question. "
    "The assistant first says what in the {medium} matters, then reasons in two to five sentences, and "
    "marks a conclusion that is likely and not certain as such. The seen part rests on at least two facts "
    "where there are two.",
    max_tokens=900,
)
