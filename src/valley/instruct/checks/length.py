"""Length: each task's answers have their size; a question is no essay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from valley.instruct.check import Refusal
from valley.instruct.evidence import Evidence
from valley.instruct.languages import num_words
from valley.instruct.task import Draft
from valley.instruct.versions import content_version

ANSWER_WORDS: Mapping[str, tuple[int, int]] = {
    "short_caption": (3, 45),
    "long_description": (20, 450),
    "multi_shot_caption": (6, 500),
    "complex_reasoning": (8, 260),
    "summary_with_chapters": (10, 400),
    "dialogue": (1, 120),
}
"""Fewest and most words of an answer; three letters count as two words where words are not spaced."""

OTHER_ANSWERS = (1, 120)
QUESTION_WORDS = (2, 80)


class Length:
    """See the module's first line."""

    name = "length"
    help = "answers and questions of the task's size"
    version = content_version(Path(__file__))
    cost = 1
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        del evidence
        answers = ANSWER_WORDS.get(draft.task, OTHER_ANSWERS)
        for turn in draft.turns:
            for what, text, bounds in (
                ("question", turn.question, QUESTION_WORDS),
                ("answer", turn.answer, answers),
            ):
                count, (fewest, most) = num_words(text, draft.language), bounds
                if not fewest <= count <= most:
                    reason = f"{what}_too_{'short' if count < fewest else 'long'}"
                    return Refusal(
                        self.name, reason, f"{what}: want {fewest} to {most} words, got {count}", count
                    )
        return None


CHECK = Length()
