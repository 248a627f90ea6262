"""How much work a file may cause before reading it stops with an error."""

from __future__ import annotations

import time
from dataclasses import dataclass

from valley.errors import DecodeTimeoutError, TooLargeError, TooLongError


@dataclass(frozen=True)
class DecodeLimits:
    """Bounds on one reading of one file. The defaults let through what people own and stop what runs away.

    Attributes:
        max_size_bytes: of the file. 64 GiB: a day of 1080p.
        max_pixels: of one picture. 2**26: twice an 8K frame.
        max_duration_s: of the clip. 48 h: nobody asks about more at once.
        max_frames_walked: packets in the index, frames decoded. 10 million: 46 h at 60 fps; a small file can
            hold many times that.
        timeout_s: wall clock of the whole reading. 10 min: two hours of one single group of pictures fit.
        max_memory_bytes: of the wanted frames together, and of the child process when isolated. 4 GiB: 1,500
            frames of 720p; a model sees far fewer.
    """

    max_size_bytes: int = 64 * 2**30
    max_pixels: int = 2**26
    max_duration_s: float | int = 48 * 3600.0
    max_frames_walked: int = 10_000_000
    timeout_s: float | int = 600.0
    max_memory_bytes: int = 4 * 2**30

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"limit {name} must be above 0, got {value}")


# For files of strangers (uploads, downloads): an hour of 4K at most, half a minute of work, one GiB.
UNTRUSTED = DecodeLimits(
    max_size_bytes=2 * 2**30,
    max_pixels=4096 * 2304,
    max_duration_s=2 * 3600.0,
    max_frames_walked=500_000,
    timeout_s=30.0,
    max_memory_bytes=2**30,
)


class Guard:
    """The limits at work during one reading; every check raises the typed error with the file's name."""

    def __init__(self, source: str, limits: DecodeLimits) -> None:
        """Start the clock."""
        self.source = source
        self.limits = limits
        self._deadline = time.monotonic() + limits.timeout_s

    def tick(self) -> None:
        """Raise once the time is up."""
        if time.monotonic() > self._deadline:
            raise DecodeTimeoutError(
                self.source, f"reading took longer than {self.limits.timeout_s:g} s", "raise timeout_s"
            )

    def size(self, size_bytes: int) -> None:
        """Refuse a file that is too large."""
        if size_bytes > self.limits.max_size_bytes:
            raise TooLargeError(
                self.source,
                f"has {size_bytes} bytes, the limit is {self.limits.max_size_bytes}",
                "raise max_size_bytes or cut the file",
            )

    def picture(self, width_px: int, height_px: int) -> None:
        """Refuse a picture with too many pixels."""
        if width_px * height_px > self.limits.max_pixels:
            raise TooLargeError(
                self.source,
                f"its pictures are {width_px} x {height_px}, the limit is {self.limits.max_pixels} pixels",
                "raise max_pixels or scale the file down",
            )

    def duration(self, duration_s: float | int | None) -> None:
        """Refuse a clip that lasts too long."""
        if duration_s is not None and duration_s > self.limits.max_duration_s:
            raise TooLongError(
                self.source,
                f"lasts {duration_s:.0f} s, the limit is {self.limits.max_duration_s:g} s",
                "raise max_duration_s or cut the file",
            )

    def count(self, num_frames: int) -> None:
        """Refuse a clip with too many frames."""
        if num_frames > self.limits.max_frames_walked:
            raise TooLongError(
                self.source,
                f"holds more than {self.limits.max_frames_walked} frames",
                "raise max_frames_walked or cut the file",
            )

    def memory(self, num_frames: int, width_px: int, height_px: int) -> None:
        """Refuse a wish for more pixels than may be held."""
        wanted_bytes = num_frames * width_px * height_px * 3
        if wanted_bytes > self.limits.max_memory_bytes:
            raise TooLargeError(
                self.source,
                f"{num_frames} frames of {width_px} x {height_px} need {wanted_bytes} bytes, the limit is "
                f"{self.limits.max_memory_bytes}",
                "ask for fewer frames, give size_px, or raise max_memory_bytes",
            )
