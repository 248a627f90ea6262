"""Frames: decoded pictures with the time at which each is shown; what does not fit is refused.

Knows nothing of files or codecs. Eight frames of a 720p clip look like this::

    Frames(8 x 720 x 1280, 0.00 s to 11.96 s)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valley.errors import MediaError


@dataclass(frozen=True, eq=False, repr=False)
class Frames:
    """Pictures of one clip, in the order in which they are shown.

    Attributes:
        pixels: u8 [frame, height, width, 3], RGB.
        shown_at_s: f64 [frame], seconds since the first shown frame of the stream; never decreasing.
        missing_s: times of wanted frames that could not be decoded.
        frame_numbers: i64 [frame], position of each frame among all shown frames, where known.
        end_s: when the whole clip ends, where known.

    Raises:
        MediaError: the arrays do not fit each other.
    """

    pixels: NDArray[np.uint8]
    shown_at_s: NDArray[np.float64]
    missing_s: tuple[float, ...] = ()
    frame_numbers: NDArray[np.int64] | None = None
    end_s: float | int | None = None

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[-1] != 3:
            raise _misfit("uint8 [frame, height, width, 3]", f"{self.pixels.dtype} {self.pixels.shape}")
        if 0 in self.pixels.shape[1:3]:
            raise _misfit("pictures with pixels", str(self.pixels.shape))
        if self.shown_at_s.dtype != np.float64 or self.shown_at_s.shape != (len(self.pixels),):
            raise _misfit(
                f"float64 times of {len(self.pixels)} frames",
                f"{self.shown_at_s.dtype} {self.shown_at_s.shape}",
            )
        if not np.isfinite(self.shown_at_s).all() or (np.diff(self.shown_at_s) < 0).any():
            raise _misfit("finite times that never decrease", str(self.shown_at_s.tolist()))
        if self.frame_numbers is not None and self.frame_numbers.shape != (len(self.pixels),):
            raise _misfit(f"{len(self.pixels)} frame numbers", str(self.frame_numbers.shape))

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        if not len(self):
            return "Frames(none)"
        height_px, width_px = self.pixels.shape[1:3]
        missing = f", {len(self.missing_s)} missing" if self.missing_s else ""
        start_s, end_s = self.shown_at_s[0], self.shown_at_s[-1]
        return f"Frames({len(self)} x {height_px} x {width_px}, {start_s:.2f} s to {end_s:.2f} s{missing})"

    @property
    def height_px(self) -> int:
        """Height of every picture."""
        return int(self.pixels.shape[1])

    @property
    def width_px(self) -> int:
        """Width of every picture."""
        return int(self.pixels.shape[2])

    def take(self, positions: Sequence[int] | NDArray[np.int64]) -> Frames:
        """Give the frames at these positions, in this order; positions must not decrease."""
        chosen = np.asarray(positions, dtype=np.int64)
        numbers = None if self.frame_numbers is None else self.frame_numbers[chosen]
        return Frames(self.pixels[chosen], self.shown_at_s[chosen], self.missing_s, numbers, self.end_s)

    @classmethod
    def from_arrays(cls, images: Any, shown_at_s: Any) -> Frames:  # noqa: ANN401
        """Make frames of a list of u8 [height, width, 3] (PIL pictures or arrays), or of one stacked array.

        Args:
            images: all of one size.
            shown_at_s: one time a frame, seconds; a list or an array.

        Raises:
            MediaError: pictures of different size, or times that do not fit.
        """
        arrays = images if isinstance(images, np.ndarray) else [np.asarray(image) for image in images]
        if not isinstance(arrays, np.ndarray) and len({a.shape for a in arrays}) > 1:
            raise _misfit("pictures of one size", str(sorted({a.shape for a in arrays})))
        pixels = np.ascontiguousarray(arrays)
        return cls(
            pixels, np.asarray(shown_at_s, dtype=np.float64), (), np.arange(len(pixels), dtype=np.int64)
        )


def _misfit(wanted: str, got: str) -> MediaError:
    return MediaError("frames", f"want {wanted}, got {got}")
