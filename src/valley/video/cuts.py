"""Hard cuts in coarse pictures: nothing of the one frame is found in the next, and it does not come back.

Motion, zoom and shake are found again by `mismatch`; a change of exposure keeps the correlation; after a
flash the picture is the one before it; a window that pops up leaves the rest of the screen as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valley.video.block_matching import Planes, change, contrast, likeness, mismatch

# Tuned on benchmarks/collect_shots.py, seeds 0 to 44; its figures are of other seeds.
_LEAST_CHANGE = 8.0  # of 765: dark scenes change little
_LEAST_MISMATCH = 6.0
LEAST_RATIO = 3.6  # to what goes on around
LEAST_SCORE = 0.4  # at that ratio
PROPOSING_RATIO = 2.4  # where frames were skipped, more goes on from one to the next
_CALM = 2.0  # the least that counts as going on: noise of the codec
_LEAST_SHARE = 0.62  # of the contrast: pages of text scrolled by a jump find about half of it again
_MOST_ALIKE = 0.7
_MOST_STILL = 0.12  # share of pixels that stay as they were
_STILL_CHANGE = 4
_FLAT = 4.0  # contrast: of two empty pictures none is a shot
_BAR_LUMA = 40  # black bars are still in every film
_RETURNS = 0.5  # of the mismatch: the picture is back
_AROUND = 3  # frames on either side


@dataclass(frozen=True)
class Cut:
    """A cut before frame `index`; `score` is 0 to 1."""

    index: int
    score: float


def find_cuts(planes: Planes, *, flash_frames: int, least_ratio: float = LEAST_RATIO) -> list[Cut]:
    """Find cuts.

    Args:
        planes: i16 [frame, 3, 16, 24].
        flash_frames: how long a flash, or a picture flashed in, lasts at most.
        least_ratio: of the mismatch to what there is around.
    """
    if len(planes) < 2:
        return []
    changes = np.concatenate([[0.0], change(planes[:-1], planes[1:])])
    places = _sudden(changes)
    if not len(places):
        return []
    left, ratios = _against_neighbours(planes, places)
    alike = likeness(planes[places - 1], planes[places])
    sure = (left > _LEAST_MISMATCH) & (ratios > least_ratio) & (alike < _MOST_ALIKE)
    before, after = contrast(planes[places - 1]), contrast(planes[places])
    sure &= (np.maximum(before, after) > _FLAT) & (left > _LEAST_SHARE * (before + after) / 2)
    sure &= _still_share(planes[places - 1], planes[places]) <= _MOST_STILL
    found = [
        Cut(int(place), float(min(1.0, ratio / LEAST_RATIO * LEAST_SCORE)))
        for place, mismatched, ratio in zip(places[sure], left[sure], ratios[sure], strict=True)
        if not _returns(planes, int(place), float(mismatched), flash_frames)
    ]
    return _apart(found, flash_frames)


def _sudden(changes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places where more changes than around them; most frames end here, so it is cheap."""
    padded = np.pad(changes, _AROUND, mode="edge")
    around = np.stack([padded[i : i + len(changes)] for i in range(2 * _AROUND + 1) if i != _AROUND])
    return np.flatnonzero((changes > _LEAST_CHANGE) & (changes > 1.6 * np.median(around, axis=0)))


def _against_neighbours(
    planes: Planes, places: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mismatch at each place, and its ratio to the mismatch around it."""
    offsets = np.array([0, -3, -2, -1, 1, 2, 3])
    wanted = places[:, None] + offsets
    inside = (wanted >= 1) & (wanted < len(planes))
    unique = np.unique(wanted[inside])
    means = mismatch(planes[unique - 1], planes[unique]).mean(axis=1)
    table = np.full(len(planes), np.nan)
    table[unique] = means
    values = np.where(inside, table[np.clip(wanted, 0, len(planes) - 1)], np.nan)
    around = values[:, 1:]
    calm = ~np.isfinite(around).any(axis=1)
    around[calm] = 0.0
    usual = np.nanmedian(around, axis=1)
    return values[:, 0], values[:, 0] / (usual + _CALM)


def _still_share(before: Planes, after: Planes) -> NDArray[np.float64]:
    """Share of pixels, black bars left out, that are the same before and after."""
    changes = np.abs(after - before).sum(axis=1)
    counted = (after[:, 0] > _BAR_LUMA) | (changes > _STILL_CHANGE)
    still = counted & (changes <= _STILL_CHANGE)
    return still.sum(axis=(1, 2)) / np.maximum(1, counted.sum(axis=(1, 2)))


def _returns(planes: Planes, place: int, mismatched: float, flash_frames: int) -> bool:
    """Whether the picture before comes back soon after, or the one after was there just before."""
    later = np.arange(place + 1, min(place + 1 + flash_frames, len(planes)))
    earlier = np.arange(max(0, place - 1 - flash_frames), place - 1)
    known = np.concatenate([np.full(len(later), place - 1), np.full(len(earlier), place)])
    if not len(known):
        return False
    left = mismatch(planes[known], planes[np.concatenate([later, earlier])]).mean(axis=1)
    return bool(left.min() < _RETURNS * mismatched)


def _apart(cuts: list[Cut], least_frames: int) -> list[Cut]:
    """Keep the surest of cuts that follow each other faster than anybody cuts."""
    kept: list[Cut] = []
    for cut in cuts:
        if kept and cut.index - kept[-1].index < max(2, least_frames // 2):
            kept[-1] = max(kept[-1], cut, key=lambda c: c.score)
        else:
            kept.append(cut)
    return kept
