import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from valley.video.planning import PacketIndex, Stretch, plan_stretches


def index_of(packet_pts: list[int], keyframe_packets: list[int], *, counted: bool = False) -> PacketIndex:
    pts = np.asarray(packet_pts, dtype=np.int64)
    order = np.argsort(pts)
    keyframe = np.isin(order, keyframe_packets)
    return PacketIndex(
        pts=pts[order],
        shown_at_s=pts[order] / 10,
        keyframe=keyframe,
        packet=order.astype(np.int64),
        keyframe_packets=np.asarray(keyframe_packets, dtype=np.int64),
        packet_pts=pts,
        packet_dts=np.arange(len(pts), dtype=np.int64),
        end_s=1.0,
        counted=counted,
    )


def test_only_the_needed_part_of_each_group_is_decoded():
    index = index_of(list(range(500)), [0, 250])
    assert plan_stretches(index, np.array([0, 100, 260, 300])) == [Stretch(0, 100), Stretch(250, 300)]
    assert plan_stretches(index, np.array([300])) == [Stretch(250, 300)]
    assert plan_stretches(index, np.array([249, 250])) == [Stretch(0, 250)]


def test_a_frame_shown_before_its_keyframe_needs_the_group_before():
    # Open group: packet 4 is a keyframe shown at 5, packet 5 a B-frame shown at 4 that leans on both groups.
    index = index_of([0, 1, 2, 3, 5, 4, 6], [0, 4])
    assert plan_stretches(index, np.array([4])) == [Stretch(0, 5)]
    assert plan_stretches(index, np.array([5])) == [Stretch(4, 4)]
    assert plan_stretches(index, np.array([4, 5, 6])) == [Stretch(0, 6)]


def test_a_counted_stream_is_decoded_from_its_start():
    index = index_of(list(range(100)), [0, 50], counted=True)
    assert plan_stretches(index, np.array([60])) == [Stretch(0, 76)]


@settings(max_examples=40)
@given(st.integers(1, 80), st.data())
def test_no_packet_is_decoded_twice_and_none_is_missing(num_packets, data):
    pts = data.draw(st.permutations(range(num_packets)))
    keys = sorted({0, *data.draw(st.lists(st.integers(0, num_packets - 1), max_size=8))})
    index = index_of(list(pts), keys)
    wanted = np.unique(data.draw(st.lists(st.integers(0, num_packets - 1), min_size=1, max_size=10)))
    stretches = plan_stretches(index, wanted)
    packets = [p for s in stretches for p in range(s.first, s.last + 1)]
    assert len(packets) == len(set(packets))
    assert {int(index.packet[w]) for w in wanted} <= set(packets)
    assert all(s.first in keys for s in stretches)
