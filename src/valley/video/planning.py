"""The packet index of a stream and the plan that decodes as little of it as the wanted frames allow.

Pure functions of numbers; knows nothing of files. A stream with keyframes at packets 0 and 250, of which
frames 0, 100, 260 and 300 are wanted, is decoded in the stretches 0-100 and 250-300.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# No codec shows a frame more than 16 packets after its own (the largest picture buffer of H.264 and HEVC).
_MOST_REORDERED = 16


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """What the packets of one video stream tell without decoding any. All arrays are in shown order.

    Attributes:
        pts: i64 [frame], time stamps in units of the stream's time base, increasing.
        shown_at_s: f64 [frame], seconds since the first shown frame.
        keyframe: bool [frame].
        packet: i64 [frame], position of the frame's packet in the file's order.
        keyframe_packets: i64 [keyframe], positions of keyframe packets, increasing; shown or not.
        packet_pts: i64 [packet], time stamps in the file's order, of shown and hidden packets.
        packet_dts: i64 [packet], decoding time stamps; the time stamp where the file has none.
        end_s: when the last frame goes off display.
        counted: the packets' time stamps do not tell which frame is which (H.264 in AVI, raw streams):
            decode from the start and count.
        num_lost: frames that the container promises beyond the end of a cut file; the last ones above.
    """

    pts: NDArray[np.int64]
    shown_at_s: NDArray[np.float64]
    keyframe: NDArray[np.bool_]
    packet: NDArray[np.int64]
    keyframe_packets: NDArray[np.int64]
    packet_pts: NDArray[np.int64]
    packet_dts: NDArray[np.int64]
    end_s: float
    counted: bool = False
    num_lost: int = 0

    @property
    def num_frames(self) -> int:
        """How many frames are shown, lost ones included."""
        return len(self.pts)


@dataclass(frozen=True)
class Stretch:
    """Packets to decode one after another: from a keyframe to the last wanted frame that needs it.

    Attributes:
        first: position of the keyframe's packet in the file's order.
        last: position of the last packet to decode.
    """

    first: int
    last: int


def plan_stretches(index: PacketIndex, wanted: NDArray[np.int64]) -> list[Stretch]:
    """Plan which packets to decode for the wanted frames; no packet twice.

    Args:
        index: of the stream.
        wanted: i64 [n], positions of frames in shown order.

    Returns:
        Stretches that do not touch, in the file's order.
    """
    if index.counted and len(wanted):
        last = int(index.packet[wanted].max()) + _MOST_REORDERED
        return [Stretch(0, min(last, len(index.packet_pts) - 1))]
    stretches: list[Stretch] = []
    for packet in np.unique(index.packet[wanted]):
        first = keyframe_before(index, int(packet))
        while stretches and first <= stretches[-1].last + 1:
            first = min(first, stretches.pop().first)
        stretches.append(Stretch(first, int(packet)))
    return stretches


def keyframe_before(index: PacketIndex, packet: int) -> int:
    """Find the packet from which decoding must begin to get `packet` right.

    A frame that comes after a keyframe in the file but is shown before it leans on the group before (open
    group of pictures), so its decoding begins one keyframe earlier.
    """
    if index.counted:
        return 0
    keys = index.keyframe_packets[: np.searchsorted(index.keyframe_packets, packet, side="right")]
    keys = keys[index.packet_pts[keys] <= index.packet_pts[packet]]
    return int(keys[-1]) if len(keys) else 0
