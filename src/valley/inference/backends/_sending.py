"""Media of a conversation as parts of a request: the whole file, frames read here, or pictures with times.

A clip of two frames, in each of the three ways::

    {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA", "start": 2.0}}
    {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64,AA==,AA==", "timestamps_s": [0, 2]}}
    {"type": "text", "text": "0.00 s:"} {"type": "image_url", "image_url": {"url": "data:image/png;..."}} ...
"""

from __future__ import annotations

import base64
import hashlib
import io
import mimetypes
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

from valley.conversation import Image, Video
from valley.errors import MediaNotFoundError, TooLargeError
from valley.inference.backend import GenerationParams, MediaUse
from valley.inference.backends._server import Server
from valley.inference.backends._server_errors import RefusedError
from valley.inference.media import MediaReader
from valley.inference.options import sampling_from
from valley.video.sampling import FrameSampling
from valley.video.subtitles import as_prompt, read_subtitles

SendVideo: TypeAlias = Literal["file", "frames", "images"]

# A data URL is held in memory by both sides, a third larger than the file.
MOST_INLINE_BYTES = 64 * 2**20
# What is larger is uploaded once, where the server takes files, and named in later questions.
_INLINE_BYTES = 2**18
# Models take pictures of a few hundred pixels: 720p is enough for all, and 4K is nine times the bytes.
_LONGEST_SIDE_PX = 1280
# Up to here a picture is sent as it is, without loss; above, as JPEG of the best quality that is still small.
_LOSSLESS_PIXELS = 512 * 512
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class SentMedium:
    """One medium as it goes into a request.

    Attributes:
        parts: of the message's content.
        use: what is known of it here; a server that samples may know more.
        is_file: whether the server samples.
        file_id: what the server calls it, where it was uploaded.
    """

    parts: tuple[dict[str, Any], ...]
    use: MediaUse
    is_file: bool = False
    file_id: str | None = None


class MediaSender:
    """Turns media into parts, and remembers which files the server has."""

    def __init__(
        self, server: Server, reader: MediaReader, *, send_video: SendVideo, to_valley: bool
    ) -> None:
        """Set the way of sending; `valley serve` takes uploads, windows of clips, and the times of frames."""
        self._server, self._reader = server, reader
        self.send_video: SendVideo = send_video
        self._takes_files = self._to_valley = to_valley
        self._uploaded: dict[Hashable, str] = {}
        self._lock = threading.Lock()

    def sent(self, media: Sequence[Image | Video], params: GenerationParams) -> list[SentMedium]:
        """Make the parts of all media of a request.

        Raises:
            MediaError: one cannot be read, or is too large.
        """
        clips = [m for m in media if isinstance(m, Video)]
        as_files = {id(clip) for clip in clips if self._goes_whole(clip, params)}
        if params.sampling is not None and params.sampling.fps is not None and len(as_files) < len(clips):
            as_files = set()  # the rate would be taken of the frames that were read here, too
        return [self._sent(m, params, as_file=id(m) in as_files) for m in media]

    def _goes_whole(self, clip: Video, params: GenerationParams) -> bool:
        in_window = (clip.start_s, clip.end_s) != (None, None)
        is_said = is_sayable(params.sampling) and (self._to_valley or not in_window)
        return self.send_video == "file" and is_said and not _is_folder(clip.source)

    def _sent(self, medium: Image | Video, params: GenerationParams, *, as_file: bool) -> SentMedium:
        if isinstance(medium, Image):
            return self._image(medium, params)
        return self._whole(medium, params) if as_file else self._read(medium, params)

    def forget(self, sent: Sequence[SentMedium]) -> bool:
        """Forget the uploads that were named in a request; give whether there were any."""
        named = {m.file_id for m in sent if m.file_id is not None}
        with self._lock:
            self._uploaded = {key: i for key, i in self._uploaded.items() if i not in named}
        return bool(named)

    def delete_uploads(self) -> None:
        """Let the server delete what was uploaded to it."""
        with self._lock:
            ids, self._uploaded = list(self._uploaded.values()), {}
        for file_id in ids:
            if not self._server.delete(f"files/{file_id}"):
                return

    def _image(self, image: Image, params: GenerationParams) -> SentMedium:
        use = MediaUse(_name(image.source), "image", 0.0, (0.0,))
        if self.send_video == "file":
            url, file_id = self._url(image.source, "image/png")
        else:
            url, file_id = _data_url(*_encoded(self._reader.shown(image, params).frames.pixels[0])), None
        return SentMedium(({"type": "image_url", "image_url": {"url": url}},), use, file_id=file_id)

    def _whole(self, video: Video, params: GenerationParams) -> SentMedium:
        use = MediaUse(_name(video.source), "video", 0.0, ())
        if not params.isolated:  # the index alone is read: what is no video is found before it is sent
            use = self._reader.glance(video, sampling=params.sampling).use
        window = {"start": video.start_s, "end": video.end_s}
        url, file_id = self._url(video.source, "video/mp4")
        said = {"url": url, **{k: v for k, v in window.items() if v is not None}}
        part = {"type": "video_url", "video_url": said}
        return SentMedium((part, *_subtitles(video)), use, is_file=True, file_id=file_id)

    def _read(self, video: Video, params: GenerationParams) -> SentMedium:
        frames = self._reader.shown(video, params).frames
        times_s = tuple(round(float(t), 6) for t in frames.shown_at_s)
        duration_s = float(frames.end_s if frames.end_s is not None else times_s[-1])
        use = MediaUse(_name(video.source), "video", round(duration_s, 6), times_s, frames.missing_s)
        pictures = [_encoded(pixels) for pixels in frames.pixels]
        if self.send_video == "images":
            parts = [
                part
                for time_s, picture in zip(times_s, pictures, strict=True)
                for part in (
                    {"type": "text", "text": f"{time_s:.2f} s:"},
                    {"type": "image_url", "image_url": {"url": _data_url(*picture)}},
                )
            ]
        else:
            together = ",".join(base64.b64encode(data).decode() for data, _ in pictures)
            said: dict[str, Any] = {"url": f"data:video/jpeg;base64,{together}"}
            if self._to_valley:
                said["timestamps_s"] = times_s
            parts = [{"type": "video_url", "video_url": said}]
        return SentMedium((*parts, *_subtitles(video)), use)

    def _url(self, source: str | Path | bytes, kind: str) -> tuple[str, str | None]:
        """Give a data URL, or twice the id that the server gave the file."""
        size_bytes = _size_bytes(source)
        if self._takes_files and size_bytes > _INLINE_BYTES:
            file_id = self._upload(source, kind)
            if file_id is not None:
                return file_id, file_id
        if size_bytes > MOST_INLINE_BYTES:
            raise TooLargeError(
                _name(source),
                f"has {size_bytes} bytes; the limit for a file within a request is {MOST_INLINE_BYTES}",
                "cut the file, or send its frames (send_video='frames')",
            )
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        return _data_url(data, _media_type(source, kind)), None

    def _upload(self, source: str | Path | bytes, kind: str) -> str | None:
        key = _stamp(source)
        with self._lock:
            if key in self._uploaded:
                return self._uploaded[key]
        file = source if isinstance(source, bytes) else Path(source)
        try:
            made = self._server.upload("files", file, _media_type(source, kind))
        except RefusedError as error:
            if error.status in (404, 405, 501):
                self._takes_files = False
                return None
            raise
        file_id = made.get("id") if isinstance(made, dict) else None
        if not isinstance(file_id, str):
            return None
        with self._lock:
            return self._uploaded.setdefault(key, file_id)


def is_sayable(sampling: FrameSampling | None) -> bool:
    """Whether a wish for frames can be said in a request: how many, how many a second, or nothing."""
    return sampling is None or sampling == sampling_from(**said_frames(sampling))


def said_frames(sampling: FrameSampling | None) -> dict[str, Any]:
    """Give what a request says of a wish for frames."""
    if sampling is None:
        return {}
    if sampling.fps is None:
        return {"num_frames": sampling.num_frames}
    return {"fps": sampling.fps, "num_frames": sampling.max_frames}


def _subtitles(video: Video) -> tuple[dict[str, Any], ...]:
    if video.subtitles == "off":
        return ()
    words = as_prompt(read_subtitles(video.source, video.subtitles), video.start_s, video.end_s)
    # As Valley's chat template has them behind a clip.
    return ({"type": "text", "text": f"\nSubtitles:\n{words}\n"},) if words else ()


def _encoded(pixels: NDArray[np.uint8]) -> tuple[bytes, str]:
    picture = Pictures.fromarray(pixels)
    if max(picture.size) > _LONGEST_SIDE_PX:
        picture.thumbnail((_LONGEST_SIDE_PX, _LONGEST_SIDE_PX), Pictures.Resampling.BICUBIC)
    file = io.BytesIO()
    if picture.width * picture.height <= _LOSSLESS_PIXELS:
        picture.save(file, "PNG", compress_level=1)
        return file.getvalue(), "image/png"
    picture.save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return file.getvalue(), "image/jpeg"


def _data_url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _media_type(source: str | Path | bytes, kind: str) -> str:
    """Guess by the name; servers look at the content."""
    if isinstance(source, bytes):
        return kind
    guessed = mimetypes.guess_type(str(source))[0] or kind
    return guessed if guessed.split("/")[0] == kind.split("/")[0] else kind


def _size_bytes(source: str | Path | bytes) -> int:
    if isinstance(source, bytes):
        return len(source)
    path = Path(source)
    if not path.is_file():
        raise MediaNotFoundError(source, "there is no such file", "check the path")
    return path.stat().st_size


def _stamp(source: str | Path | bytes) -> Hashable:
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=16).hexdigest()
    stat = Path(source).stat()
    return (str(Path(source).resolve()), stat.st_size, stat.st_mtime_ns)


def _is_folder(source: str | Path | bytes) -> bool:
    return not isinstance(source, bytes) and Path(source).is_dir()


def _name(source: str | Path | bytes) -> str:
    return f"{len(source)} bytes" if isinstance(source, bytes) else str(source)
