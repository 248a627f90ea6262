"""Copies among media, told by their perceptual hashes: re-encoded, cropped, trimmed, with a logo, mirrored.

A medium is a set of 64-bit hashes, one every half second (`valley.video.perceptual_hash`). Each hash of the
shorter set has a distance to its nearest in the other; the sets are as far apart as the mean of the nearer
three quarters of these. Six in ten must be nearer than strangers are, so that a title or a black beginning
that two media share does not make them one.

Candidates share, in at least one of four bands of 16 bits, all bits but one (multi-index hashing: Norouzi et
al. 2012, "Fast Search in Hamming Space with Multi-Index Hashing"): hashes that differ in 7 bits or fewer are
always found, others mostly. What is kept is compared with, copies are not, so that a thousand copies cost
what a thousand strangers do.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valley.video.perceptual_hash import EMPTY, mirrored

MOST_DISTANCE = 12.0
"""Measured by benchmarks/collect_duplicates.py: copies are below, strangers above 13."""

_NEARER_SHARE = 0.75  # a trimmed copy of a lively clip shows some moments that the original's hashes missed
_STRANGER_BITS, _LEAST_SHARE = 20, 0.6
_FEW = 3  # fewer hashes than this are a picture or a flash: they must be nearer
_STRICTER = 2 / 3
_LEAST_COVERED = 0.5
_CANDIDATE_BITS = 10  # of the nearest pair of hashes of copies; 9 was the most in the benchmark

_NUM_BANDS, _BAND_BITS = 4, 16
_BIT_COUNTS = np.array([i.bit_count() for i in range(2**16)], dtype=np.uint8)
_FLIPS = np.array([0, *(1 << i for i in range(_BAND_BITS))], dtype=np.uint64)

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class NearDuplicate:
    """A medium that is much the same as an earlier one, which is no near-duplicate itself."""

    later: str
    earlier: str
    distance: float


def find_near_duplicates(
    hashes: Mapping[str, Sequence[int]], *, most_distance: float | int = MOST_DISTANCE
) -> list[NearDuplicate]:
    """Find media that are copies of others, mirrored ones too.

    A medium is left where more than half of it is not in the other: a film is no copy of its trailer, though
    the trailer is one of the film. Pictures of one colour, or computed ones with plain backgrounds, have
    hashes that say little: the first are left out, the second may be taken for each other.

    Args:
        hashes: of each medium, in time order; of two copies the first in the mapping is the earlier.
        most_distance: mean bits, of 64, in which copies may differ; two thirds of it where there are fewer
            than three hashes.

    Returns:
        One for each copy, with the nearest of the earlier media that are no copies themselves.
    """
    index = _Index(sum(map(len, hashes.values())))
    found: list[NearDuplicate] = []
    for name, values in hashes.items():
        own = _telling(values)
        nearest: tuple[float, str] | None = None
        for earlier, other in index.candidates(own):
            distance = _distance(own, other)
            if _is_copy(distance, own, other, most_distance) and (nearest is None or distance < nearest[0]):
                nearest = distance, earlier
        if nearest is None:
            index.add(name, own)
        else:
            found.append(NearDuplicate(later=name, earlier=nearest[1], distance=nearest[0]))
    return found


def set_distance(one: Sequence[int], other: Sequence[int]) -> float:
    """Say in how many bits two media differ, mirrored or not; infinity where they share too little to say."""
    return _distance(_telling(one), _telling(other))


def _telling(values: Sequence[int]) -> Hashes:
    return np.array([v for v in values if v != EMPTY], dtype=np.uint64)


def _is_copy(distance: float, later: Hashes, earlier: Hashes, most_distance: float | int) -> bool:
    if len(earlier) < _LEAST_COVERED * len(later):
        return False
    few = min(len(later), len(earlier)) < _FEW
    return distance <= most_distance * (_STRICTER if few else 1)


def _distance(one: Hashes, other: Hashes) -> float:
    if len(one) > len(other):
        one, other = other, one
    if not len(one):
        return math.inf
    return min(_nearest_mean(one, other), _nearest_mean(_mirrored(one), other))


def _nearest_mean(one: Hashes, other: Hashes) -> float:
    nearest = np.sort(_bits(one[:, None] ^ other[None, :]).min(axis=1))
    if (nearest <= _STRANGER_BITS).mean() < _LEAST_SHARE:
        return math.inf
    return float(nearest[: math.ceil(_NEARER_SHARE * len(nearest))].mean())


def _mirrored(hashes: Hashes) -> Hashes:
    return np.array([mirrored(v) for v in hashes.tolist()], dtype=np.uint64)


def _bits(values: Hashes) -> NDArray[np.uint8]:
    """Count the bits that are set, of NumPy 1 too, which has no bitwise_count."""
    parts = np.ascontiguousarray(values).view(np.uint16).reshape(*values.shape, 4)
    counts = _BIT_COUNTS[parts]
    return counts[..., 0] + counts[..., 1] + counts[..., 2] + counts[..., 3]  # a sum over 4 is slow


class _Index:
    """The media that are kept, to be found by a band of any of their hashes."""

    def __init__(self, most_hashes: int) -> None:
        """Make room for as many hashes."""
        self._hashes = np.zeros(most_hashes, dtype=np.uint64)
        self._owners = np.zeros(most_hashes, dtype=np.int64)
        self._names: list[str] = []
        self._starts = [0]
        self._buckets: dict[int, array[int]] = {}

    def add(self, name: str, hashes: Hashes) -> None:
        """Keep a medium."""
        start = self._starts[-1]
        end = start + len(hashes)
        self._hashes[start:end] = hashes
        self._owners[start:end] = len(self._names)
        self._names.append(name)
        self._starts.append(end)
        for number, keys in enumerate(_band_keys(hashes).tolist(), start):
            for key in keys:
                self._buckets.setdefault(key, array("I")).append(number)

    def candidates(self, hashes: Hashes) -> list[tuple[str, Hashes]]:
        """Give the kept media that have a hash near to one of these, in the order they came."""
        if not len(hashes):
            return []
        wanted = np.unique(np.concatenate([hashes, _mirrored(hashes)]))
        hits, counts = array("I"), []
        for key in _neighbour_keys(wanted).ravel().tolist():
            bucket = self._buckets.get(key)
            counts.append(0 if bucket is None else len(bucket))
            if bucket is not None:
                hits.extend(bucket)
        numbers = np.array(hits, dtype=np.int64)
        values = np.repeat(np.repeat(wanted, len(counts) // len(wanted)), counts)
        near = _bits(self._hashes[numbers] ^ values) <= _CANDIDATE_BITS
        owners = np.unique(self._owners[numbers[near]]).tolist()
        return [(self._names[o], self._hashes[self._starts[o] : self._starts[o + 1]]) for o in owners]


def _band_keys(hashes: Hashes) -> NDArray[np.uint64]:
    """Give [hash, band] keys: which band, and its bits."""
    band = np.arange(_NUM_BANDS, dtype=np.uint64)
    bits = (hashes[:, None] >> (band * np.uint64(_BAND_BITS))) & np.uint64(2**_BAND_BITS - 1)
    return bits | (band << np.uint64(_BAND_BITS))


def _neighbour_keys(hashes: Hashes) -> NDArray[np.uint64]:
    """Give [hash, key] keys: of all bands, as they are and with each bit changed."""
    return (_band_keys(hashes)[:, :, None] ^ _FLIPS).reshape(len(hashes), -1)
