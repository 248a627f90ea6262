"""Cuts and gradual transitions in files and in coarse pictures, at known places."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from generated_shots import generate
from numpy.typing import NDArray

from unit.video.moving import WIDTH_PX, coarse_of, mixed, scene
from valley.video.cuts import find_cuts
from valley.video.encoding import write_video
from valley.video.gradual import find_fades, find_graduals
from valley.video.looking import look
from valley.video.shots import SHOT_DETECTORS, Shot, ShotDetector, Transition, shots_between
from valley.video.small_frames import SmallFrames
from valley.video.transitions import find_transitions

OWN = ("valley", "valley_full")
FPS = 25
Pictures = list[NDArray[np.uint8]]


def coarse(pictures: Pictures) -> NDArray[np.int16]:
    return coarse_of(pictures).astype(np.int16)


def run_of(seed: int, num_frames: int, *, pan_px: float = 0.7, first: int = 0) -> Pictures:
    show = scene(seed, pan_px=pan_px)
    return [show(first + i) for i in range(num_frames)]


def mix_of(seeds: tuple[int, int], num_frames: int, *, pan_px: float = 0.3) -> Pictures:
    """40 frames of a scene, `num_frames` of a dissolve, 40 frames of another."""
    a, b = (scene(seed, pan_px=pan_px) for seed in seeds)
    middle = [mixed(a(40 + i), b(i), (i + 1) / (num_frames + 1)) for i in range(num_frames)]
    return [a(i) for i in range(40)] + middle + [b(num_frames + i) for i in range(40)]


@pytest.fixture(scope="session")
def three_shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cuts before frames 30 and 65; B-frames, which nothing leans on."""
    path = tmp_path_factory.mktemp("shots") / "three.mp4"
    pictures = run_of(1, 30) + run_of(2, 35) + run_of(3, 25)
    return write_video(path, pictures, fps=FPS, options={"bf": "3", "g": "250"})


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[int, ...], int]:
    path = tmp_path_factory.mktemp("shots") / "generated.mp4"
    clip = generate(30, num_shots=3)
    write_video(path, clip.frames, fps=clip.fps, crf=26, options={"preset": "ultrafast", "bf": "2"})
    return path, clip.cuts, clip.fps


def cuts_of(path: Path, detector: str) -> list[float]:
    return [s.start_s for s in look(path, detector=detector).shots if s.transition == "cut"]


@pytest.mark.parametrize("detector", OWN)
def test_cuts_are_found_at_their_frames(three_shots, detector):
    shots = look(three_shots, detector=detector).shots
    assert [s.transition for s in shots] == ["start", "cut", "cut"]
    assert [s.start_s for s in shots] == pytest.approx([0, 30 / FPS, 65 / FPS])
    assert [s.end_s for s in shots] == pytest.approx([30 / FPS, 65 / FPS, 90 / FPS])


def test_proposing_finds_the_cuts_of_a_full_decode(generated):
    path, cuts, fps = generated
    full = cuts_of(path, "valley_full")
    assert full == pytest.approx([c / fps for c in cuts])
    assert cuts_of(path, "valley") == full


@pytest.mark.parametrize("name", SHOT_DETECTORS.names())
def test_every_detector_tells_shots_without_gaps(three_shots, name):
    if name.startswith("scenedetect"):
        pytest.importorskip("scenedetect")
    detector = SHOT_DETECTORS.get(name)
    assert isinstance(detector, ShotDetector)
    assert detector.name == name
    found = look(three_shots, detector=name)
    assert [s.start_s for s in found.shots[1:]] == [s.end_s for s in found.shots[:-1]]
    assert (found.shots[0].start_s, found.shots[-1].end_s) == (0, pytest.approx(90 / FPS))
    assert all(0 <= s.score <= 1 for s in found.shots)
    # Histograms of smooth pictures are much alike, so one detector may miss a cut; none may invent one.
    assert {round(s.start_s * FPS) for s in found.shots[1:]} <= {30, 65}
    assert len(found.shots) > 1 or "histogram" in name


@pytest.mark.parametrize("detector", OWN)
def test_times_are_those_of_a_variable_rate(tmp_path, detector):
    gaps_s = np.where(np.arange(60) % 3 == 0, 0.1, 0.02)
    shown_at_s = np.concatenate([[0.0], np.cumsum(gaps_s)])[:60]
    path = write_video(tmp_path / "uneven.mp4", run_of(4, 31) + run_of(5, 29), shown_at_s=shown_at_s)
    assert cuts_of(path, detector) == pytest.approx([shown_at_s[31]], abs=1e-4)


@pytest.mark.parametrize("detector", OWN)
def test_a_clip_without_packet_times_is_counted(tmp_path, detector):
    pictures = run_of(6, 20) + run_of(7, 20)
    path = write_video(tmp_path / "counted.avi", pictures, fps=FPS, options={"bf": "2"})
    assert cuts_of(path, detector) == pytest.approx([20 / FPS])


def test_a_clip_of_one_frame_is_one_shot(write_clip):
    found = look(write_clip("one.mp4", 1))
    assert [(s.start_s, s.transition) for s in found.shots] == [(0.0, "start")]
    assert found.num_frames == len(found.hashes) == 1


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("num_frames", [1, 4])
def test_a_flash_is_no_cut(strength, num_frames):
    pictures = run_of(8, 50)
    for i in range(20, 20 + num_frames):
        pictures[i] = mixed(pictures[i], np.full_like(pictures[i], 255), strength)
    assert find_cuts(coarse(pictures), flash_frames=8) == []


def test_a_window_that_pops_up_is_no_cut():
    pictures = run_of(9, 40, pan_px=0)
    window = scene(10)(0)
    for i in range(20, 40):
        pictures[i] = pictures[i].copy()
        pictures[i][10:110, 20:170] = window[10:110, 20:170]
    assert find_cuts(coarse(pictures), flash_frames=8) == []


def test_exposure_is_no_cut():
    pictures = run_of(11, 40)
    pictures[20:] = [(p * 0.6).astype(np.uint8) for p in pictures[20:]]
    assert find_cuts(coarse(pictures), flash_frames=8) == []


@pytest.mark.parametrize("pan_px", [3, 12])
def test_a_pan_is_no_transition(pan_px):
    planes = coarse(run_of(12, 60, pan_px=pan_px))
    assert find_cuts(planes, flash_frames=8) == []
    assert find_graduals(planes, []) == []


def test_a_cut_between_pans_is_found():
    pictures = run_of(13, 30, pan_px=8) + run_of(14, 30, pan_px=5)
    assert [c.index for c in find_cuts(coarse(pictures), flash_frames=8)] == [30]


@pytest.mark.parametrize("num_frames", [10, 24, 60])
def test_a_dissolve_is_found_where_it_is(num_frames):
    planes = coarse(mix_of((15, 16), num_frames))
    assert find_cuts(planes, flash_frames=8) == []
    (found,) = find_graduals(planes, [])
    assert (found.start + found.end) / 2 == pytest.approx(40 + num_frames / 2, abs=0.3 * num_frames)
    assert 0.6 * num_frames <= found.end - found.start <= 1.8 * num_frames + 2


def test_a_fade_through_black_is_one_transition():
    a, b = run_of(17, 70), run_of(18, 70)
    out = [mixed(p, np.zeros_like(p), min(1, i / 12)) for i, p in enumerate(a[40:53])]
    back = [mixed(np.zeros_like(p), p, i / 12) for i, p in enumerate(b[:13])]
    planes = coarse([*a[:40], *out, *back, *b[13:50]])
    (found,) = find_fades(planes, [])
    assert (found.start, found.end) == (pytest.approx(41, abs=3), pytest.approx(64, abs=3))
    assert [(m.start, m.end) for m in find_graduals(planes, [])] == [(found.start, found.end)]


def test_a_fade_at_the_beginning_is_none():
    b = run_of(18, 50)
    planes = coarse([mixed(np.zeros_like(p), p, min(1, i / 12)) for i, p in enumerate(b)])
    assert find_fades(planes, []) == []


def test_a_wipe_is_found():
    a, b = run_of(19, 90, pan_px=0.2), run_of(20, 90, pan_px=0.2)
    pictures = a[:40]
    for i in range(20):
        picture = a[40 + i].copy()
        edge = round(WIDTH_PX * (i + 1) / 21)
        picture[:, :edge] = b[i][:, :edge]
        pictures.append(picture)
    (found,) = find_graduals(coarse([*pictures, *b[20:60]]), [])
    assert 40 <= (found.start + found.end) / 2 <= 60


def test_no_frames_are_no_transitions():
    nothing = np.zeros((0, 3, 16, 24), dtype=np.int16)
    assert find_cuts(nothing, flash_frames=8) == []
    assert find_graduals(nothing, []) == []
    assert find_transitions(iter(())) == []


@pytest.mark.parametrize("detector", OWN)
def test_a_dissolve_in_a_file(tmp_path, detector):
    path = write_video(tmp_path / "mix.mp4", mix_of((21, 22), 24), fps=FPS, options={"bf": "2"})
    _, second = look(path, detector=detector).shots
    assert second.transition == "gradual"
    assert 40 / FPS <= second.start_s <= 64 / FPS
    assert 0.5 <= second.transition_s <= 1.8


def blocks_of(planes: NDArray[np.uint8]) -> Iterator[SmallFrames]:
    for first in range(0, len(planes), 256):
        part = planes[first : first + 256]
        numbers = np.arange(first, first + len(part))
        yield SmallFrames(part, numbers / FPS, numbers)


@pytest.mark.slow  # 5,000 frames
def test_a_long_clip_is_found_piece_by_piece_as_a_whole():
    pictures = coarse_of([p for seed in range(60) for p in run_of(30 + seed, 83)])
    found = find_transitions(blocks_of(pictures))
    assert [f.after for f in found] == [83 * i for i in range(1, 60)]
    assert [f.transition.start_s for f in found] == pytest.approx([83 * i / FPS for i in range(1, 60)])


def test_shots_leave_no_gap():
    transitions = [
        Transition("gradual", 7.0, 8.0, 0.9),
        Transition("cut", 4.0, 4.0, 1.0),
        Transition("cut", 4.04, 4.04, 0.5),  # the same place, less sure
        Transition("cut", 0.0, 0.0, 1.0),
        Transition("cut", 12.0, 12.0, 1.0),
    ]
    assert shots_between(transitions, 10.0) == (
        Shot(0.0, 4.0, "start", 1.0),
        Shot(4.0, 7.5, "cut", 1.0),
        Shot(7.5, 10.0, "gradual", 0.9, 1.0),
    )


def test_real_clips(shared_folder):
    cuts = {"jobs.mp4": [15.17], "yoga.mp4": []}
    for name, wanted in cuts.items():
        path = shared_folder / "clips" / name
        if not path.is_file():
            pytest.skip("a shared clip is absent")
        for detector in OWN:
            assert [s.start_s for s in look(path, detector=detector).shots[1:]] == pytest.approx(
                wanted, abs=0.05
            )
