"""Language: every answer, and every question, is in the language that was asked for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from valley.instruct.check import Refusal
from valley.instruct.evidence import Evidence
from valley.instruct.languages import UNSPACED, num_words
from valley.instruct.task import Draft
from valley.instruct.versions import content_version
from valley.language_id import are_close, most_likely, normalised, primary

FEWEST_WORDS = 4
"""Shorter texts are judged together with the others of the conversation."""


class Language:
    """See the module's first line."""

    name = "language"
    help = "every answer in the language asked for"
    version = content_version(Path(__file__))
    cost = 20
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        del evidence
        wanted = primary(draft.language)
        texts = [text for turn in draft.turns for text in (turn.answer, turn.question)]
        for text in [*texts, " ".join(texts)]:
            if num_words(text, wanted) < FEWEST_WORDS:
                continue
            found = other_language(text, wanted)
            if found is not None:
                return Refusal(
                    self.name, "wrong_language", f"want {wanted}, got {found[0]}: {text[:60]!r}", found[1]
                )
        return None


def other_language(text: str, wanted: str) -> tuple[str, float] | None:
    """Give another language that a text is in, and how sure that is; None where it may be the wanted one."""
    script = _script_of(text)
    if wanted in _SCRIPTS:
        if script != _SCRIPTS[wanted]:
            return (script or "another script", 1.0)
        if wanted in UNSPACED:  # the script says enough; short Chinese is often taken for Japanese
            return None
    elif script is not None:
        return (script, 1.0)
    guess = most_likely(normalised(text))
    if guess.language == UNSURE or are_close(guess.language, wanted):
        return None
    return guess.language, guess.score


UNSURE = "und"
_SCRIPTS = {
    "zh": "Han",
    "ja": "Japanese",
    "ko": "Hangul",
    "ar": "Arabic",
    "fa": "Arabic",
    "ur": "Arabic",
    "he": "Hebrew",
    "el": "Greek",
    "ru": "Cyrillic",
    "uk": "Cyrillic",
    "bg": "Cyrillic",
    "hi": "Devanagari",
    "bn": "Bengali",
    "th": "Thai",
}
_RANGES: tuple[tuple[str, int, int], ...] = (
    ("Japanese", 0x3040, 0x30FF),
    ("Han", 0x3400, 0x9FFF),
    ("Hangul", 0xAC00, 0xD7A3),
    ("Arabic", 0x0600, 0x06FF),
    ("Hebrew", 0x0590, 0x05FF),
    ("Greek", 0x0370, 0x03FF),
    ("Cyrillic", 0x0400, 0x04FF),
    ("Devanagari", 0x0900, 0x097F),
    ("Bengali", 0x0980, 0x09FF),
    ("Thai", 0x0E00, 0x0E7F),
)


_UNSPACED_SCRIPTS = frozenset(("Japanese", "Han", "Thai"))


def _script_of(text: str) -> str | None:
    """Name the script of most words; None for Latin. A text with kana is Japanese.

    Words are counted and not letters, or a few long names would outweigh a Chinese sentence.
    """
    counts: Counter[str] = Counter()
    for word in text.split():
        scripts = [_script_of_letter(c) for c in word if c.isalpha()]
        counts.update(s for s in scripts if s in _UNSPACED_SCRIPTS)
        counts.update({s for s in scripts if s not in _UNSPACED_SCRIPTS})
    if counts["Japanese"] >= 2:
        return "Japanese"
    most = max(counts, key=lambda name: counts[name], default="Latin")
    return None if most == "Latin" else most


def _script_of_letter(letter: str) -> str:
    code = ord(letter)
    return next((name for name, first, last in _RANGES if first <= code <= last), "Latin")


CHECK = Language()
