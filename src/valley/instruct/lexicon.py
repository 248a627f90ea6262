"""Words that name what can be checked by rule: colours, shapes, directions, numbers, causes, order, denial.

They stand in `lexicon.yaml`: in each language a name stands for a regular expression without capital
letters. Words of languages that are written without spaces are found anywhere, those of others only whole.
What is said in a language that a list does not know is not checked against it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeAlias

from valley.instruct.languages import UNSPACED
from valley.language_id import primary

NamedList: TypeAlias = Literal["colors", "shapes", "directions", "numbers"]
PlainList: TypeAlias = Literal[
    "things",
    "causes",
    "on_its_own",
    "collisions",
    "denials",
    "becomes",
    "first",
    "then",
    "after",
    "affirms",
    "declines",
]


@dataclass(frozen=True)
class Mention:
    """A word that was found: what it stands for, and where."""

    name: str
    start: int
    end: int


@cache
def _lists() -> Mapping[str, Any]:
    import yaml

    return yaml.safe_load(resources.files("valley.instruct").joinpath("lexicon.yaml").read_text("utf-8"))


def knows(words: NamedList | PlainList, language: str) -> bool:
    """Whether a list has the language."""
    return primary(language) in _lists()[words]


def normal(text: str) -> str:
    """Give the form in which words are looked for."""
    return unicodedata.normalize("NFKC", text).casefold()


def find(words: NamedList, text: str, language: str) -> list[Mention]:
    """Find the words of a list in a `normal` text, in order."""
    table: Mapping[str, str] = _lists()[words].get(primary(language), {})
    found = [
        Mention(n, m.start(), m.end()) for n, p in table.items() for m in _whole(p, language).finditer(text)
    ]
    return sorted(found, key=lambda m: (m.start, -m.end))


def has(words: PlainList, text: str, language: str) -> bool:
    """Whether one of the words stands in a `normal` text."""
    return first_of(words, text, language) is not None


def first_of(words: PlainList, text: str, language: str) -> Mention | None:
    """Find the first of the words in a `normal` text."""
    return next(every(words, text, language), None)


def every(words: PlainList, text: str, language: str) -> Iterator[Mention]:
    """Find the words in a `normal` text, in order."""
    pattern: str | None = _lists()[words].get(primary(language))
    if pattern:
        yield from (Mention(words, m.start(), m.end()) for m in _whole(pattern, language).finditer(text))


@cache
def _whole(pattern: str, language: str) -> re.Pattern[str]:
    if primary(language) in UNSPACED or primary(language) == "ko":
        return re.compile(f"(?:{pattern})")
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")
