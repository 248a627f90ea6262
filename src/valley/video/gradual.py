"""Gradual transitions in coarse pictures: dissolves, wipes, and fades through black or white.

In a dissolve or wipe each pixel goes from one picture to the other without detours; the two have nothing in
common, and more happens than before and after; what moves is found again nearby. In a fade the picture loses
its contrast and another one gains it. Windows of several lengths are tried, cheap tests first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valley.video.block_matching import Planes, change, contrast, likeness, mismatch

LENGTHS = (8, 12, 16, 24, 32, 48, 66)  # frames from the last of the one shot to the first of the other
_STEPS = 8  # pictures looked at inside a window, however long it is
_LEAST_CHANGE = 24.0  # of 765, between the ends
_MOST_ALIKE = 0.75
_MOST_DETOUR = 3.0
_LARGEST_STEP = 0.42
_WINDOWS_AT_ONCE = 16  # what they need stays in the processor's cache
LEAST_MISMATCH = 16.0  # of 765, between the ends, at the best place nearby

# Fitted by benchmarks/collect_shots.py --fit on seeds 0 to 44: a bias, and a weight for each measurement.
MEASUREMENTS = ("mismatch", "alike", "detour", "step", "motion", "around")
BIAS = -6.263
WEIGHTS = np.array([3.754, -1.484, -1.273, -13.663, 5.158, -3.178])
_LATE = 2  # the last of them cost most, and can only lower the score
LEAST_SCORE = 0.9

_FLAT_SHARE = 0.15  # of the contrast around: an empty picture
_FLAT_CONTRAST = 5.0
_FADED_FROM = 12.0  # contrast of a picture worth the name
_RAMP_FRAMES = 3  # on either side of a fade


@dataclass(frozen=True)
class Mix:
    """A gradual transition: frame `start` is the last of the one shot, `end` the first of the other."""

    start: int
    end: int
    score: float


def find_graduals(planes: Planes, cuts: Sequence[int], *, lengths: Sequence[int] = LENGTHS) -> list[Mix]:
    """Find gradual transitions; one of `cuts` that lies inside of one of them is none."""
    fades = find_fades(planes, cuts)
    taken = [*cuts, *(f for fade in fades for f in range(fade.start, fade.end + 1))]
    windows = candidate_windows(planes, taken, lengths)
    early = measure_early(planes, windows)
    apart = early[:, 0] > np.log(LEAST_MISMATCH + 1)
    hopeful = apart & (_score(early, WEIGHTS[:-_LATE]) > LEAST_SCORE)
    windows, early = windows[hopeful], early[hopeful]
    late = measure_late(planes, windows, early, cuts)
    scores = _score(np.concatenate([early, late], axis=1), WEIGHTS)
    found = [
        Mix(int(start), int(end), float(score))
        for (start, end), score in zip(windows, scores, strict=True)
        if score > LEAST_SCORE
    ]
    return sorted([*fades, *_best(found)], key=lambda mix: mix.start)


def _score(measurements: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-(BIAS + measurements @ weights)))


def _best(found: list[Mix]) -> list[Mix]:
    """Keep the surest of those that overlap."""
    kept: list[Mix] = []
    for mix in sorted(found, key=lambda m: -m.score):
        if all(mix.end <= other.start or other.end <= mix.start for other in kept):
            kept.append(mix)
    return kept


def candidate_windows(planes: Planes, taken: Sequence[int], lengths: Sequence[int]) -> NDArray[np.int64]:
    """Give windows (start, end) that pass the cheap tests: i64 [window, 2]."""
    blocked = np.zeros(len(planes) + 1, dtype=np.int64)
    blocked[np.asarray(taken, dtype=np.int64)] = 1
    blocked = np.cumsum(blocked)
    kept = []
    full = contrast(planes) > _FLAT_CONTRAST
    for length in lengths:
        start = np.arange(0, max(0, len(planes) - length), max(1, length // 5))
        start = start[blocked[start + length] == blocked[start]]
        start = start[full[start] & full[start + length]]
        start = start[change(planes[start], planes[start + length]) > _LEAST_CHANGE]
        start = start[likeness(planes[start], planes[start + length]) < _MOST_ALIKE]
        kept += [(s, s + length) for s in start.tolist()]
    windows = np.array(kept, dtype=np.int64).reshape(-1, 2)
    if not len(windows):
        return windows
    detour, step = _paths(planes, windows)
    return windows[(detour < _MOST_DETOUR) & (step < _LARGEST_STEP)]


def measure_early(planes: Planes, windows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Take the first measurements that `MEASUREMENTS` names: f64 [window, measurement]."""
    if not len(windows):
        return np.zeros((0, len(MEASUREMENTS) - _LATE))
    start, end = windows.T
    left = mismatch(planes[start], planes[end]).mean(axis=1)
    detour, step = _paths(planes, windows)
    columns = [
        np.log(left + 1),
        likeness(planes[start], planes[end]),
        np.log(detour),
        step,
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def measure_late(
    planes: Planes, windows: NDArray[np.int64], early: NDArray[np.float64], cuts: Sequence[int]
) -> NDArray[np.float64]:
    """Take the others, none of them above zero by its weight: f64 [window, measurement]."""
    if not len(windows):
        return np.zeros((0, _LATE))
    inside = np.exp(early[:, 0]) - 1
    around = _around(planes, windows, cuts) / (inside + 1)
    return np.stack([np.log(_motion(planes, windows)), np.minimum(2.0, around)], axis=1)


def _inside(windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the frames to look at: i64 [window, step + 1], from the start to the end."""
    shares = np.linspace(0, 1, _STEPS + 1)
    return np.round(windows[:, :1] + shares * (windows[:, 1:] - windows[:, :1])).astype(np.int64)


def _paths(planes: Planes, windows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare the way that pixels go with the straight one.

    Returns:
        f64 [window] each: length of the way by the straight one; the longest of its steps by all of them.
    """
    parts = [
        _some_paths(planes, windows[i : i + _WINDOWS_AT_ONCE])
        for i in range(0, len(windows), _WINDOWS_AT_ONCE)
    ]
    if not parts:
        return np.zeros(0), np.zeros(0)
    return np.concatenate([detour for detour, _ in parts]), np.concatenate([step for _, step in parts])


def _some_paths(
    planes: Planes, windows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    way = planes[_inside(windows)]  # [window, step + 1, 3, 16, 24]
    way = way[..., ::2, ::2] + way[..., 1::2, ::2] + (way[..., ::2, 1::2] + way[..., 1::2, 1::2])
    straight = np.abs(way[:, -1] - way[:, 0]).sum(axis=(1, 2, 3), dtype=np.float64) + 1
    steps = np.abs(np.diff(way, axis=1)).sum(axis=(2, 3, 4), dtype=np.float64)
    return steps.sum(axis=1) / straight, steps.max(axis=1) / (steps.sum(axis=1) + 1)


def _motion(planes: Planes, windows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Say which share of the change from step to step remains once blocks may move: f64 [window], up to 1."""
    frames = _inside(windows)[:, ::2]
    before, after = frames[:, :-1].ravel(), frames[:, 1:].ravel()
    pairs, place = np.unique(np.stack([before, after], axis=1), axis=0, return_inverse=True)
    left = mismatch(planes[pairs[:, 0]], planes[pairs[:, 1]]).mean(axis=1)
    plain = change(planes[pairs[:, 0]], planes[pairs[:, 1]])
    place = place.reshape(len(windows), -1)
    return (left[place].sum(axis=1) + 0.5).astype(np.float64) / (plain[place].sum(axis=1) + 0.5)


def _around(planes: Planes, windows: NDArray[np.int64], cuts: Sequence[int]) -> NDArray[np.float64]:
    """Say how much is not found again before and after, in as long as the window lasts: f64 [window]."""
    start, end = windows.T
    edges = np.array([0, *sorted(cuts), len(planes)])
    place = np.searchsorted(edges, start, side="right")
    earlier = np.maximum(edges[place - 1], start - (end - start))
    later = np.minimum(edges[np.minimum(place, len(edges) - 1)] - 1, end + (end - start))
    before = mismatch(planes[earlier], planes[start]).mean(axis=1)
    after = mismatch(planes[end], planes[np.maximum(later, end)]).mean(axis=1)
    return ((before + after) / 2).astype(np.float64)


def find_fades(planes: Planes, cuts: Sequence[int]) -> list[Mix]:
    """Find fades through an empty picture; one at the beginning or the end of a clip is none."""
    if not len(planes):
        return []
    contrasts = contrast(planes)
    usual = np.lib.stride_tricks.sliding_window_view(np.pad(contrasts, 32, mode="edge"), 65).max(axis=-1)
    empty = contrasts < np.maximum(_FLAT_CONTRAST, _FLAT_SHARE * usual)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], empty.astype(np.int8), [0]])))
    fades = []
    for first, past in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        start = _top(contrasts[:first][::-1])
        end = _top(contrasts[past:])
        if min(start, end) < _RAMP_FRAMES:
            continue
        start, end = first - start, past - 1 + end
        worth = min(contrasts[start], contrasts[end]) > _FADED_FROM
        # Next to an empty picture little is much: a cut there is a step of the fade.
        inside = [cut for cut in cuts if start < cut <= end and not first - 1 <= cut <= past + 1]
        if worth and not inside:
            fades.append(Mix(start, end, 0.9))
    return fades


def _top(contrasts: NDArray[np.float32]) -> int:
    """Count the frames up to where the contrast rises no more."""
    most = 0.0
    since = 0
    for number, value in enumerate(contrasts[:64].tolist(), start=1):
        if value > most * 1.03 + 0.2:
            most, since = value, 0
        else:
            since += 1
        if since == 3:
            return number - since
    return len(contrasts[:64]) - since
