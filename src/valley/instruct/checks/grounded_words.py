"""Grounded words: most of what an answer names stands in the facts, and every name does.

Only for facts in the language of the answer. A word counts as known where a fact has it or a form of it: the
first letters are the same. Reasoning and dialogue may bring in more of their own than a description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from valley.instruct.check import Refusal
from valley.instruct.claims import stop_words
from valley.instruct.evidence import Evidence
from valley.instruct.languages import UNSPACED
from valley.instruct.lexicon import normal
from valley.instruct.task import Draft
from valley.instruct.versions import content_version
from valley.language_id import primary

MOST_UNKNOWN: Mapping[str, float] = {
    "short_caption": 0.45,
    "long_description": 0.45,
    "multi_shot_caption": 0.45,
    "summary_with_chapters": 0.6,
    "action_recognition": 0.6,
    "counting": 0.6,
    "time_grounding": 0.5,
    "order_of_events": 0.5,
    "causal_inference": 0.65,
    "dialogue": 0.65,
}
OTHERWISE = 0.85
FEWEST_WORDS = 6
STEM = 5

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_NAME = re.compile(r"(?<=[^\s.!?:;\"“”«»¿¡\n-] )([A-ZÀ-ÖØ-ÞА-Я][\w’'-]{2,})")
_CAPITAL_NOUNS = frozenset(("de", "lb"))


class GroundedWords:
    """See the module's first lines."""

    name = "grounded_words"
    help = "words and names that stand in a fact"
    version = content_version(Path(__file__))
    cost = 15
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        language = primary(draft.language)
        own = [f.text for f in evidence.facts if f.text and primary(f.language) in (language, "und")]
        if not own or language in UNSPACED or evidence.frames:
            return None
        known = {_stem(word) for text in own for word in _WORD.findall(normal(text))}
        said = [turn.answer for turn in draft.turns]
        asked = {_stem(word) for turn in draft.turns for word in _WORD.findall(normal(turn.question))}
        refusal = self._check_names(said, own, language)
        if refusal is not None or draft.task == "unanswerable":
            return refusal
        words = [
            _stem(w) for text in said for w in _WORD.findall(normal(text)) if w not in stop_words(language)
        ]
        missing = [w for w in words if w not in known and w not in asked and len(w) > 2]
        share = len(missing) / len(words) if words else 0.0
        most = MOST_UNKNOWN.get(draft.task, OTHERWISE)
        if len(words) >= FEWEST_WORDS and share > most:
            detail = f"{share:.0%} of the words stand in no fact, such as {', '.join(missing[:5])}"
            return Refusal(self.name, "ungrounded_words", detail, share)
        return None

    def _check_names(self, said: list[str], own: list[str], language: str) -> Refusal | None:
        if language in _CAPITAL_NOUNS:
            return None
        known = normal(" ".join(own))
        for text in said:
            for name in _NAME.findall(text):
                if normal(name) not in known:
                    return Refusal(self.name, "ungrounded_name", f"no fact has the name {name}", 1)
        return None


def _stem(word: str) -> str:
    return word[:STEM]


CHECK = GroundedWords()
