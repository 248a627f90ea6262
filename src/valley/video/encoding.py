"""The one place where frames become a file: synthetic clips and test fixtures.

The same frames and options give the same bytes; a file appears whole or not at all.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from valley.errors import MediaError

TICKS_PER_S = 90_000  # MPEG's clock: exact for all usual frame rates
_FORMAT_OF_SUFFIX = {".mkv": "matroska", ".ts": "mpegts"}  # where FFmpeg's name is not the suffix


def write_video(
    path: str | Path,
    pixels: Iterable[NDArray[np.uint8]],
    *,
    fps: float | int | Fraction | None = None,
    shown_at_s: Iterable[float | int] | None = None,
    codec: str = "libx264",
    crf: int | None = None,
    pixel_format: str = "yuv420p",
    options: Mapping[str, str] | None = None,
) -> Path:
    """Encode frames into a file whose suffix says the container.

    Args:
        path: .mp4, .mov, .mkv, .webm, .avi, .gif or .ts.
        pixels: u8 [height, width, 3] each (or 4 with alpha), all of one size; may be a generator.
        fps: even rate; or
        shown_at_s: one time a frame, increasing seconds.
        codec: FFmpeg's name of the encoder.
        crf: quality, lower is better; the encoder's own default where None.
        pixel_format: FFmpeg's name.
        options: more options of the encoder, such as {"g": "30", "bf": "0", "preset": "veryfast"}.

    Returns:
        The path.

    Raises:
        MediaError: no frames, frames of different size, neither/both of `fps` and `shown_at_s`, an unknown
            suffix, or the file cannot be written.
    """
    path = Path(path)
    if (fps is None) == (shown_at_s is None):
        raise MediaError(path, "want either fps or shown_at_s")
    frames = iter(pixels)
    first = next(frames, None)
    if first is None:
        raise MediaError(path, "want at least one frame to write")
    rate = Fraction(fps).limit_denominator(1001) if fps is not None else Fraction(30)
    times = iter(shown_at_s) if shown_at_s is not None else (i / float(rate) for i in range(2**62))
    settings = dict(options or {}) | ({} if crf is None else {"crf": str(crf)})
    # One thread and no version strings: the same bytes on every machine.
    settings = {"threads": "1"} | settings
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    suffix = path.suffix.lower()
    container_format = _FORMAT_OF_SUFFIX.get(suffix, suffix[1:])
    if container_format not in av.formats_available:
        raise MediaError(path, f"FFmpeg knows no container {suffix!r}", "write to a name such as out.mp4")
    try:
        with av.open(str(part), "w", format=container_format, options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream(codec, rate=rate, options=settings)
            stream.height, stream.width = first.shape[:2]
            stream.pix_fmt = pixel_format
            stream.codec_context.flags |= Flags.bitexact
            time_base = Fraction(1, TICKS_PER_S) if shown_at_s is not None else 1 / rate
            stream.codec_context.time_base = time_base
            _encode(container, stream, chain([first], frames), (round(t / time_base) for t in times), path)
        part.replace(path)
    except FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise MediaError(path, f"cannot be written: {reason.lower()}") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _encode(
    container: OutputContainer,
    stream: VideoStream,
    frames: Iterable[NDArray[np.uint8]],
    stamps: Iterator[int],
    path: Path,
) -> None:
    time_base = stream.codec_context.time_base
    for number, picture in enumerate(frames):
        stamp = next(stamps, None)
        if stamp is None:
            raise MediaError(path, f"got fewer times than frames: {number}")
        if picture.shape[:2] != (stream.height, stream.width):
            raise MediaError(
                path, f"want {stream.height} x {stream.width}, frame {number} is {picture.shape}"
            )
        layout = "rgba" if picture.shape[2] == 4 else "rgb24"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=layout)
        frame.pts = stamp
        frame.time_base = time_base
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
