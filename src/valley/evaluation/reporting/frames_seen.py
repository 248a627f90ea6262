"""The frames that a model was shown, read again from the recorded file as little pictures for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from valley.errors import MediaError, SamplingError
from valley.evaluation.asking import Hashes
from valley.evaluation.records import MediumRecord
from valley.video.decoding import read_frames
from valley.video.limits import DecodeLimits
from valley.video.sampling import FrameSampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from valley.video.frames import Frames

MOST_PICTURES = 8
_SHORTER_SIDE_PX = 96
_JPEG_QUALITY = 70
_LIMITS = DecodeLimits(timeout_s=20.0, max_memory_bytes=2**30)


@dataclass(frozen=True)
class Picture:
    """A frame.

    Attributes:
        jpeg: address of its bytes ("data:...").
        time_s: when it is on display; None of a still picture.
        width_px: of the little picture.
        height_px: of the little picture.
    """

    jpeg: str
    time_s: float | None
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Strip:
    """What was shown of one medium.

    Attributes:
        path: of the medium, as it is recorded.
        kind: "image" or "video".
        timestamps_s: of all frames that the model was shown.
        pictures: some of these, evenly chosen; none where the file cannot be read.
        fault: why not.
        is_guess: whether the engine does not say which frames it saw, and these are spread over the clip.
    """

    path: str
    kind: str
    timestamps_s: tuple[float | int, ...]
    pictures: tuple[Picture, ...]
    fault: str
    is_guess: bool


def strip_of(medium: MediumRecord, folder: Path, hashes: Hashes, *, most: int = MOST_PICTURES) -> Strip:
    """Read a medium again; a file that is gone, or is another one now, is told of in words.

    Args:
        medium: the record.
        folder: of the run.
        hashes: of files, each made once.
        most: pictures.
    """
    is_guess = medium.kind == "video" and not medium.timestamps_s
    pictures: tuple[Picture, ...] = ()
    fault = _fault(medium, folder, hashes)
    if not fault:
        try:
            pictures = _pictures(folder / medium.path, medium, most)
        except (MediaError, SamplingError, OSError) as error:
            fault = error.reason if isinstance(error, MediaError) else str(error)
    return Strip(medium.path, medium.kind, medium.timestamps_s, pictures, fault, is_guess)


def _fault(medium: MediumRecord, folder: Path, hashes: Hashes) -> str:
    found = hashes.of(folder / medium.path)
    if found is None:
        return "is not here any more"
    if medium.sha256 is not None and found != medium.sha256:
        return "has changed since it was asked about"
    return ""


def _pictures(path: Path, medium: MediumRecord, most: int) -> tuple[Picture, ...]:
    if medium.kind == "image":
        frames = read_frames([path], size_px=_SHORTER_SIDE_PX, limits=_LIMITS, isolated=True)
        return tuple(_picture(pixels, None) for pixels in frames.pixels)
    times_s = evenly(sorted(set(medium.timestamps_s)), most)
    sampling = FrameSampling(times_s=tuple(times_s)) if times_s else FrameSampling(num_frames=most)
    frames: Frames = read_frames(path, sampling, size_px=_SHORTER_SIDE_PX, limits=_LIMITS, isolated=True)
    shown = zip(frames.pixels, frames.shown_at_s, strict=True)
    return tuple(_picture(pixels, float(time_s)) for pixels, time_s in shown)


def evenly(times_s: Sequence[float | int], most: int) -> list[float | int]:
    """Choose from first to last; all where there are no more than `most`."""
    if len(times_s) <= most:
        return list(times_s)
    last = len(times_s) - 1
    return [times_s[round(place * last / (most - 1))] for place in range(most)]


def _picture(pixels: NDArray[np.uint8], time_s: float | None) -> Picture:
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=_JPEG_QUALITY)
    address = "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")
    return Picture(address, time_s, pixels.shape[1], pixels.shape[0])
