"""Repetition: an answer that says the same words over and over, or the same as an earlier answer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from valley.instruct.check import Refusal
from valley.instruct.checks.turns import bare
from valley.instruct.evidence import Evidence
from valley.instruct.languages import UNSPACED
from valley.instruct.task import Draft
from valley.instruct.versions import content_version
from valley.language_id import primary

MOST_SHARE = 0.4
FEWEST_PIECES = 12
PIECE_WORDS, PIECE_LETTERS = 3, 6


class Repetition:
    """See the module's first line."""

    name = "repetition"
    help = "no loops, no answer given twice"
    version = content_version(Path(__file__))
    cost = 2
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        del evidence
        seen: set[str] = set()
        for turn in draft.turns:
            share = repeated_share(turn.answer, draft.language)
            if share > MOST_SHARE:
                return Refusal(self.name, "loop", f"{share:.0%} of the answer's phrases are repeated", share)
            answer = bare(turn.answer)
            if len(answer) > 20 and answer in seen:
                return Refusal(self.name, "same_answer", f"an answer is given twice: {turn.answer[:60]!r}", 2)
            seen.add(answer)
        return None


def repeated_share(text: str, language: str) -> float:
    """Give the share of phrases that occurred before in the text; 0 for short ones."""
    if primary(language) in UNSPACED:
        letters = bare(text)
        pieces = [letters[k : k + PIECE_LETTERS] for k in range(len(letters) - PIECE_LETTERS + 1)]
    else:
        words = [bare(word) for word in text.split()]
        pieces = [" ".join(words[k : k + PIECE_WORDS]) for k in range(len(words) - PIECE_WORDS + 1)]
    if len(pieces) < FEWEST_PIECES:
        return 0.0
    return sum(n - 1 for n in Counter(pieces).values()) / len(pieces)


CHECK = Repetition()
