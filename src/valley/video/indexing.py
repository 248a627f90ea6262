"""Build the packet index of an open container: every packet is read once, none is decoded.

Small files keep their packets, so that decoding reads nothing again; of large ones only numbers stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from av import Packet
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from valley.errors import EmptyMediaError, NotAVideoError
from valley.video.limits import Guard
from valley.video.planning import PacketIndex

HELD_BYTES = 32 * 2**20  # packets of files up to here stay in memory; beyond, decoding reads them again
_PACKETS_PER_TICK = 256
# In these containers, or raw streams, time stamps follow the packets and not the pictures.
_ORDER_BLIND = frozenset({"avi", "h264", "hevc", "m4v", "mpegvideo", "vc1", "obu", "ivf"})


@dataclass
class _Seen:
    """Numbers gathered packet by packet."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    keyframe: list[bool] = field(default_factory=list)
    hidden: list[bool] = field(default_factory=list)
    last_duration: int = 0
    held: list[Packet] | None = field(default_factory=list)
    held_bytes: int = 0


@dataclass(frozen=True, eq=False)
class IndexedStream:
    """The index, and the packets themselves where the file is small."""

    index: PacketIndex
    held: list[Packet] | None


def index_stream(
    container: InputContainer, stream: VideoStream, guard: Guard, *, is_cut: bool
) -> IndexedStream:
    """Read every packet of `stream` and note its times.

    Args:
        container: freshly opened.
        stream: of this container.
        guard: limits and clock.
        is_cut: the file ends earlier than its container says, so that its last frames count as lost.

    Raises:
        EmptyMediaError: the stream has no packets.
        NotAVideoError: the container cannot be read at all.
        TooLongError: more packets than allowed.
        DecodeTimeoutError: the time is up.
    """
    seen = _read(container, stream, guard)
    if not seen.pts:
        raise EmptyMediaError(guard.source, "its video stream holds no frames", "fetch or copy it again")
    time_base = stream.time_base or Fraction(1, 1000)
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    frame_ticks = max(1, round(1 / (rate * time_base)))
    num_lost = max(0, stream.frames - len(seen.pts)) if is_cut else 0
    index = _as_index(
        seen, time_base, frame_ticks, counted=_is_counted(container, stream, seen), num_lost=num_lost
    )
    guard.count(index.num_frames)
    return IndexedStream(index, seen.held)


def _read(container: InputContainer, stream: VideoStream, guard: Guard) -> _Seen:
    seen = _Seen()
    try:
        for packet in container.demux(stream):
            if packet.size:
                _note(seen, packet)
            if len(seen.pts) % _PACKETS_PER_TICK == 0:
                guard.tick()
                guard.count(len(seen.pts))
    except FFmpegError as error:
        # A container that breaks off in the middle still has the frames before.
        if not seen.pts:
            raise NotAVideoError(
                guard.source, f"cannot be read: {error.strerror}", "give a sound file"
            ) from error
    return seen


def _note(seen: _Seen, packet: Packet) -> None:
    seen.pts.append(packet.pts)
    seen.dts.append(packet.dts)
    seen.keyframe.append(packet.is_keyframe)
    seen.hidden.append(packet.is_discard)
    seen.last_duration = packet.duration or 0
    if seen.held is not None:
        seen.held_bytes += packet.size
        seen.held.append(packet)
        if seen.held_bytes > HELD_BYTES:
            seen.held = None


def _is_counted(container: InputContainer, stream: VideoStream, seen: _Seen) -> bool:
    if any(p is None for p in seen.pts) or len(set(seen.pts)) < len(seen.pts):
        return True
    return container.format.name in _ORDER_BLIND and bool(stream.codec_context.has_b_frames)


def _as_index(
    seen: _Seen, time_base: Fraction, frame_ticks: int, *, counted: bool, num_lost: int
) -> PacketIndex:
    packet_pts = _times_by_order(seen, frame_ticks) if counted else np.asarray(seen.pts, dtype=np.int64)
    dts = [p if d is None else d for p, d in zip(packet_pts.tolist(), seen.dts, strict=True)]
    shown = np.flatnonzero(~np.asarray(seen.hidden, dtype=np.bool_))
    if not len(shown):
        shown = np.arange(len(packet_pts))
    order = shown[np.argsort(packet_pts[shown], kind="stable")]
    pts, packet = packet_pts[order], order.astype(np.int64)
    keyframe = np.asarray(seen.keyframe, dtype=np.bool_)
    lost = np.arange(1, num_lost + 1, dtype=np.int64)
    pts = np.concatenate([pts, pts[-1] + lost * frame_ticks])
    shown_at_s = _seconds(pts - pts[0], time_base)
    last_ticks = seen.last_duration or frame_ticks
    return PacketIndex(
        pts=pts,
        shown_at_s=shown_at_s,
        keyframe=np.concatenate([keyframe[order], np.zeros(num_lost, dtype=np.bool_)]),
        packet=np.concatenate([packet, len(packet_pts) - 1 + lost]),
        keyframe_packets=np.flatnonzero(keyframe).astype(np.int64),
        packet_pts=packet_pts,
        packet_dts=np.asarray(dts, dtype=np.int64),
        end_s=float(_seconds(pts[-1:] - pts[0] + last_ticks, time_base)[0]),
        counted=counted,
        num_lost=num_lost,
    )


def _times_by_order(seen: _Seen, frame_ticks: int) -> NDArray[np.int64]:
    """Times of a stream that is counted: its decoding times in order, or an even rate where it has none."""
    known = [d for d in seen.dts if d is not None]
    if len(known) == len(seen.dts) and len(set(known)) == len(known):
        return np.sort(np.asarray(known, dtype=np.int64))
    return np.arange(len(seen.dts), dtype=np.int64) * frame_ticks


def _seconds(ticks: NDArray[np.int64], time_base: Fraction) -> NDArray[np.float64]:
    """Ticks as seconds, by one division each, so that 3 ticks of 1/10 are 0.3."""
    return ticks * time_base.numerator / time_base.denominator
