"""Decode the planned stretches and nothing else; tell which wanted frames are damaged.

A frame counts as damaged when its own packet, or one between its keyframe and it, cannot be decoded: the decoder
would conceal that with invented pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from av import Packet, VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from valley.video.converting import Picture, Size, fit_size, quarter_turns, to_rgb
from valley.video.indexing import IndexedStream
from valley.video.limits import Guard
from valley.video.planning import PacketIndex, Stretch, plan_stretches

READ_ON_PACKETS = 64  # reading this many packets costs less than a seek


@dataclass
class _Outcome:
    """What a stretch gave: frames by time stamp, and packets (position, or -1 where unknown) that failed."""

    pictures: dict[int, Picture] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)


class PacketReader:
    """Gives the packets of a stretch: from memory, or by reading on, or after a seek where that saves work."""

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
    """One walk over a stream."""

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
        self.reader = reader
        self.context = context
        self.index = index
        self.guard = guard
        self._size_px = size_px
        self._settled_px: tuple[int, int] | None = None
        self._one_thread = one_thread
        self._num_wanted = 0

    def decode(self, wanted: NDArray[np.int64]) -> dict[int, Picture]:
        """Decode the wanted frames (positions in shown order); damaged and lost ones are left out."""
        index = self.index
        self._num_wanted = len(wanted)
        present = wanted[wanted < index.num_frames - index.num_lost]
        by_pts = {int(index.pts[i]): int(i) for i in present}
        pictures: dict[int, Picture] = {}
        for stretch in plan_stretches(index, present):
            inside = {p: i for p, i in by_pts.items() if stretch.first <= index.packet[i] <= stretch.last}
            pictures |= self._stretch(stretch, set(inside))
        return {by_pts[p]: picture for p, picture in pictures.items()}

    def _stretch(self, stretch: Stretch, wanted_pts: set[int]) -> dict[int, Picture]:
        outcome = self._run(self.context, stretch, wanted_pts)
        self.context.flush_buffers()
        if not outcome.failed and len(outcome.pictures) == len(wanted_pts):
            return outcome.pictures
        # Frame threads report a fault late and without its place: go again with one thread to learn the place.
        outcome = self._run(self._one_thread(), stretch, wanted_pts)
        return {p: pic for p, pic in outcome.pictures.items() if not self._leans_on_fault(p, outcome.failed)}

    def _run(self, context: VideoCodecContext, stretch: Stretch, wanted_pts: set[int]) -> _Outcome:
        outcome = _Outcome()
        counter = iter(self.index.pts.tolist())
        for position, packet in self.reader.read(stretch):
            self.guard.tick()
            wanted = self.index.counted or int(self.index.packet_pts[position]) in wanted_pts
            context.skip_frame = "DEFAULT" if wanted else "NONREF"
            try:
                frames = context.decode(packet)
            except FFmpegError:
                outcome.failed.append(position)
                continue
            if packet.is_corrupt:
                outcome.failed.append(position)
            self._collect(frames, wanted_pts, outcome, counter)
        try:
            frames = context.decode(None)
        except FFmpegError:
            outcome.failed.append(stretch.last)
            return outcome
        self._collect(frames, wanted_pts, outcome, counter)
        return outcome

    def _collect(
        self, frames: list[VideoFrame], wanted_pts: set[int], outcome: _Outcome, counter: Iterator[int]
    ) -> None:
        for frame in frames:
            pts = next(counter, None) if self.index.counted else frame.pts
            if frame.is_corrupt:
                outcome.failed.append(self._packet_of(pts))
            elif pts in wanted_pts:
                assert pts is not None
                outcome.pictures[pts] = to_rgb(frame, self._settle(frame))

    def _settle(self, frame: VideoFrame) -> tuple[int, int]:
        """Give the (width, height) of all pictures: that of the first, even where the stream changes size."""
        self.guard.picture(frame.width, frame.height)
        if self._settled_px is None:
            turned = quarter_turns(frame.rotation) % 2
            width_px, height_px = (frame.height, frame.width) if turned else (frame.width, frame.height)
            self._settled_px = fit_size(width_px, height_px, self._size_px)
            self.guard.memory(self._num_wanted, *self._settled_px)
        return self._settled_px

    def _packet_of(self, pts: int | None) -> int:
        found = np.flatnonzero(self.index.packet_pts == pts) if pts is not None else ()
        return int(found[0]) if len(found) else -1

    def _leans_on_fault(self, pts: int, failed: list[int]) -> bool:
        packet = self._packet_of(pts)
        keys = self.index.keyframe_packets
        before = keys[(keys <= packet) & (self.index.packet_pts[keys] <= pts)]
        keyframe = int(before[-1]) if len(before) and not self.index.counted else 0
        return any(fault == -1 or keyframe <= fault <= packet for fault in failed)
