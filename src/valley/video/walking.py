"""Decode the planned stretches and nothing else; tell which wanted frames are damaged.

A frame counts as damaged when its own packet, or one between its keyframe and it, cannot be decoded: the
decoder would conceal that with invented pixels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from av import Packet, VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from valley.video.converting import Size, fit_size, quarter_turns, to_rgb
from valley.video.indexing import IndexedStream
from valley.video.limits import Guard
from valley.video.planning import PacketIndex, Stretch, keyframe_before, plan_stretches

UNKNOWN = -1
# Filling and draining frame threads costs more than they save on shorter stretches (docs/decisions/0001).
THREADED_PACKETS = 120
MOST_THREADS = 4
READ_ON_PACKETS = 64  # reading this many packets costs less than a seek


@dataclass
class _Outcome:
    """What one run over a stretch gave.

    Attributes:
        wanted_pts: time stamps of the frames to keep.
        counter: time stamps to deal out to frames as they come, where the stream is counted.
        done: time stamps of frames that were kept.
        failed: positions of packets that failed, or `UNKNOWN`.
    """

    wanted_pts: set[int]
    counter: Iterator[int] | None
    done: set[int] = field(default_factory=set)
    failed: list[int] = field(default_factory=list)


class PacketReader:
    """Gives the packets of a stretch: from memory, by reading on, or after a seek where that saves work."""

    def __init__(self, container: InputContainer, stream: VideoStream, indexed: IndexedStream) -> None:
        """Take an open container whose packets have been indexed."""
        self._container = container
        self._stream = stream
        self._index = indexed.index
        self._held = indexed.held
        self._by_pts = np.argsort(indexed.index.packet_pts, kind="stable")
        self._sorted_pts = indexed.index.packet_pts[self._by_pts]
        self._ahead: Iterator[Packet] = iter(())
        self._next: int | None = None

    def read(self, stretch: Stretch) -> Iterator[tuple[int, Packet]]:
        """Yield (position, packet) of the stretch in order; stops early where the file breaks off."""
        if self._held is not None:
            for position in range(stretch.first, min(stretch.last + 1, len(self._held))):
                yield position, self._held[position]
            return
        if self._next is None or not 0 <= stretch.first - self._next <= READ_ON_PACKETS:
            self._seek(stretch.first)
        while self._next is not None and self._next <= stretch.last:
            packet = next(self._ahead, None)
            if packet is None:
                self._next = None
                return
            self._next += 1
            if self._next > stretch.first:
                yield self._next - 1, packet

    def _seek(self, first: int) -> None:
        """Put the reader at or before packet `first`."""
        index = self._index
        earlier = index.keyframe_packets[index.keyframe_packets < first][::-1][:2]
        stamps = [
            index.packet_pts[first],
            index.packet_dts[first],
            *index.packet_dts[earlier],
            index.packet_dts[0],
        ]
        if index.counted:
            stamps = [min(0, int(index.packet_dts[0]))]
        for stamp in stamps:
            self._container.seek(int(stamp), stream=self._stream, backward=True)
            self._ahead = (p for p in self._container.demux(self._stream) if p.size)
            landed = next(self._ahead, None)
            position = 0 if index.counted else self._position(landed)
            if landed is not None and position is not None and position <= first:
                self._ahead = _chain(landed, self._ahead)
                self._next = position
                return
        self._next = None

    def _position(self, packet: Packet | None) -> int | None:
        if packet is None or packet.pts is None:
            return None
        found = int(np.searchsorted(self._sorted_pts, packet.pts))
        if found == len(self._sorted_pts) or self._sorted_pts[found] != packet.pts:
            return None
        return int(self._by_pts[found])


def _chain(first: Packet, rest: Iterator[Packet]) -> Iterator[Packet]:
    yield first
    yield from rest


class Walk:
    """One walk over a stream, which fills one array with the wanted frames."""

    def __init__(
        self,
        reader: PacketReader,
        context: VideoCodecContext,
        index: PacketIndex,
        guard: Guard,
        size_px: Size,
        one_thread: Callable[[], VideoCodecContext],
    ) -> None:
        """Take what the opener made.

        Args:
            reader: of packets.
            context: decoder that the stream brought.
            index: of the stream.
            guard: limits and clock.
            size_px: as in `fit_size`; the first frame settles it for all.
            one_thread: opens another decoder of the same stream, with one thread.
        """
        self._reader = reader
        self._context = context
        self._index = index
        self._guard = guard
        self._size_px = size_px
        self._one_thread = one_thread
        self._pixels: NDArray[np.uint8] | None = None
        self._slots: dict[int, int] = {}

    def decode(self, wanted: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Decode the wanted frames.

        Args:
            wanted: i64 [n], positions in shown order, increasing.

        Returns:
            Pixels u8 [n, height, width, 3], and bool [n]: which of them could be decoded.
        """
        index = self._index
        self._slots = {int(pts): slot for slot, pts in enumerate(index.pts[wanted])}
        present = wanted[wanted < index.num_frames - index.num_lost]
        by_packet = present[np.argsort(index.packet[present], kind="stable")]
        packets = index.packet[by_packet]
        found = np.zeros(len(wanted), dtype=np.bool_)
        stretches = plan_stretches(index, present)
        self._set_threads(stretches)
        for stretch in stretches:
            start, stop = np.searchsorted(packets, [stretch.first, stretch.last + 1])
            wanted_pts = set(index.pts[by_packet[start:stop]].tolist())
            found[[self._slots[pts] for pts in self._stretch(stretch, wanted_pts)]] = True
        if self._pixels is None:
            return np.zeros((len(wanted), 1, 1, 3), dtype=np.uint8), found
        return self._pixels, found

    def _set_threads(self, stretches: list[Stretch]) -> None:
        longest = max((s.last - s.first + 1 for s in stretches), default=0)
        threaded = longest >= THREADED_PACKETS
        self._context.thread_type = "FRAME" if threaded else "SLICE"
        self._context.thread_count = min(MOST_THREADS, os.cpu_count() or 1) if threaded else 1

    def _stretch(self, stretch: Stretch, wanted_pts: set[int]) -> set[int]:
        """Decode one stretch; tell the time stamps of the frames that came out sound."""
        outcome = self._run(self._context, stretch, wanted_pts)
        self._context.flush_buffers()
        if not outcome.failed and outcome.done == wanted_pts:
            return outcome.done
        # Frame threads report a fault late and without its place: go again with one thread to learn it.
        outcome = self._run(self._one_thread(), stretch, wanted_pts)
        return {pts for pts in outcome.done if not self._leans_on_fault(pts, outcome.failed)}

    def _run(self, context: VideoCodecContext, stretch: Stretch, wanted_pts: set[int]) -> _Outcome:
        outcome = _Outcome(wanted_pts, iter(self._index.pts.tolist()) if self._index.counted else None)
        for position, packet in self._reader.read(stretch):
            self._guard.tick()
            # A counted stream must give every frame, or the count is lost.
            wanted = outcome.counter is not None or int(self._index.packet_pts[position]) in wanted_pts
            context.skip_frame = "DEFAULT" if wanted else "NONREF"
            try:
                frames = context.decode(packet)
            except MemoryError:  # FFmpeg's is one of its errors too, but says nothing of the file
                raise
            except FFmpegError:
                outcome.failed.append(position)
                continue
            if packet.is_corrupt:
                outcome.failed.append(position)
            self._collect(frames, outcome)
        try:
            self._collect(context.decode(None), outcome)
        except FFmpegError:
            outcome.failed.append(stretch.last)
        return outcome

    def _collect(self, frames: list[VideoFrame], outcome: _Outcome) -> None:
        for frame in frames:
            pts = frame.pts if outcome.counter is None else next(outcome.counter, None)
            if frame.is_corrupt:
                outcome.failed.append(self._packet_of(pts))
            elif pts is not None and pts in outcome.wanted_pts:
                outcome.done.add(pts)
                self._keep(frame, self._slots[pts])

    def _keep(self, frame: VideoFrame, slot: int) -> None:
        """Convert a frame into its place; the first settles the size of all, should the stream change it."""
        self._guard.picture(frame.width, frame.height)
        if self._pixels is None:
            turned = quarter_turns(frame.rotation) % 2
            width_px, height_px = (frame.height, frame.width) if turned else (frame.width, frame.height)
            width_px, height_px = fit_size(width_px, height_px, self._size_px)
            self._guard.memory(len(self._slots), width_px, height_px)
            self._pixels = np.zeros((len(self._slots), height_px, width_px, 3), dtype=np.uint8)
        height_px, width_px = self._pixels.shape[1:3]
        self._pixels[slot] = to_rgb(frame, (width_px, height_px))

    def _packet_of(self, pts: int | None) -> int:
        found = [] if pts is None else np.flatnonzero(self._index.packet_pts == pts).tolist()
        return found[0] if found else UNKNOWN

    def _leans_on_fault(self, pts: int, failed: list[int]) -> bool:
        packet = self._packet_of(pts)
        keyframe = keyframe_before(self._index, packet)
        return any(fault == UNKNOWN or keyframe <= fault <= packet for fault in failed)
