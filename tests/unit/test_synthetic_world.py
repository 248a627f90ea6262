"""The synthetic world: deterministic, decidable, and its words agree with its pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from valley.conversation import read_jsonl
from valley.errors import ConfigError
from valley.synthetic import questions, wording
from valley.synthetic.dataset import scene_number, write_dataset
from valley.synthetic.generator import draw_scene
from valley.synthetic.render import render_frames, render_video
from valley.synthetic.scene import Scene, read_scene, write_scene
from valley.synthetic.stream import SampleStream, sampled_times
from valley.synthetic.truth import truth_of, truth_of_picture
from valley.synthetic.world import COLORS, DIRECTIONS, LANGUAGES
from valley.video.decoding import read_frames
from valley.video.sampling import FrameSampling


def scenes(count: int, seed: int = 0) -> list[Scene]:
    return [draw_scene(np.random.default_rng([seed, i])) for i in range(count)]


def color_center(pixels: np.ndarray, color: str) -> tuple[float, float, int]:
    """Find an object by its pixels alone: mean position (fractions) and number of pixels near its colour."""
    near = np.abs(pixels.astype(int) - np.array(COLORS[color])).sum(-1) < 60
    y, x = np.nonzero(near)
    if not len(x):
        return np.nan, np.nan, 0
    return float(x.mean() / pixels.shape[1]), float(y.mean() / pixels.shape[0]), len(x)


def test_a_scene_survives_its_json(tmp_path: Path) -> None:
    for i, scene in enumerate(scenes(20)):
        path = tmp_path / f"{i}.json"
        write_scene(path, scene)
        assert read_scene(path) == scene


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"shots": []}, "shots"),
        ({"fps": 0}, "fps"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_scene_names_the_field(tmp_path: Path, change: dict, place: str) -> None:
    path = tmp_path / "scene.json"
    path.write_text(json.dumps(scenes(1)[0].model_dump(mode="json") | change))
    with pytest.raises(ConfigError, match=place):
        read_scene(path)


def test_an_absent_scene_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.json: no such scene"):
        read_scene(tmp_path / "nothing.json")


def test_rendering_is_deterministic_to_the_byte(tmp_path: Path) -> None:
    scene = scenes(1)[0]
    render_video(scene, tmp_path / "a.mp4")
    render_video(scene, tmp_path / "b.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_the_file_shows_what_the_stream_draws(tmp_path: Path) -> None:
    """Training draws frames directly; a file of the same scene, read back, must look the same."""
    scene = scenes(1, seed=3)[0]
    render_video(scene, tmp_path / "a.mp4")
    read = read_frames(tmp_path / "a.mp4", FrameSampling(num_frames=8))
    drawn = render_frames(scene, sampled_times(scene, 8))
    np.testing.assert_allclose(read.shown_at_s, drawn.shown_at_s, atol=1e-4)
    error = np.abs(read.pixels.astype(int) - drawn.pixels.astype(int)).mean()
    assert error < 6  # sensor noise and H.264 at its default quality; another frame differs by far more


def test_truth_agrees_with_the_pixels() -> None:
    """A second derivation that reads only pixels: presence, direction, appearing and leaving."""
    checked = 0
    for scene in scenes(60, seed=1):
        frames = render_frames(scene.model_copy(update={"noise": 0.0}), sampled_times(scene, 8))
        for item in truth_of(scene).objects:
            seen = [color_center(p, item.color) for p in frames.pixels]
            visible = [s for s in seen if s[2] > 8]
            first, last = visible[0], visible[-1]
            moved = max(abs(last[0] - first[0]), abs(last[1] - first[1]))
            if item.event == "appears":
                assert seen[0][2] == 0, scene
                assert seen[-1][2] > 0, scene
            elif item.event == "leaves":
                assert seen[0][2] > 0, scene
                assert seen[-1][2] == 0, scene
            else:
                assert len(visible) == 8, scene
                assert (moved > 0.2) == (item.event == "moves"), scene
            if item.event == "moves":
                step = DIRECTIONS[item.direction or ""]
                travel = np.array(last[:2]) - np.array(first[:2])
                assert travel @ np.array(step) > 0.9 * np.abs(travel).sum(), scene
            checked += 1
    assert checked > 60


def test_every_direction_and_event_is_met() -> None:
    facts = [o for scene in scenes(800, seed=2) for o in truth_of(scene).objects]
    for direction in DIRECTIONS:
        assert 0.2 < np.mean([o.direction == direction for o in facts if o.event == "moves"]) < 0.3
    assert {o.event for o in facts} == {"still", "moves", "leaves", "appears"}
    assert 0.15 < np.mean([len(truth_of(s).objects) == 2 for s in scenes(800, seed=2)]) < 0.25


def test_two_objects_never_share_a_color_nor_overlap() -> None:
    for scene in scenes(300, seed=4):
        objects = scene.shots[0].objects
        assert len({o.color for o in objects}) == len(objects)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_task_is_asked_and_answered(language: str) -> None:
    asked = dict.fromkeys(questions.VIDEO_TASKS, 0)
    for i, scene in enumerate(scenes(150, seed=5)):
        for task in questions.VIDEO_TASKS:
            question = questions.ask(truth_of(scene), task, language, np.random.default_rng(i))
            if question is not None:
                asked[task] += 1
                assert "{" not in question.text + question.answer
                assert question.answer
    assert min(asked.values()) > 30


@pytest.mark.parametrize("unseen", [False, True])
def test_yes_and_no_are_balanced(unseen: bool) -> None:
    rng = np.random.default_rng(0)
    answers = [
        questions.ask(truth_of(s), "presence", "en", rng, unseen=unseen).answer.startswith("Yes")  # pyright: ignore[reportOptionalMemberAccess]
        for s in scenes(600, seed=6)
    ]
    assert 0.44 < np.mean(answers) < 0.56


def test_a_no_is_true() -> None:
    rng = np.random.default_rng(0)
    for scene in scenes(300, seed=7):
        question = questions.ask(truth_of(scene), "presence", "en", rng)
        assert question is not None
        names = [wording.name_of(o, "en", article="none") for o in truth_of(scene).objects]
        assert question.answer.startswith("Yes") == any(n in question.answer for n in names)


@pytest.mark.parametrize("task", list(wording.QUESTIONS))
@pytest.mark.parametrize("language", LANGUAGES)
def test_test_phrasings_are_kept_out_of_training(task: str, language: str) -> None:
    seen = wording.phrasings(task, language, unseen=False)
    unseen = wording.phrasings(task, language, unseen=True)
    assert len(unseen) == wording.NUM_TEST_PHRASINGS
    assert len(seen) >= 6
    assert not set(seen) & set(unseen)
    assert len(set(seen)) == len(seen)


def test_no_stream_ever_uses_a_test_phrasing() -> None:
    kept_out = {
        p.format(it="X", a="X")
        for task in wording.QUESTIONS.values()
        for lang in task.values()
        for p in lang[-2:]
    }
    fixed = {p for p in kept_out if "X" not in p}
    stream = SampleStream("instructions", seed=8)
    said = {m.text for i in range(300) for m in stream.conversation(i).messages if m.role == "user"}
    assert not fixed & said


def test_spanish_agrees() -> None:
    item = next(o for s in scenes(200) for o in truth_of(s).objects if (o.shape, o.color) == ("cross", "red"))
    assert wording.name_of(item, "es") == "la cruz roja"
    assert wording.contract("la forma de el objeto", "es") == "la forma del objeto"


@pytest.mark.parametrize("kind", ["captions", "instructions"])
def test_a_stream_is_a_pure_function_of_its_number(kind: str) -> None:
    first, second = (SampleStream(kind, seed=9) for _ in range(2))  # pyright: ignore[reportArgumentType]
    for i in (0, 5, 17):
        a, b = first.sample(i), second.sample(i)
        assert a.conversation == b.conversation == first.conversation(i)
        assert (a.frames is None) == (b.frames is None)
        if a.frames is not None and b.frames is not None:
            np.testing.assert_array_equal(a.frames.pixels, b.frames.pixels)


def test_a_dialogue_tells_the_motion_at_most_once() -> None:
    stream = SampleStream("instructions", seed=10)
    for i in range(200):
        tasks = stream.conversation(i).metadata["tasks"]
        assert sum(t in ("direction", "event", "caption") for t in tasks) <= 1


def test_a_picture_shows_whole_objects_only() -> None:
    found = 0
    for scene in scenes(100, seed=11):
        for time_s in np.linspace(0, scene.duration_s * 0.99, 5):
            truth = truth_of_picture(scene, float(time_s))
            if truth is not None:
                found += 1
                assert all(o.event == "still" for o in truth.objects)
    assert found > 200


def test_a_data_set_is_complete_and_goes_on(tmp_path: Path) -> None:
    done: list[int] = []
    write_dataset(tmp_path, 2, seed=1)
    first = (tmp_path / "clips" / "000000.mp4").stat().st_mtime_ns
    write_dataset(tmp_path, 3, seed=1, on_clip=done.append)
    assert (tmp_path / "clips" / "000000.mp4").stat().st_mtime_ns == first
    assert done == [1, 2, 3]
    dialogues = list(read_jsonl(tmp_path / "conversations.jsonl"))
    assert [c.language for c in dialogues[:3]] == list(LANGUAGES)
    assert len(dialogues) == len(list(read_jsonl(tmp_path / "captions.jsonl"))) == 9
    assert all(Path(str(m.source)).is_file() for c in dialogues for m in c.media)
    assert read_scene(tmp_path / "scenes" / "000002.json") == scene_number(1, 2)
    with pytest.raises(ConfigError, match="another seed"):
        write_dataset(tmp_path, 1, seed=2)


def test_objects_can_be_told_from_the_background(tmp_path: Path) -> None:
    """The dullest object still differs from any background pixel by a clear step."""
    for scene in scenes(20, seed=12):
        picture = render_frames(scene.model_copy(update={"noise": 0.0}), [0.0]).pixels[0]
        PillowImage.fromarray(picture).save(tmp_path / "x.png")
        for item in scene.shots[0].objects:
            x, y = item.position(0.0)
            if item.exists(0.0):
                inside = picture[int(y * 128), int(x * 128)].astype(int)
                assert np.abs(inside - picture[0, 0].astype(int)).max() > 60
