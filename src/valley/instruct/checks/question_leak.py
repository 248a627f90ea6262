"""Question leak: a question that gives its answer away."""

from __future__ import annotations

from pathlib import Path

from valley.instruct.check import Refusal
from valley.instruct.checks.turns import bare
from valley.instruct.evidence import Evidence
from valley.instruct.languages import UNSPACED
from valley.instruct.task import Draft
from valley.instruct.versions import content_version
from valley.language_id import primary

MOST_SHARE = 0.85
FEWEST_WORDS = 4


class QuestionLeak:
    """See the module's first line."""

    name = "question_leak"
    help = "the question does not hold the answer"
    version = content_version(Path(__file__))
    cost = 6
    tasks: tuple[str, ...] = ("complex_reasoning", "causal_inference", "long_description", "short_caption")

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        del evidence
        for turn in draft.turns:
            asked, said = pieces(turn.question, draft.language), pieces(turn.answer, draft.language)
            if len(said) < FEWEST_WORDS:
                continue
            share = len(said & asked) / len(said)
            if share > MOST_SHARE:
                detail = f"{share:.0%} of the answer's words stand in the question already"
                return Refusal(self.name, "answer_in_question", detail, share)
        return None


def pieces(text: str, language: str) -> set[str]:
    """Give a text's words, or where words are not spaced its pairs of letters."""
    if primary(language) in UNSPACED:
        letters = bare(text)
        return {letters[k : k + 2] for k in range(len(letters) - 1)}
    return {word for word in map(bare, text.split()) if word}


CHECK = QuestionLeak()
