"""The things a caption names, as phrases to count: "small red car", "grüne wiese", "小狗".

Three extractors behind one protocol:

- a tagger (HanTa, extra `phrases`) for English, German and Dutch: adjectives and nouns up to a noun, which
  is brought to its lemma;
- chunks between stop words and punctuation, for every language with spaces;
- chunks between stop characters for Chinese, between hiragana for Japanese, and runs of characters for
  scripts without spaces of which nothing is known.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from valley.errors import MissingExtraError
from valley.language_id import is_spaceless, primary, segments

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_WORDS = 3
"""Longer chunks are cut into pairs of words: whole ones would be too rare to count."""

MOST_PHRASES = 64
"""Of one text; a page of description names no more that matters."""

_LONGEST_WORD = 40  # a tagger takes time by the square of a word's length

_logger = logging.getLogger(__name__)


@runtime_checkable
class PhraseExtractor(Protocol):
    """Finds phrases in a text."""

    def phrases(self, text: str, language: str) -> tuple[str, ...]:
        """Give each phrase once, in order, in lower case. Pure: equal texts have equal phrases."""
        ...


def phrases_of(text: str, language: str, *, with_tagger: bool = True) -> tuple[str, ...]:
    """Find the phrases of a text by what suits its language.

    Args:
        text: normalised.
        language: BCP-47 tag; "und" where it is unknown.
        with_tagger: use HanTa for its languages where it is installed.

    Raises:
        MissingExtraError: stopwordsiso is absent.
    """
    return extractor_of(text, language, with_tagger=with_tagger).phrases(text, language)


def extractor_of(text: str, language: str, *, with_tagger: bool = True) -> PhraseExtractor:
    """Choose the extractor for a text."""
    if is_spaceless(text):
        return CharacterChunks()
    if with_tagger and primary(language) in MODELS and (tagger := _tagger(primary(language))) is not None:
        return TaggedPhrases(tagger, primary(language))
    return WordChunks()


def _each_once(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))[:MOST_PHRASES]


# -- stop words ----------------------------------------------------------------------------------------------


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


# The lists are those of search engines, and take these things of captions for empty words.
_NOT_STOP_WORDS: Mapping[str, frozenset[str]] = {
    "en": _listed(
        "man men group groups room rooms face faces area areas side sides end new old young small large big "
        "great long high home world number point part place state water city show"
    ),
    "ru": _listed(
        "женщина машина человек ребенок дорога комната голова рука глаз глаза город дом стол "
        "старый большой маленький"
    ),
}
_SHORT = 3  # where there is no list: the words a language uses most are short (Zipf 1935)


class WordChunks:
    """Chunks between stop words and punctuation; verbs are among them."""

    def phrases(self, text: str, language: str) -> tuple[str, ...]:
        """Give chunks of up to three words, and longer ones as pairs."""
        stop = _stop_words(primary(language))
        return _each_once(p for s in segments(text.casefold()) for c in _chunks(s, stop) for p in _cut(c))


def _chunks(words: list[str], stop: frozenset[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    for word in words:
        if word in stop or (not stop and len(word) <= _SHORT) or word.isdigit():
            if chunk:
                yield chunk
            chunk = []
        else:
            chunk.append(word)
    if chunk:
        yield chunk


def _cut(chunk: list[str]) -> Iterator[str]:
    if len(chunk) <= MOST_WORDS:
        yield " ".join(chunk)
        return
    for one, other in pairwise(chunk):
        yield f"{one} {other}"


@lru_cache(maxsize=128)
def _stop_words(language: str) -> frozenset[str]:
    try:
        from stopwordsiso import stopwords
    except ImportError as error:
        raise MissingExtraError(wanted_by="phrases", package="stopwordsiso", extra="data") from error
    listed = stopwords({"nb": "no", "nn": "no", "fil": "tl"}.get(language, language))
    return frozenset(w.casefold() for w in listed) - _NOT_STOP_WORDS.get(language, frozenset())


# -- scripts without spaces ----------------------------------------------------------------------------------

_HAN_OR_KATAKANA = re.compile(
    "[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff々]+|[ァ-ヺー]+|[a-zA-Z0-9]{2,}"
)
_OTHER_RUN = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+")
_KANA = re.compile("[ぁ-ゖ]")
# Function words of Chinese that hold no thing: particles, pronouns, numerals, prepositions, aspect.
_HAN_STOP = re.compile(
    "[的了在是和与跟及或也都就还又很被把给对从向往到着过得地这那哪此其它他她们我你您一二两三四五六七八九十个只条位名"
    "块张件些之所以而且但不没有正里上下中内外前后旁边为用以将让使会能可并]+"
)
_MOST_HAN, _RUN = 4, 4


class CharacterChunks:
    """Chunks of characters for Chinese, Japanese, Thai, Lao, Khmer and Burmese."""

    def phrases(self, text: str, language: str) -> tuple[str, ...]:
        """Give chunks between what is grammar; long ones as pairs (Han) or runs of four (others)."""
        han_stops = _KANA.search(text) is None  # in Japanese it is hiragana that says the grammar
        return _each_once(
            [p for run in _HAN_OR_KATAKANA.findall(text) for p in _han_chunks(run, stops=han_stops)]
            + [p for run in _OTHER_RUN.findall(text) for p in _runs(run, primary(language))]
        )


def _han_chunks(run: str, *, stops: bool) -> Iterator[str]:
    for chunk in _HAN_STOP.split(run) if stops else [run]:
        if len(chunk) <= _MOST_HAN or chunk[0].isascii() or "ァ" <= chunk[0] <= "ー":
            if len(chunk) > 1:
                yield chunk.casefold()
        else:
            yield from (chunk[i : i + 2] for i in range(len(chunk) - 1))


def _runs(run: str, language: str) -> Iterator[str]:
    """Cut a run where a stop word of three characters or more stands; what is long then into fours."""
    pattern = _stop_pattern(language)
    for chunk in pattern.split(run) if pattern else [run]:
        signs = _with_marks(chunk)
        if len(signs) <= 2 * _RUN:
            if len(signs) > 1:
                yield chunk
        else:
            yield from ("".join(signs[i : i + _RUN]) for i in range(len(signs) - _RUN + 1))


def _with_marks(text: str) -> list[str]:
    """Part a text into characters, each with the marks above and below it."""
    signs: list[str] = []
    for character in text:
        if signs and unicodedata.category(character)[0] == "M":
            signs[-1] += character
        else:
            signs.append(character)
    return signs


@lru_cache(maxsize=16)
def _stop_pattern(language: str) -> re.Pattern[str] | None:
    stop = sorted((w for w in _stop_words(language) if len(w) > 2), key=lambda w: (-len(w), w))
    return re.compile("|".join(map(re.escape, stop))) if stop else None


# -- a tagger ------------------------------------------------------------------------------------------------

MODELS = {"en": "morphmodel_en.pgz", "de": "morphmodel_ger.pgz", "nl": "morphmodel_dutch.pgz"}
"""HanTa's models, which lie in its wheel. In memory: 40 MB, 20 MB, and 0.8 GB for Dutch, in each process."""

_NOUNS = {"en": ("NN", "NP"), "de": ("NN", "NE"), "nl": ("N(", "SPEC(")}
_ADJECTIVES = {"en": ("AJ",), "de": ("ADJ(A)",), "nl": ("ADJ(prenom",)}
# Nouns to a tagger, but a caption's frame and not what it shows.
_FRAMES = {"en": frozenset({"i", "don't", "one", "something", "someone", "somebody", "none"})}


class TaggedPhrases:
    """Adjectives and nouns up to a noun, by HanTa (Wartena 2019, "A Probabilistic Morphology Model")."""

    def __init__(self, tagger: Any, language: str) -> None:  # noqa: ANN401
        """Keep the tagger and the tags of its language."""
        self._tagger = tagger
        self._nouns = _NOUNS[language]
        self._parts = _NOUNS[language] + _ADJECTIVES[language]
        self._frames = _FRAMES.get(language, frozenset())

    def phrases(self, text: str, language: str) -> tuple[str, ...]:
        """Give noun phrases, the last noun as its lemma."""
        if text.isupper():
            text = text.lower()
        return _each_once(
            p for s in segments(text) for p in self._in_segment([w for w in s if _can_be_tagged(w)])
        )

    def _in_segment(self, words: list[str]) -> Iterator[str]:
        run: list[tuple[str, str]] = []
        for word, tag in zip(words, self._tagger.tag_sent(words, taglevel=0), strict=True):
            if tag.startswith(self._parts) and word.lower() not in self._frames:
                run.append((word, tag))
            else:
                yield from self._close(run)
                run = []
        yield from self._close(run)

    def _close(self, run: list[tuple[str, str]]) -> Iterator[str]:
        while run and not run[-1][1].startswith(self._nouns):
            run = run[:-1]
        if run:
            *before, (head, tag) = run[-4:]
            yield " ".join([*(w.lower() for w, _ in before), _lemma(self._tagger, head.lower(), tag)])


def _can_be_tagged(word: str) -> bool:
    return len(word) <= _LONGEST_WORD


@lru_cache(maxsize=65_536)
def _lemma(tagger: Any, word: str, tag: str) -> str:  # noqa: ANN401
    return str(tagger.analyze(word, pos=tag)[0]).lower()


@lru_cache(maxsize=3)
def _tagger(language: str) -> Any | None:  # noqa: ANN401
    try:
        from HanTa.HanoverTagger import HanoverTagger
    except ImportError:
        _logger.warning(
            "%s: phrases are chunks between stop words, verbs among them; for a tagger: "
            "pip install 'valley-vl[phrases]'",
            language,
        )
        return None
    return HanoverTagger(MODELS[language])
