"""Find transitions in a clip that comes block by block: a long one needs no more memory than a short one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valley.video.block_matching import Planes
from valley.video.cuts import LEAST_RATIO, find_cuts
from valley.video.gradual import LENGTHS, find_graduals
from valley.video.shots import Transition
from valley.video.small_frames import SmallFrames

_CHUNK_FRAMES = 2048
FLASH_S = 0.3
# The lengths of transitions are meant for these rates; at others they are scaled.
_USUAL_FPS = (20.0, 36.0)
_MEANT_FPS = 27.0
_SHORTEST_FRAMES = 4


@dataclass(frozen=True)
class Found:
    """A transition and the numbers of the frames before and after it, as `SmallFrames` counts them."""

    transition: Transition
    before: int
    after: int


@dataclass(eq=False)
class _Track:
    """Frames that are held, and how many of them have been dealt with."""

    planes: Planes
    shown_at_s: NDArray[np.float64]
    numbers: NDArray[np.int64]
    done: int = 0

    def add(self, block: SmallFrames) -> None:
        self.planes = np.concatenate([self.planes, block.planes.astype(np.int16)])
        self.shown_at_s = np.concatenate([self.shown_at_s, block.shown_at_s])
        self.numbers = np.concatenate([self.numbers, block.numbers])

    def drop(self, num_frames: int) -> None:
        self.planes = self.planes[num_frames:].copy()
        self.shown_at_s, self.numbers = self.shown_at_s[num_frames:], self.numbers[num_frames:]
        self.done -= num_frames


def find_transitions(blocks: Iterator[SmallFrames], *, least_ratio: float = LEAST_RATIO) -> list[Found]:
    """Find cuts and gradual transitions; all of `blocks` is taken.

    Args:
        blocks: of one clip.
        least_ratio: see `find_cuts`.
    """
    first = next(blocks, None)
    if first is None:
        return []
    track = _Track(first.planes.astype(np.int16), first.shown_at_s, first.numbers)
    found: list[Found] = []
    for block in blocks:
        track.add(block)
        margin = 3 * max(_lengths(track.shown_at_s))
        if len(track.planes) - track.done >= _CHUNK_FRAMES + margin:
            found += _look(track, track.done + _CHUNK_FRAMES, least_ratio)
            track.drop(max(0, track.done - margin))
    return found + _look(track, len(track.planes), least_ratio)


def _look(track: _Track, until: int, least_ratio: float) -> list[Found]:
    """Find what lies between those that are done and `until`; frames around help to judge it."""
    gap_s = _gap_s(track.shown_at_s)
    flash_frames = max(1, round(FLASH_S / gap_s))
    cuts = find_cuts(track.planes, flash_frames=flash_frames, least_ratio=least_ratio)
    mixes = find_graduals(track.planes, [c.index for c in cuts], lengths=_lengths(track.shown_at_s))
    found = [
        _found(track, "cut", c.index - 1, c.index, c.score)
        for c in cuts
        if track.done <= c.index < until and not any(m.start < c.index <= m.end for m in mixes)
    ]
    found += [
        _found(track, "gradual", m.start, m.end, m.score)
        for m in mixes
        if track.done <= (m.start + m.end) // 2 < until
    ]
    track.done = until
    return found


def _found(track: _Track, kind: str, before: int, after: int, score: float) -> Found:
    times, numbers = track.shown_at_s, track.numbers
    end_s = float(times[after])
    if kind == "cut":
        return Found(Transition("cut", end_s, end_s, score), int(numbers[before]), int(numbers[after]))
    start_s = float(times[min(before + 1, after)])
    return Found(Transition("gradual", start_s, end_s, score), int(numbers[before]), int(numbers[after]))


def _gap_s(shown_at_s: NDArray[np.float64]) -> float:
    gaps = np.diff(shown_at_s)
    return max(1e-3, float(np.median(gaps))) if len(gaps) else 1.0


def _lengths(shown_at_s: NDArray[np.float64]) -> tuple[int, ...]:
    """Give the lengths of windows in frames at this rate."""
    gaps = np.diff(shown_at_s)
    fps = 1 / max(1e-3, float(np.mean(gaps))) if len(gaps) else _MEANT_FPS
    if _USUAL_FPS[0] <= fps <= _USUAL_FPS[1]:
        return LENGTHS
    scaled = {max(_SHORTEST_FRAMES, round(n * min(fps, 120.0) / _MEANT_FPS)) for n in LENGTHS}
    return tuple(sorted(scaled))
