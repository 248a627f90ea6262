"""What a file is, without decoding more than one frame: `valley probe`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av import VideoFrame
from av.codec.codec import Properties
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.video.stream import VideoStream

from valley.errors import DamagedError
from valley.video.converting import format_has_alpha, quarter_turns
from valley.video.indexing import index_stream
from valley.video.isolation import call_child, request_of
from valley.video.limits import DecodeLimits, Guard
from valley.video.opening import ends_early, open_media, video_stream
from valley.video.pictures import name_of
from valley.video.planning import PacketIndex

UNEVEN_SHARE = (
    0.25  # a gap this far from the median means a variable rate; rounding to milliseconds stays below
)


@dataclass(frozen=True)
class SubtitleStream:
    """An embedded subtitle stream: its number among the subtitle streams, its codec and language tag."""

    number: int
    codec: str
    language: str
    is_text: bool


@dataclass(frozen=True)
class VideoInfo:
    """What a video file is; width and height as displayed, after rotation, times from the first frame.

    `start_s` is the file's own time of the first shown frame, which Valley counts as 0; `fps` is the average.
    `rotation_deg` is counted against the clock. `num_lost_frames` are promised by the header of a file that
    ends early.
    """

    path: str
    size_bytes: int
    container: str
    codec: str
    width_px: int
    height_px: int
    rotation_deg: int
    num_frames: int
    duration_s: float
    fps: float
    is_variable_frame_rate: bool
    start_s: float
    pixel_format: str
    has_alpha: bool
    bit_depth: int
    is_interlaced: bool
    has_audio: bool
    audio_codec: str | None
    subtitles: tuple[SubtitleStream, ...]
    keyframe_times_s: tuple[float, ...]
    num_lost_frames: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return dataclasses.asdict(self)


def probe(
    source: str | Path | bytes, *, limits: DecodeLimits | None = None, isolated: bool = False
) -> VideoInfo:
    """Say what the file is: read its packets, decode one frame.

    Args:
        source: a video file, or its bytes.
        limits: on bytes, pixels, time and memory.
        isolated: look in a child process that is killed at its limits; for files of strangers.

    Raises:
        MediaError: the file is no sound video; the kind tells why.
    """
    guard = Guard(name_of(source), limits or DecodeLimits())
    if isolated:
        return _info_of(call_child(*request_of("probe", source, guard.limits), guard.source, guard.limits)[0])
    with open_media(source, guard) as container:
        stream = video_stream(container, guard)
        is_cut = ends_early(source, guard)
        frame = _first_frame(container, stream, guard)
        turns = quarter_turns(frame.rotation)
        with open_media(source, guard) as fresh:
            index = index_stream(fresh, video_stream(fresh, guard), guard, is_cut=is_cut).index
        guard.duration(index.end_s)
        audio = container.streams.audio
        upright = (frame.width, frame.height) if turns % 2 == 0 else (frame.height, frame.width)
        return VideoInfo(
            path=guard.source,
            size_bytes=len(source) if isinstance(source, bytes) else Path(source).stat().st_size,
            container=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            width_px=upright[0],
            height_px=upright[1],
            rotation_deg=turns * 90,
            num_frames=index.num_frames,
            duration_s=index.end_s,
            fps=index.num_frames / index.end_s if index.end_s > 0 else 0.0,
            is_variable_frame_rate=is_variable(index),
            start_s=float(index.pts[0] * stream.time_base) if stream.time_base else 0.0,
            pixel_format=frame.format.name,
            has_alpha=format_has_alpha(frame.format.name),
            bit_depth=max((c.bits for c in frame.format.components), default=8),
            is_interlaced=frame.interlaced_frame,
            has_audio=bool(audio),
            audio_codec=audio[0].codec_context.name if audio else None,
            subtitles=subtitle_streams(container),
            keyframe_times_s=tuple(index.shown_at_s[index.keyframe].tolist()),
            num_lost_frames=index.num_lost,
        )


def _info_of(answer: dict[str, Any]) -> VideoInfo:
    """Put together what a child answered to the task "probe"."""
    fields = {f.name: answer[f.name] for f in dataclasses.fields(VideoInfo)}
    fields["subtitles"] = tuple(SubtitleStream(**s) for s in fields["subtitles"])
    fields["keyframe_times_s"] = tuple(fields["keyframe_times_s"])
    return VideoInfo(**fields)


def subtitle_streams(container: InputContainer) -> tuple[SubtitleStream, ...]:
    """List the embedded subtitle streams."""
    found: list[SubtitleStream] = []
    for number, stream in enumerate(container.streams.subtitles):
        codec = stream.codec_context.codec
        is_text = bool(codec.properties & Properties.TEXT_SUB.value)
        found.append(SubtitleStream(number, codec.name, stream.language or "und", is_text))
    return tuple(found)


def is_variable(index: PacketIndex) -> bool:
    """Whether frames follow each other at uneven times."""
    gaps = np.diff(index.shown_at_s)
    return bool(len(gaps) > 1 and (np.abs(gaps / np.median(gaps) - 1) > UNEVEN_SHARE).any())


def _first_frame(container: InputContainer, stream: VideoStream, guard: Guard) -> VideoFrame:
    try:
        for packet in container.demux(stream):
            guard.tick()
            try:
                for frame in packet.decode():
                    guard.picture(frame.width, frame.height)
                    return frame
            except InvalidDataError:
                continue
    except FFmpegError as error:
        raise DamagedError(guard.source, f"breaks off: {error.strerror}", "repair the file") from error
    raise DamagedError(guard.source, "no frame can be decoded", "repair the file")
