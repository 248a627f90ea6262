"""How captions are judged: each by itself first, then all together.

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

from valley.collection.caption_filter import FILTERS, Caption, CaptionFilter, CaptionSettings, Refusal
from valley.language_id import identify, normalised

BATCH = 2000
"""Captions a worker is given at once: about a second of work with a tagger."""


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
