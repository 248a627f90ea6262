"""What a caption filter is, and how captions are judged: each by itself first, then all together.

Nothing is thrown away: each caption comes back with its language, its phrases, and, where it is refused, the
reason and the number behind it. What is judged is the text in NFC without control characters; what is kept
is the text as it came.

    a caption -> language -> filters -> phrases              by itself, in parallel
    all captions -> duplicates -> balancing                  together
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, model_validator

from valley.collection.source import UNKNOWN_LANGUAGE
from valley.language_id import identify, normalised
from valley.registry import Registry

FILTERS = Registry("valley.collection.filters", attribute="FILTER", kind="caption filter")

BATCH = 2000
"""Captions a worker is given at once: about a second of work with a tagger."""


@dataclass(frozen=True)
class Caption:
    """Words to be judged.

    Attributes:
        id: captions of equal id are one.
        text: as it stands in the source.
        language: BCP-47 tag, "und" where nobody said.
        about: the stretch of a medium that it is about; equal or near texts about the same stretch are
            merged. Empty: about something of its own.
    """

    id: str
    text: str
    language: str = UNKNOWN_LANGUAGE
    about: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why a caption is not kept: a short word for counting, the number behind it, and what was found."""

    reason: str
    number: float | int
    detail: str = ""


@dataclass(frozen=True)
class Judged:
    """A caption and what was found out about it.

    Attributes:
        caption: as it came.
        language: its language, or the one it was found to be in; "und" where it does not say.
        language_score: the model's score of this language.
        refusal: None: it is kept.
        phrases: the things it names.
    """

    caption: Caption
    language: str
    language_score: float
    refusal: Refusal | None
    phrases: tuple[str, ...]


class CaptionSettings(BaseModel):
    """How captions are judged.

    Attributes:
        filters: names of filters, in this order; the first refusal counts.
        languages: wanted tags; none: all. Text too short to tell passes.
        fewest_words: of a language with spaces. Two, "a dog", say something.
        most_words: longer ones are articles, or pages.
        fewest_characters: of a language without spaces.
        most_characters: the same.
        most_address_share: of a text's characters in URLs, e-mail addresses, handles and hashtags.
        most_boilerplate_share: of a text's characters in stock phrases.
        most_repeated_share: of words in runs that were there before (Rae et al. 2021, table A1, has 0.2 to
            0.3 for pages).
        sure_language_score: a text that its source says is in one language is refused where the model is as
            sure as this of another.
        phrases: "auto" takes the tagger HanTa for en, de, nl where it is installed and chunks elsewhere;
            "chunks" takes chunks everywhere: faster, in little memory (Dutch needs 0.8 GB a
            worker with the tagger), with verbs among the phrases.
        balance: keep few captions of what is named often.
        seed: of the choice.
        fewest: phrases named by fewer captions do not count.
        most: so many captions are kept for a phrase that more of them name.
        near_duplicates: merge texts that are nearly equal about the same "stretch", "everywhere", or not.
        least_similarity: from here on two texts are nearly equal: shared words and pairs of words by all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    filters: tuple[str, ...] = ("length", "urls", "boilerplate", "repetition", "language")
    languages: tuple[str, ...] = ()
    fewest_words: int = Field(default=2, ge=0)
    most_words: int = Field(default=500, ge=1)
    fewest_characters: int = Field(default=3, ge=0)
    most_characters: int = Field(default=1500, ge=1)
    most_address_share: float = Field(default=0.3, ge=0, le=1)
    most_boilerplate_share: float = Field(default=0.4, ge=0, le=1)
    most_repeated_share: float = Field(default=0.3, ge=0, le=1)
    sure_language_score: float = Field(default=0.9, gt=0, le=1)
    phrases: Literal["auto", "chunks", "off"] = "auto"
    balance: bool = False
    seed: int = 0
    fewest: int = Field(default=3, ge=1)
    most: int = Field(default=100, ge=1)
    near_duplicates: Literal["off", "stretch", "everywhere"] = "stretch"
    least_similarity: float = Field(default=0.8, gt=0, le=1)

    @model_validator(mode="after")
    def _fits(self) -> CaptionSettings:
        if self.balance and self.phrases == "off":
            raise ValueError("balance counts phrases: want phrases auto or chunks, got off")
        if self.fewest > self.most:
            raise ValueError(f"want fewest <= most, got {self.fewest} > {self.most}")
        return self


@runtime_checkable
class CaptionFilter(Protocol):
    """One rule about captions; one module in `valley/collection/filters` each, called as the filter."""

    @property
    def name(self) -> str:
        """The module's name."""
        ...

    def configured(self, settings: CaptionSettings) -> CaptionFilter:
        """Give the filter with these settings."""
        ...

    def check(self, caption: Caption) -> Refusal | None:
        """Say why a caption is refused; None where it is fine. Pure.

        Args:
            caption: with its text normalised.
        """
        ...


@dataclass(frozen=True)
class Finding:
    """What a caption by itself says; small, as it crosses from a worker."""

    language: str
    language_score: float
    refusal: Refusal | None
    phrases: tuple[str, ...]


def judge(
    captions: Iterable[Caption], settings: CaptionSettings, *, num_workers: int = 1
) -> Iterator[Judged]:
    """Judge captions, each by itself and then all together.

    What is said about a caption depends on the set of captions and the settings alone: neither on their order
    nor on the number of workers. All captions are held; beside each, its phrases as numbers.

    Args:
        captions: those of an id that came before are left out: they are the same text about the same stretch.
        settings: the rules.
        num_workers: processes that judge captions by themselves.

    Yields:
        One a caption, in the order they came.

    Raises:
        UnknownNameError: no filter has one of the names.
        MissingExtraError: a library of the extra `data` is absent.
    """
    from valley.collection.balancing import PhraseIndex
    from valley.collection.duplicate_captions import find_duplicates

    held: list[Caption] = []
    findings: list[tuple[str, float]] = []
    refusals: dict[int, Refusal] = {}
    index = PhraseIndex(seed=settings.seed)
    for caption, finding in _findings(_unique(captions), settings, num_workers):
        if finding.refusal is not None:
            refusals[len(held)] = finding.refusal
        held.append(caption)
        findings.append((finding.language, finding.language_score))
        index.add(caption.id, finding.language, finding.phrases)
    refusals |= find_duplicates(held, settings, without=refusals)
    if settings.balance:
        refusals |= index.refusals(fewest=settings.fewest, most=settings.most, without=refusals)
    for number, (caption, (language, score)) in enumerate(zip(held, findings, strict=True)):
        yield Judged(caption, language, score, refusals.get(number), index.phrases(number))


def _unique(captions: Iterable[Caption]) -> Iterator[Caption]:
    seen: set[str] = set()
    for caption in captions:
        if caption.id not in seen:
            seen.add(caption.id)
            yield caption


def judge_alone(captions: list[Caption], settings: CaptionSettings) -> list[Finding]:
    """Judge captions each by itself."""
    filters: list[CaptionFilter] = [FILTERS.get(name).configured(settings) for name in settings.filters]
    return [_finding(caption, filters, settings) for caption in captions]


def _finding(caption: Caption, filters: list[CaptionFilter], settings: CaptionSettings) -> Finding:
    from valley.collection.phrases import phrases_of

    text = normalised(caption.text)
    guess = identify(text, expected=caption.language)
    clean = replace(caption, text=text, language=guess.language)
    refusal = next((r for f in filters if (r := f.check(clean)) is not None), None)
    wanted = settings.phrases != "off" and refusal is None
    phrases = phrases_of(text, guess.language, with_tagger=settings.phrases == "auto") if wanted else ()
    return Finding(guess.language, guess.score, refusal, phrases)


def _findings(
    captions: Iterator[Caption], settings: CaptionSettings, num_workers: int
) -> Iterator[tuple[Caption, Finding]]:
    """Yield captions with what they say by themselves, in order; a few batches wait at a time."""
    first = list(islice(captions, BATCH))
    if num_workers <= 1 or len(first) < BATCH:
        while first:
            yield from zip(first, judge_alone(first, settings), strict=True)
            first = list(islice(captions, BATCH))
        return
    pool = ProcessPoolExecutor(num_workers, mp_context=get_context("spawn"))
    waiting: list[tuple[list[Caption], Future[list[Finding]]]] = []
    try:
        while first or waiting:
            if first:
                waiting.append((first, pool.submit(judge_alone, first, settings)))
                first = list(islice(captions, BATCH))
            if len(waiting) > 2 * num_workers or not first:
                batch, future = waiting.pop(0)
                yield from zip(batch, future.result(), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)
