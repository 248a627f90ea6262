"""Turns: each a question with an answer, and no question asked twice in a conversation."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from valley.instruct.check import Refusal
from valley.instruct.evidence import Evidence
from valley.instruct.task import Draft
from valley.instruct.versions import content_version


class Turns:
    """See the module's first line."""

    name = "turns"
    help = "as many turns as wanted, no question twice"
    version = content_version(Path(__file__))
    cost = 0
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        del evidence
        if not draft.turns:
            return Refusal(self.name, "no_turns", "want at least one question and answer", 0)
        asked = [bare(turn.question) for turn in draft.turns]
        if len(set(asked)) < len(asked):
            twice = next(turn.question for n, turn in enumerate(draft.turns) if asked[n] in asked[:n])
            return Refusal(
                self.name, "repeated_question", f"asked twice: {twice!r}", len(asked) - len(set(asked))
            )
        same = [turn for turn in draft.turns if bare(turn.question) == bare(turn.answer)]
        if same:
            return Refusal(
                self.name, "echo", f"the answer repeats the question: {same[0].question!r}", len(same)
            )
        return None


def bare(text: str) -> str:
    """Give letters and digits alone, in lower case."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


CHECK = Turns()
