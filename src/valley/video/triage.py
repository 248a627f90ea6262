"""What tells a clip that is worth looking at from one that is black, frozen or blurred.

Everything is measured on samples half a second apart, so that the frame rate makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from valley.video.small_frames import Sample

_BLACK, _WHITE = 16, 235  # luma of film
_BLACK_LUMA = 32
_BRIGHT_SHARE = 0.02  # of pixels in a black picture that may be brighter: a logo, noise
_STILL_CHANGE = 0.6  # of 255: what the codec alone makes


@dataclass(frozen=True)
class Triage:
    """Numbers about a clip.

    Attributes:
        black_ratio: share of samples that are black.
        static_ratio: share of steps between samples in which nothing moves; 1 of a clip of one sample.
        sharpness: variance of the Laplacian at 256 x 160; the median over samples that are not black.
        brightness: mean, 0 (black) to 1 (white).
        motion: mean change of a pixel in half a second, 0 to 1.
    """

    black_ratio: float
    static_ratio: float
    sharpness: float
    brightness: float
    motion: float


@dataclass
class TriageCounter:
    """Takes samples one by one and keeps a few numbers of each."""

    _black: list[bool] = field(default_factory=list)
    _sharpness: list[float] = field(default_factory=list)
    _brightness: list[float] = field(default_factory=list)
    _changes: list[float] = field(default_factory=list)
    _last: NDArray[np.int16] | None = None

    def see(self, sample: Sample) -> None:
        """Take one sample."""
        luma = sample.luma
        self._black.append(int(np.count_nonzero(luma >= _BLACK_LUMA)) < _BRIGHT_SHARE * luma.size)
        self._sharpness.append(sharpness(luma.astype(np.int16)))
        small = _quarter(luma.astype(np.int16))
        self._brightness.append(float(small.mean()))
        if self._last is not None:
            self._changes.append(float(np.abs(small - self._last).mean()))
        self._last = small

    def result(self) -> Triage:
        """Sum up; at least one sample must have been seen."""
        shown = [s for s, black in zip(self._sharpness, self._black, strict=True) if not black]
        span = _WHITE - _BLACK
        changes = np.asarray(self._changes)
        return Triage(
            black_ratio=float(np.mean(self._black)),
            static_ratio=float((changes < _STILL_CHANGE).mean()) if len(changes) else 1.0,
            sharpness=float(np.median(shown)) if shown else 0.0,
            brightness=float(np.clip((np.mean(self._brightness) - _BLACK) / span, 0, 1)),
            motion=float(min(1.0, changes.mean() / span)) if len(changes) else 0.0,
        )


def sharpness(luma: NDArray[np.int16]) -> float:
    """Give the variance of the Laplacian of i16 [height, width]."""
    centre = luma[1:-1, 1:-1]
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((around - 4 * centre).astype(np.float32).var())


def _quarter(luma: NDArray[np.int16]) -> NDArray[np.int16]:
    """Average 4 x 4 pixels."""
    rows = luma[::4] + luma[1::4] + luma[2::4] + luma[3::4]
    return (rows[:, ::4] + rows[:, 1::4] + rows[:, 2::4] + rows[:, 3::4]) // 16
