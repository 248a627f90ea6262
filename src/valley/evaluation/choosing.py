"""Which of several choices an answer takes: by its letter, or by the words of the choice.

`choice_of("(B) red", ("blue", "red"))` is "B"; so are "B", "Answer: B", "I think it is red". An answer
that takes none of them, or two, is None: nothing is guessed.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence

MAX_CHOICES = len(string.ascii_uppercase)

_KEYWORDS = "answer|option|choice|choose|select|pick"
_ALONE = re.compile(r"[^A-Za-z0-9]*(?:option |choice )?[(\[]?([A-Za-z])[)\]]?[^A-Za-z0-9]*", re.IGNORECASE)
_AT_THE_BEGINNING = re.compile(r"[\s*_\"']*(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])(?:[).:,\]]|\s*[-–—]\s))")
_NAMED = re.compile(
    rf"(?i:\b(?:{_KEYWORDS})s?\b(?:\s+(?:is|was|would be|must be|should be)\b)?(?:\s+(?:option|choice)\b)?)"
    r"[\s:=*_\"']*(?:\(([A-Za-z])\)|\(?([A-Z])(?![A-Za-z'’]|\s+[a-z])|([a-z])(?=[\s.!*\"')]*$))"
)
_IN_BRACKETS = re.compile(r"[(\[]([A-Za-z])[)\]]")
# A capital that stands alone; an "A" or "I" with a word behind it is a word itself.
_CAPITAL = re.compile(r"(?<![A-Za-z'’])(?:([B-HJ-Z])(?![A-Za-z'’])|([AI])(?![A-Za-z'’]|\s+\w))")
_WORD = re.compile(r"\w+")


def letters(num_choices: int) -> str:
    """Give the letters of so many choices: "ABCD" for 4.

    Raises:
        ValueError: there are more choices than letters.
    """
    if num_choices > MAX_CHOICES:
        raise ValueError(f"want at most {MAX_CHOICES} choices, got {num_choices}")
    return string.ascii_uppercase[:num_choices]


def choice_of(answer: str, choices: Sequence[str]) -> str | None:
    """Give the letter of the choice that an answer takes; None where it takes none, or more than one.

    In this order: the letter alone or at the beginning; the last one behind a word like "answer"; the words
    of one choice, where those of no other are there too; a letter in brackets; a capital that stands alone.
    """
    known = letters(len(choices))
    text = unicodedata.normalize("NFKC", answer).strip()
    alone = _ALONE.fullmatch(text) or _AT_THE_BEGINNING.match(text)
    if alone and (letter := _letter(alone, known)):
        return letter
    named = [letter for match in _NAMED.finditer(text) if (letter := _letter(match, known))]
    if named:
        return named[-1]
    by_words = _by_words(text, choices)
    if by_words is not None:
        return known[by_words]
    return _only(_IN_BRACKETS, text, known) or _only(_CAPITAL, text, known)


def _letter(match: re.Match[str], known: str) -> str | None:
    letter = next(group for group in match.groups() if group).upper()
    return letter if letter in known else None


def _only(pattern: re.Pattern[str], text: str, known: str) -> str | None:
    found = {letter for match in pattern.finditer(text) if (letter := _letter(match, known))}
    return found.pop() if len(found) == 1 else None


def _by_words(text: str, choices: Sequence[str]) -> int | None:
    """Find the one choice whose words are in the text; a choice within a longer one that is there is not."""
    said = _words(text)
    wanted = [_words(unicodedata.normalize("NFKC", choice)) for choice in choices]
    same = [number for number, words in enumerate(wanted) if words.strip() and words == said]
    if same:
        return same[0] if len(same) == 1 else None
    here = [number for number, words in enumerate(wanted) if words.strip() and words in said]
    longest = [n for n in here if not any(n != m and wanted[n] in wanted[m] for m in here)]
    return longest[0] if len(longest) == 1 else None


def _words(text: str) -> str:
    """Lower case, no signs, a space around each word; Chinese and Japanese characters are words each."""
    spaced = re.sub(r"([\u3040-\u30ff\u3400-\u9fff])", r" \1 ", text.casefold())
    return f" {' '.join(_WORD.findall(spaced))} "
