import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from valley.errors import SamplingError
from valley.video.sampling import FrameSampling, choose

gaps = st.lists(st.floats(0.001, 30.0), min_size=0, max_size=60)
times = gaps.map(lambda g: np.cumsum([0.0, *g]))


def strictly_increasing(chosen: np.ndarray, num_frames: int) -> bool:
    return bool((np.diff(chosen) > 0).all() and chosen[0] >= 0 and chosen[-1] < num_frames)


@given(times, st.integers(1, 70))
def test_uniform_gives_as_many_as_there_are_from_first_to_last(shown_at_s, num_frames):
    chosen = choose(FrameSampling(num_frames=num_frames), shown_at_s)
    assert len(chosen) == min(num_frames, len(shown_at_s))
    assert strictly_increasing(chosen, len(shown_at_s))
    assert chosen[0] == 0
    if num_frames > 1:
        assert chosen[-1] == len(shown_at_s) - 1


@given(times, st.floats(0.01, 100), st.integers(1, 50))
def test_per_second_keeps_its_cap_and_distance(shown_at_s, fps, cap):
    free = choose(FrameSampling(fps=fps), shown_at_s)
    assert strictly_increasing(free, len(shown_at_s))
    assert free[0] == 0
    assert len(free) <= shown_at_s[-1] * fps + 1 + 1e-3
    capped = choose(FrameSampling(fps=fps, max_frames=cap), shown_at_s)
    assert len(capped) == min(cap, len(free))


@given(times, st.data())
def test_a_window_holds(shown_at_s, data):
    start_s = data.draw(st.floats(0, float(shown_at_s[-1])))
    end_s = data.draw(st.floats(start_s, float(shown_at_s[-1]) + 5))
    chosen = choose(FrameSampling(start_s=start_s, end_s=end_s), shown_at_s)
    inside = (shown_at_s >= start_s - 1e-6) & (shown_at_s <= end_s + 1e-6)
    if inside.any():
        assert inside[chosen].all()
    else:
        assert len(chosen) == 1  # the frame on display, shown before the window
        assert shown_at_s[chosen[0]] <= start_s


@given(times, st.data())
def test_explicit_times_give_the_frame_on_display(shown_at_s, data):
    wanted = sorted(data.draw(st.lists(st.floats(0, float(shown_at_s[-1])), min_size=1, max_size=10)))
    chosen = choose(FrameSampling(times_s=tuple(wanted)), shown_at_s)
    expected = {max(i for i, t in enumerate(shown_at_s) if t <= w + 1e-6) for w in wanted}
    assert chosen.tolist() == sorted(expected)


@given(times, st.integers(1, 500), st.integers(1, 40), st.integers(0, 50))
def test_the_token_budget_is_kept(shown_at_s, budget, per_frame, per_clip):
    if budget < per_frame + per_clip:
        with pytest.raises(SamplingError, match="does not pay for one frame"):
            FrameSampling(max_visual_tokens=budget, tokens_per_frame=per_frame, tokens_per_clip=per_clip)
        return
    sampling = FrameSampling(
        num_frames=1000, max_visual_tokens=budget, tokens_per_frame=per_frame, tokens_per_clip=per_clip
    )
    assert per_clip + per_frame * len(choose(sampling, shown_at_s)) <= budget


def test_uniform_in_time_follows_the_clock_where_the_rate_changes():
    shown_at_s = np.concatenate([np.arange(90) / 30, 3 + np.arange(15) / 5])  # 30 fps, then 5 fps
    got = shown_at_s[choose(FrameSampling(num_frames=8), shown_at_s)]
    np.testing.assert_allclose(got, np.linspace(0, 5.8, 8), atol=0.2)  # the wider gap


def test_keyframes_and_their_cap():
    shown_at_s, keyframe = np.arange(10.0), np.arange(10) % 3 == 0
    assert choose(FrameSampling(keyframes=True), shown_at_s, keyframe).tolist() == [0, 3, 6, 9]
    assert choose(FrameSampling(keyframes=True, num_frames=2), shown_at_s, keyframe).tolist() == [0, 9]
    assert choose(FrameSampling(keyframes=True, start_s=1, end_s=5), shown_at_s, keyframe).tolist() == [3]
    with pytest.raises(SamplingError, match="no keyframe"):
        choose(FrameSampling(keyframes=True, start_s=4, end_s=5), shown_at_s, keyframe)


def test_fps_beside_num_frames_is_capped():
    assert len(choose(FrameSampling(fps=10, num_frames=4), np.arange(100) / 10)) == 4
    assert len(choose(FrameSampling(fps=1), np.arange(100) / 10)) == 10


@given(st.integers(1, 3000), st.integers(1, 64))
def test_the_rule_of_2023_repeats_frames_of_short_clips(num_frames, wanted):
    chosen = choose(FrameSampling(num_frames=wanted, rule="valley-2023"), np.arange(num_frames) / 25)
    assert chosen.tolist() == [int(x) for x in np.linspace(0, num_frames - 1, wanted)]


@pytest.mark.parametrize("num_frames", [1, 5, 8, 509])
def test_frames_by_number_are_those_of_2023_each_once(num_frames):
    times = np.arange(num_frames) / 25
    chosen = choose(FrameSampling(num_frames=8, rule="frame-number"), times)
    published = choose(FrameSampling(num_frames=8, rule="valley-2023"), times)
    assert chosen.tolist() == sorted(set(published.tolist()))
    with pytest.raises(SamplingError, match="leave out fps"):
        FrameSampling(fps=2.0, rule="frame-number")


def test_the_fps_rule_of_2023_counts_frames():
    sampling = FrameSampling(fps=2, rule="valley-2023-fps")
    assert choose(sampling, np.arange(60) / 29.97, average_fps=29.97).tolist() == list(range(0, 60, 15))
    assert choose(sampling, np.arange(60) / 29.97).tolist() == list(range(0, 60, 15))


def test_the_recorded_indices_of_2023(shared_folder: Path):
    recorded = json.loads((shared_folder / "golden/common/golden.json").read_text())
    for video in recorded["videos"].values():
        shown_at_s = np.arange(video["num_frames"]) / video["avg_fps"]
        for run in video["runs"]:
            count = run["load_video_kwargs"].get("fixed_frame_number", 8)
            chosen = choose(FrameSampling(num_frames=count, rule="valley-2023"), shown_at_s)
            assert chosen.tolist() == run["frame_indices"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fps": 1, "times_s": (1.0,)}, "fps and times_s contradict"),
        ({"fps": 1, "keyframes": True}, "fps and keyframes contradict"),
        ({"times_s": (1.0,), "num_frames": 4}, "leave out num_frames"),
        ({"times_s": (2.0, 1.0)}, "increasing"),
        ({"times_s": ()}, "increasing"),
        ({"start_s": 3, "end_s": 2}, "before start_s"),
        ({"start_s": float("nan")}, "start_s"),
        ({"num_frames": 0}, "num_frames"),
        ({"fps": 0.0}, "fps"),
        ({"max_visual_tokens": 100}, "tokens_per_frame"),
        ({"rule": "valley-2023", "fps": 1}, "leave out fps"),
        ({"rule": "valley-2023", "start_s": 1}, "leave out start_s"),
        ({"rule": "valley-2023-fps"}, "needs fps"),
    ],
)
def test_contradictions_name_the_options(options, words):
    with pytest.raises(SamplingError, match=words):
        FrameSampling(**options)


@pytest.mark.parametrize("options", [{"start_s": 11.0}, {"times_s": (1.0, 12.0)}])
def test_outside_the_clip_is_an_error(options):
    with pytest.raises(SamplingError, match=r"outside the clip, which ends at 10\.000 s"):
        choose(FrameSampling(**options), np.arange(100) / 10)


def test_the_default_is_eight():
    assert FrameSampling().num_frames == 8
    assert FrameSampling(fps=1.0).num_frames is None
