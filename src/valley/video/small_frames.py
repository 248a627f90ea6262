"""Read a clip as small pictures, in one pass that feeds shot detectors, perceptual hashes and triage.

Decoding takes nearly all of the time. So the loop filter, which nobody sees at this size, is left out; and
where a detector can do with less, so are the frames that no other frame leans on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av import VideoFrame
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from valley.errors import DamagedError, NotAVideoError, TruncatedError
from valley.video.converting import quarter_turns
from valley.video.indexing import IndexedStream, index_stream
from valley.video.limits import Guard
from valley.video.opening import ends_early, open_media, video_stream
from valley.video.pictures import is_still
from valley.video.planning import Stretch, keyframe_before
from valley.video.walking import PacketReader

COARSE_WIDTH_PX, COARSE_HEIGHT_PX = 24, 16
SAMPLE_WIDTH_PX, SAMPLE_HEIGHT_PX = 256, 160
SAMPLE_GAP_S = 0.5
# FFmpeg's quickest scaling looks at a few pixels only; averaging 4 x 4 of them makes up for that.
_RAW_WIDTH_PX, _RAW_HEIGHT_PX = COARSE_WIDTH_PX * 4, COARSE_HEIGHT_PX * 4
_BLOCK_FRAMES = 256


@dataclass(frozen=True, eq=False)
class Sample:
    """A frame every `SAMPLE_GAP_S`, upright: u8 [160, 256] luma, which is 16 at black and 235 at white."""

    shown_at_s: float
    luma: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SmallFrames:
    """Frames that follow each other.

    Attributes:
        planes: u8 [frame, 3, 16, 24], luma and both chromas.
        shown_at_s: f64 [frame], seconds from the first shown frame.
        numbers: i64 [frame], position in shown order; gaps are frames that were skipped.
        samples: those of these frames that are sampled.
        pictures: u8 [frame, height, width, 3] in the order blue, green, red, where they were asked for.
    """

    planes: NDArray[np.uint8]
    shown_at_s: NDArray[np.float64]
    numbers: NDArray[np.int64]
    samples: tuple[Sample, ...] = ()
    pictures: NDArray[np.uint8] | None = None


class SmallFrameReader:
    """Reads one clip; `blocks` once, then `between` as often as wanted. To be closed, or used in `with`."""

    def __init__(self, source: str | Path, guard: Guard, *, picture_width_px: int | None = None) -> None:
        """Open the clip and read its index.

        Raises:
            MediaError: the file is no sound video; the kind tells why.
        """
        if is_still(source):
            raise NotAVideoError(guard.source, "is a still picture", "give a video")
        self._guard = guard
        # One each: a scaler that changes its size sets itself up anew.
        self._scalers = {use: VideoReformatter() for use in ("coarse", "sample", "picture")}
        self._picture_width_px = picture_width_px
        with ExitStack() as stack:
            container = stack.enter_context(open_media(source, guard))
            stream = video_stream(container, guard)
            indexed = index_stream(container, stream, guard, is_cut=ends_early(source, guard))
            _refuse_cut(indexed, guard)
            self.index = indexed.index
            self._context = stream.codec_context
            self._context.thread_count = 1
            self._context.options = {**self._context.options, "skip_loop_filter": "all"}
            self._packets = PacketReader(container, stream, indexed)
            self._stack = stack.pop_all()

    def __enter__(self) -> SmallFrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def blocks(self, *, skip_unreferenced: bool) -> Iterator[SmallFrames]:
        """Yield the clip in blocks of some hundred frames.

        Raises:
            DamagedError: a frame cannot be decoded.
        """
        # Where frames must be counted to know which is which, none can be skipped.
        skip = skip_unreferenced and not self.index.counted
        numbered = self._decode(Stretch(0, len(self.index.packet_pts) - 1), 0, skip=skip)
        next_sample_s = 0.0
        first = next(numbered, None)
        if first is None:
            raise DamagedError(self._guard.source, "no frame can be decoded", "repair the file")
        frames: Iterator[tuple[int, VideoFrame]] = chain([first], numbered)
        while True:
            block, next_sample_s = self._block(frames, next_sample_s)
            if not len(block.numbers):
                return
            yield block

    def between(self, first: int, last: int) -> SmallFrames:
        """Decode each of the frames first ... last, by their position in shown order."""
        index = self.index
        packets = index.packet[first : last + 1]
        begin = min(keyframe_before(index, int(p)) for p in packets)
        start = int(np.searchsorted(index.packet[first:], begin)) if index.counted else first
        stretch = Stretch(begin, int(packets.max()))
        frames = self._decode(stretch, 0 if index.counted else start, skip=False)
        wanted = (f for f in frames if first <= f[0] <= last)
        return self._block(wanted, float("inf"))[0]

    def _decode(self, stretch: Stretch, counter: int, *, skip: bool) -> Iterator[tuple[int, VideoFrame]]:
        """Yield (position in shown order, frame)."""
        context = self._context
        context.flush_buffers()
        context.skip_frame = "NONREF" if skip else "DEFAULT"
        for _, packet in self._packets.read(stretch):
            self._guard.tick()
            for frame in self._sound(packet):
                place = self._place(frame, counter)
                counter += 1
                if place is not None:
                    yield place, frame
        for frame in self._sound(None):
            place = self._place(frame, counter)
            counter += 1
            if place is not None:
                yield place, frame
        context.flush_buffers()

    def _sound(self, packet: Any) -> list[VideoFrame]:  # noqa: ANN401
        try:
            frames = self._context.decode(packet)
        except MemoryError:  # FFmpeg's is one of its errors too, but says nothing of the file
            raise
        except FFmpegError as error:
            raise DamagedError(
                self._guard.source, f"a packet cannot be decoded: {error.strerror}", "repair the file"
            ) from error
        if any(f.is_corrupt for f in frames) or (packet is not None and packet.is_corrupt):
            raise DamagedError(self._guard.source, "a frame is damaged", "repair the file")
        return frames

    def _place(self, frame: VideoFrame, counter: int) -> int | None:
        """Say the position in shown order; None for a frame that is not shown."""
        if self.index.counted:
            return counter if counter < self.index.num_frames else None
        if frame.pts is None:
            return None
        place = int(np.searchsorted(self.index.pts, frame.pts))
        known = place < self.index.num_frames and self.index.pts[place] == frame.pts
        return place if known else None

    def _block(
        self, frames: Iterator[tuple[int, VideoFrame]], next_sample_s: float
    ) -> tuple[SmallFrames, float]:
        raw = np.empty((_BLOCK_FRAMES, _RAW_HEIGHT_PX * 3 // 2, _RAW_WIDTH_PX), dtype=np.uint8)
        numbers, samples, pictures = [], [], []
        for number, frame in frames:
            self._guard.picture(frame.width, frame.height)
            shown_at_s = float(self.index.shown_at_s[number])
            scaled = self._scaled(
                "coarse", frame, (_RAW_WIDTH_PX, _RAW_HEIGHT_PX), "yuv420p", "FAST_BILINEAR"
            )
            _copy_planes(scaled, raw[len(numbers)])
            numbers.append(number)
            if shown_at_s >= next_sample_s:
                samples.append(Sample(shown_at_s, self._upright(frame)))
                next_sample_s = (np.floor(shown_at_s / SAMPLE_GAP_S + 1e-6) + 1) * SAMPLE_GAP_S
            if self._picture_width_px is not None:
                pictures.append(self._picture(frame, self._picture_width_px))
            if len(numbers) == _BLOCK_FRAMES:
                break
        places = np.asarray(numbers, dtype=np.int64)
        block = SmallFrames(
            coarse(raw[: len(numbers)]),
            self.index.shown_at_s[places],
            places,
            tuple(samples),
            np.stack(pictures) if pictures else None,
        )
        return block, next_sample_s

    def _picture(self, frame: VideoFrame, width_px: int) -> NDArray[np.uint8]:
        height_px = max(2, round(frame.height * width_px / frame.width))
        scaled = self._scaled("picture", frame, (width_px, height_px), "bgr24", "AREA")
        return cast("NDArray[np.uint8]", scaled.to_ndarray())

    def _upright(self, frame: VideoFrame) -> NDArray[np.uint8]:
        turns = quarter_turns(frame.rotation)
        size_px = (SAMPLE_WIDTH_PX, SAMPLE_HEIGHT_PX)[:: -1 if turns % 2 else 1]
        # Scaling to gray takes longer: it changes the range of levels too.
        scaled = self._scaled("sample", frame, size_px, "yuv420p", "AREA")
        return np.ascontiguousarray(np.rot90(_plane(scaled, 0), turns))

    def _scaled(
        self, scaler: str, frame: VideoFrame, size_px: tuple[int, ...], layout: str, how: str
    ) -> VideoFrame:
        return self._scalers[scaler].reformat(
            frame, width=size_px[0], height=size_px[1], format=layout, interpolation=how, **_one_thread()
        )


def _plane(frame: VideoFrame, number: int) -> NDArray[np.uint8]:
    plane = frame.planes[number]
    return np.frombuffer(cast("bytes", plane), dtype=np.uint8).reshape(plane.height, plane.line_size)[
        :, : plane.width
    ]


def _copy_planes(frame: VideoFrame, raw: NDArray[np.uint8]) -> None:
    """Copy luma, and below it both chromas one after the other, without the detours of `to_ndarray`."""
    raw[:_RAW_HEIGHT_PX] = _plane(frame, 0)
    chroma = raw[_RAW_HEIGHT_PX:].reshape(2, _RAW_HEIGHT_PX // 2, _RAW_WIDTH_PX // 2)
    chroma[0], chroma[1] = _plane(frame, 1), _plane(frame, 2)


@lru_cache(maxsize=1)
def _one_thread() -> dict[str, Any]:
    """Keep PyAV from scaling in threads, as it does from version 17 on: they cost more than they save."""
    return {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


def _refuse_cut(indexed: IndexedStream, guard: Guard) -> None:
    index = indexed.index
    if index.num_lost:
        reason = f"the file ends early: {index.num_lost} of {index.num_frames} frames are missing"
        raise TruncatedError(guard.source, reason, "fetch or copy it again")
    guard.duration(index.end_s)


def coarse(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average u8 [frame, 96, 96], 64 rows of luma above both chromas, to u8 [frame, 3, 16, 24]."""
    luma = _halved(_halved(raw[:, :_RAW_HEIGHT_PX].astype(np.uint16)))
    chroma = raw[:, _RAW_HEIGHT_PX:].reshape(len(raw), 2, _RAW_HEIGHT_PX // 2, _RAW_WIDTH_PX // 2)
    chroma = (_halved(chroma.astype(np.uint16)) + 2) // 4
    return np.concatenate([(luma[:, None] + 8) // 16, chroma], axis=1).astype(np.uint8)


def _halved(planes: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Add 2 x 2 pixels."""
    rows = planes[..., ::2, :] + planes[..., 1::2, :]
    return rows[..., ::2] + rows[..., 1::2]
