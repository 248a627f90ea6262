"""The one place where a video is opened; it takes local files and bytes alone, no playlist and no address.

What is open here is an FFmpeg container; `valley.video.decoding` offers what callers want of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from valley.errors import MediaNotFoundError, NotAVideoError, NoVideoStreamError
from valley.video.limits import Guard
from valley.video.structure import explain_unreadable, is_cut_short, refuse_bad_head

# Demuxers that read other files, addresses or devices than the one given, or take any text for a picture.
_REFUSED_FORMATS = frozenset(
    {
        "hls",
        "applehttp",
        "dash",
        "concat",
        "concatf",
        "image2",
        "sdp",
        "rtsp",
        "rtp",
        "tty",
        "lavfi",
        "imf",
        "sap",
        "vobsub",
        "svg_pipe",
        "webm_dash_manifest",
        "alsa",
        "oss",
        "fbdev",
        "kmsgrab",
        "x11grab",
        "video4linux2,v4l2",
    }
)
_OPEN_TIMEOUT_S = 30.0  # local files answer at once; a dead network mount must not hang


@lru_cache(maxsize=1)
def _format_whitelist() -> str:
    return ",".join(sorted(av.formats_available - _REFUSED_FORMATS))


@contextmanager
def open_media(source: str | Path | bytes, guard: Guard) -> Iterator[InputContainer]:
    """Open a container for reading; closed on leaving.

    Raises:
        MediaNotFoundError: no such file.
        EmptyMediaError: no bytes.
        TooLargeError: more bytes than allowed.
        NotAVideoError: nothing that FFmpeg reads, or a folder.
        TruncatedError: cut before its index.
    """
    with _open_bytes(source, guard) as file:
        refuse_bad_head(guard.source, file)
        options = {"format_whitelist": _format_whitelist(), "protocol_whitelist": "file"}
        file.seek(0)
        # By name FFmpeg reads faster than through a Python file; "file:" keeps a name from being an address.
        target = file if isinstance(source, bytes) else f"file:{Path(source).absolute()}"
        try:
            container = av.open(
                target,
                mode="r",
                options=options,
                timeout=_OPEN_TIMEOUT_S,
                metadata_errors="replace",  # titles are in any encoding
            )
        except MemoryError:
            raise
        except FFmpegError as error:
            raise explain_unreadable(guard.source, file) from error
        with container:
            yield container


@contextmanager
def _open_bytes(source: str | Path | bytes, guard: Guard) -> Iterator[io.BufferedIOBase]:
    if isinstance(source, bytes):
        guard.size(len(source))
        yield io.BytesIO(source)
        return
    path = Path(source)
    if path.is_dir():
        raise NotAVideoError(guard.source, "is a folder, not a video file", "give one of its files")
    if not path.is_file():
        raise MediaNotFoundError(guard.source, "there is no such file", "check the path")
    guard.size(path.stat().st_size)
    with path.open("rb") as file:
        yield file


def video_stream(container: InputContainer, guard: Guard) -> VideoStream:
    """Give the stream to look at: the default one, never a cover picture.

    Raises:
        NoVideoStreamError: audio or subtitles only.
        TooLargeError: its pictures have too many pixels.
        TooLongError: it holds, or promises, too many frames.
    """
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    # A stream whose codec is unknown has no context, whatever its type says.
    readable = [s for s in moving if s.codec_context is not None]
    if moving and not readable:
        raise NoVideoStreamError(guard.source, "its codec is unknown", "convert it to H.264 or VP9")
    moving = readable
    if not moving:
        raise NoVideoStreamError(guard.source, "the file has no video stream", "give a file with pictures")
    default = [s for s in moving if s.disposition & Disposition.default]
    stream = (default or moving)[0]
    context = stream.codec_context
    guard.picture(context.width, context.height)
    if container.format.name.startswith("mov"):  # its index says how many; to count them takes long
        guard.count(stream.frames)
    if container.duration is not None:
        guard.duration(container.duration / av.time_base)
    context.options = {"max_pixels": str(guard.limits.max_pixels)}
    return stream


def ends_early(source: str | Path | bytes, guard: Guard) -> bool:
    """Whether the container's own sizes reach beyond the end of the file."""
    with _open_bytes(source, guard) as file:
        return is_cut_short(file)
