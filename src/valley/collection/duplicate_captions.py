"""Texts that are equal, or nearly so: about the same stretch of a medium, or anywhere.

Equal is what has the same words in the same order; nearly equal, what shares most of its words and pairs of
words (Jaccard). Candidates among many are found by MinHash and banding (Broder 1997; Leskovec et al.,
"Mining of Massive Datasets", 3.4) with rensa, and compared exactly. Of several, the longest is kept.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice, pairwise

import numpy as np
from numpy.typing import NDArray

from valley.collection.caption_filter import Caption, CaptionSettings, Refusal
from valley.errors import MissingExtraError
from valley.language_id import normalised, units

DUPLICATE = "duplicate_text"
NEAR_DUPLICATE = "near_duplicate_text"

# 16 bands of 4: a pair of similarity 0.8 is a candidate with probability 0.9998, one of 0.5 with 0.64,
# one of 0.3 with 0.12.
_NUM_BANDS, _ROWS = 16, 4
_SEED = 20230612
_CHUNK = 4096
_FEW = 48  # so many are compared each with each


def find_duplicates(
    captions: Sequence[Caption], settings: CaptionSettings, *, without: Container[int] = ()
) -> dict[int, Refusal]:
    """Say which captions repeat others, by their number.

    The number of a refusal is the similarity to the caption that is kept, which its detail names.

    Args:
        captions: all of them.
        settings: whether near ones count, where, and how near.
        without: numbers of captions that are not there.

    Raises:
        MissingExtraError: rensa is absent and there are many to compare.
    """
    there = [i for i in range(len(captions)) if i not in without]
    everywhere = settings.near_duplicates == "everywhere"
    refusals: dict[int, Refusal] = {}
    for group in _groups(there, captions, everywhere=everywhere):
        ordered = sorted(group, key=lambda i: (-len(captions[i].text), captions[i].id))
        left = _merge_equal(ordered, captions, refusals)
        if settings.near_duplicates != "off":
            _merge_near(left, captions, settings.least_similarity, refusals)
    return refusals


def _groups(there: list[int], captions: Sequence[Caption], *, everywhere: bool) -> Iterator[list[int]]:
    """Give the numbers of captions that are compared with one another."""
    if everywhere:
        yield there
        return

    def about(number: int) -> str:
        return captions[number].about

    named = sorted((i for i in there if about(i)), key=about)
    for _, group in groupby(named, key=about):
        if len(numbers := list(group)) > 1:
            yield numbers


def _merge_equal(ordered: list[int], captions: Sequence[Caption], refusals: dict[int, Refusal]) -> list[int]:
    """Refuse what has the words of an earlier one; give the rest."""
    first: dict[tuple[str, ...], int] = {}
    left: list[int] = []
    for number in ordered:
        before = first.setdefault(_words(captions[number].text), number)
        if before == number:
            left.append(number)
        else:
            refusals[number] = Refusal(DUPLICATE, 1.0, f"of {captions[before].id}")
    return left


def _merge_near(
    ordered: list[int], captions: Sequence[Caption], least: float, refusals: dict[int, Refusal]
) -> None:
    """Refuse what is near to one that is kept."""
    index = (
        _All() if len(ordered) <= _FEW else _Bands((_shingles(captions[i].text) for i in ordered), ordered)
    )
    for number in ordered:
        shingles = _shingles(captions[number].text)
        for other in index.near(number):
            similarity = _jaccard(shingles, _shingles(captions[other].text))
            if similarity >= least:
                detail = f"of {captions[other].id}"
                refusals[number] = Refusal(NEAR_DUPLICATE, round(similarity, 4), detail)
                break
        else:
            index.keep(number)


class _All:
    """Candidates among a few: all that are kept."""

    def __init__(self) -> None:
        self._kept: list[int] = []

    def near(self, number: int) -> Iterable[int]:
        return self._kept

    def keep(self, number: int) -> None:
        self._kept.append(number)


class _Bands:
    """Candidates among many: those that share a band of MinHash values and are kept."""

    def __init__(self, shingles: Iterable[frozenset[str]], numbers: Sequence[int]) -> None:
        """Compute all bands at once, and forget those that only one has."""
        bands = _bands(shingles)
        for column in range(bands.shape[1]):
            _, place, count = np.unique(bands[:, column], return_inverse=True, return_counts=True)
            bands[count[place] == 1, column] = 0
        self._bands = bands
        self._row = {number: row for row, number in enumerate(numbers)}
        self._kept: dict[tuple[int, int], list[int]] = {}

    def _keys(self, number: int) -> list[tuple[int, int]]:
        return [(c, v) for c, v in enumerate(self._bands[self._row[number]].tolist()) if v]

    def near(self, number: int) -> Iterable[int]:
        return dict.fromkeys(other for key in self._keys(number) for other in self._kept.get(key, ()))

    def keep(self, number: int) -> None:
        for key in self._keys(number):
            self._kept.setdefault(key, []).append(number)


def _bands(shingles: Iterable[frozenset[str]]) -> NDArray[np.uint64]:
    """Give [text, band] values; equal where all rows of a band are equal."""
    try:
        from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue]
    except ImportError as error:
        raise MissingExtraError(wanted_by="near-duplicate texts", package="rensa", extra="data") from error
    factors = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 1], dtype=np.uint64)
    found: list[NDArray[np.uint64]] = []
    waiting = iter(shingles)
    while chunk := [sorted(s) for s in islice(waiting, _CHUNK)]:
        matrix = RMinHash.digest_matrix_from_token_sets(chunk, _NUM_BANDS * _ROWS, _SEED)
        rows = np.array(matrix.to_rows(), dtype=np.uint64).reshape(len(chunk), _NUM_BANDS, _ROWS)
        found.append((rows * factors).sum(axis=2, dtype=np.uint64))
    return np.concatenate(found)


@lru_cache(maxsize=16_384)
def _words(text: str) -> tuple[str, ...]:
    return tuple(units(normalised(text)))


@lru_cache(maxsize=16_384)
def _shingles(text: str) -> frozenset[str]:
    """Give words and pairs of neighbours."""
    found = _words(text)
    return frozenset(found) | {f"{a} {b}" for a, b in pairwise(found)}


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(1, len(one | other))
