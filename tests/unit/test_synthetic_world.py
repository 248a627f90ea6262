"""The synthetic world: documents that are checked, files that are always the same, samples by number."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from valley.cli.contact_sheet import truth_lines, write_scene_sheet
from valley.conversation import read_jsonl
from valley.errors import ConfigError
from valley.synthetic.dataset import scene_number, write_dataset
from valley.synthetic.generator import draw_scene
from valley.synthetic.render import render_frames, render_video
from valley.synthetic.scene import Scene, read_scene, scene_schema, write_scene
from valley.synthetic.stream import SampleStream, StreamKind
from valley.synthetic.timing import sampled_times
from valley.synthetic.truth import truth_of
from valley.synthetic.twins import draw_twin, same_question
from valley.synthetic.world import COLORS, CORE_DIRECTIONS, CORE_EVENTS, DIRECTIONS, EVENTS, LANGUAGES, LEVELS
from valley.video.decoding import read_frames
from valley.video.sampling import FrameSampling

GREY = {"kind": "plain", "colors": [[40, 44, 52]]}


def thing(
    color: str, x: float, *events: dict[str, Any], shape: str = "circle", y: float = 0.5
) -> dict[str, Any]:
    return {"shape": shape, "color": color, "radius": 0.1, "center": [x, y], "events": list(events)}


def travel(kind: str, start_s: float, end_s: float, distance: float, **more: Any) -> dict[str, Any]:
    fields = {"kind": kind, "start_s": start_s, "end_s": end_s, "direction": "right", "distance": distance}
    return fields | more


def collision() -> dict[str, Any]:
    """Give a document that is right: red hits blue in the first shot, yellow turns green in the second."""
    hits = travel("hits", 0.0, 0.8, 0.25, partner=1)
    pushed = travel("pushed", 0.8, 2.0, 0.3, partner=0)
    turns = {"kind": "recolors", "start_s": 0.5, "end_s": 0.5, "to_color": "green"}
    return {
        "fps": 25.0,
        "shots": [
            {
                "duration_s": 2.0,
                "background": GREY,
                "objects": [thing("red", 0.15, hits), thing("blue", 0.6, pushed)],
            },
            {"duration_s": 1.0, "background": GREY, "objects": [thing("yellow", 0.5, turns, shape="square")]},
        ],
    }


Change = Callable[[dict[str, Any]], object]


def objects(document: dict[str, Any], shot: int = 0) -> list[dict[str, Any]]:
    return document["shots"][shot]["objects"]


def event(document: dict[str, Any], item: int = 0, shot: int = 0) -> dict[str, Any]:
    return objects(document, shot)[item]["events"][0]


def replace_event(document: dict[str, Any], *, shot: int = 1, **fields: Any) -> None:
    objects(document, shot)[0]["events"] = [fields]


def gradual(kind: str, **fields: Any) -> Change:
    """Make a change that puts an event over the whole second shot."""
    return lambda d: replace_event(d, **({"kind": kind, "start_s": 0.0, "end_s": 1.0} | fields))


def spinning_circle(document: dict[str, Any]) -> None:
    replace_event(document, kind="spins", start_s=0.0, end_s=1.0, turn_deg=90.0)
    objects(document, 1)[0]["shape"] = "circle"


HITS, PUSHED = "shots.0.objects.0.events.0", "shots.0.objects.1.events.0"
TURNS = "shots.1.objects.0"
TURNS_EVENT = TURNS + ".events.0"
WRONG: dict[str, tuple[Change, str, str]] = {
    "no shots": (lambda d: d.update(shots=[]), "shots", "at least 1"),
    "four shots": (lambda d: d.update(shots=d["shots"] * 2), "shots", "at most 3"),
    "no frame rate": (lambda d: d.update(fps=0), "fps", "greater than 0"),
    "unknown field": (lambda d: d.update(colour="red"), "colour", "not permitted"),
    "loud noise": (lambda d: d.update(noise=99), "noise", "64"),
    "no objects": (lambda d: objects(d).clear(), "shots.0.objects", "at least 1"),
    "no duration": (lambda d: d["shots"][1].update(duration_s=0), "shots.1.duration_s", "greater than 0"),
    "unknown shape": (lambda d: objects(d)[0].update(shape="star"), "shots.0.objects.0", "'star'"),
    "unknown color": (lambda d: objects(d)[1].update(color="pink"), "shots.0.objects.1", "'pink'"),
    "huge": (lambda d: objects(d)[0].update(radius=0.6), "shots.0.objects.0.radius", "less than 0.5"),
    "two events": (
        lambda d: objects(d, 1)[0].update(events=[event(d, shot=1)] * 2),
        TURNS + ".events",
        "most 1",
    ),
    "same colors": (lambda d: objects(d)[1].update(color="red"), "shots.0", "unique"),
    "turns to a color that is there": (
        lambda d: objects(d, 1).append(thing("green", 0.2)), "shots.1", "unique",
    ),
    "turns to its own color": (
        lambda d: event(d, shot=1).update(to_color="yellow"), TURNS, "another to_color",
    ),
    "plain background of two colors": (
        lambda d: d["shots"][0].update(background=GREY | {"colors": [[1, 2, 3], [4, 5, 6]]}),
        "shots.0.background", "wants 1 colors, got 2",
    ),
    "ends before it starts": (lambda d: event(d).update(start_s=1.0), HITS, "cannot end"),
    "sudden that takes time": (
        lambda d: event(d, shot=1).update(end_s=0.7), TURNS_EVENT, "happens at once",
    ),
    "gradual at once": (gradual("grows", end_s=0.0, to_radius=0.2), TURNS_EVENT, "takes time"),
    "unknown direction": (lambda d: event(d).update(direction="north"), HITS, "'north'"),
    "unknown to_color": (lambda d: event(d, shot=1).update(to_color="pink"), TURNS_EVENT, "'pink'"),
    "moves nowhere": (gradual("moves", direction="up"), TURNS_EVENT, "wants a distance"),
    "spins somewhere": (
        gradual("spins", turn_deg=90.0, direction="up"), TURNS_EVENT, "takes no direction",
    ),
    "unknown event": (gradual("flies"), TURNS_EVENT + ".kind", "moves"),
    "grows smaller": (gradual("grows", to_radius=0.05), TURNS, "'grows' from radius"),
    "shrinks bigger": (gradual("shrinks", to_radius=0.2), TURNS, "'shrinks' from radius"),
    "a circle that spins": (spinning_circle, TURNS, "circle spin"),
    "after its shot": (gradual("spins", end_s=1.5, turn_deg=40.0), "shots.1", "after its shot"),
    "moves that ends early": (
        gradual("moves", end_s=0.5, direction="up", distance=0.2), "shots.1", "lasts to the end",
    ),
    "stops that lasts": (gradual("stops", direction="up", distance=0.2), "shots.1", "ends before its shot"),
    "enters from inside": (gradual("enters", direction="up", distance=0.2), "shots.1", "begins outside"),
    "leaves and stays": (gradual("leaves", direction="up", distance=0.2), "shots.1", "ends outside"),
    "pushed without partner": (lambda d: event(d, 1).pop("partner"), PUSHED, "a partner"),
    "hits nobody": (lambda d: event(d).update(partner=7), "shots.0", "no other object number 7"),
    "hits itself": (lambda d: event(d).update(partner=0), "shots.0", "no other object number 0"),
    "pushed by what stands": (lambda d: objects(d)[0].update(events=[]), "shots.0", "to be 'hits'"),
    "pushed elsewhere": (lambda d: event(d, 1).update(direction="up"), "shots.0", "in the direction"),
    "pushed before it is hit": (lambda d: event(d, 1).update(start_s=0.5), "shots.0", "a push starts"),
}  # fmt: skip


def test_the_document_that_the_wrong_ones_are_made_from_is_right(tmp_path: Path) -> None:
    path = tmp_path / "scene.json"
    path.write_text(json.dumps(collision()), encoding="utf-8")
    assert [len(shot.objects) for shot in read_scene(path).shots] == [2, 1]


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_scene_names_the_place_and_the_reason(tmp_path: Path, case: str) -> None:
    change, place, reason = WRONG[case]
    document = copy.deepcopy(collision())
    change(document)
    path = tmp_path / "scene.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_scene(path)
    said = str(caught.value).removeprefix(f"{path}: ")
    assert said.startswith(f"{place}: ")
    assert reason in said


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_what_is_no_scene_document_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scene.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"scene\.json: "):
        read_scene(path)


def test_an_absent_scene_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.json: no such scene"):
        read_scene(tmp_path / "nothing.json")


def test_a_scene_survives_its_json(tmp_path: Path) -> None:
    for index in range(20):
        scene = scene_number(0, index, level=LEVELS[index % 2])
        write_scene(tmp_path / "scene.json", scene)
        assert read_scene(tmp_path / "scene.json") == scene


def test_the_schema_knows_every_field_of_a_document() -> None:
    schema = scene_schema()
    for document, name in (
        (collision(), None), (collision()["shots"][0], "Shot"),
        (objects(collision())[0], "SceneObject"), (event(collision()), "Event"),
    ):  # fmt: skip
        known = schema["properties"] if name is None else schema["$defs"][name]["properties"]
        assert set(document) <= set(known)
    assert set(EVENTS) - {"still"} == set(schema["$defs"]["Event"]["properties"]["kind"]["enum"])


_RENDER = (
    "import sys; from pathlib import Path; from valley.synthetic.dataset import scene_number;"
    "from valley.synthetic.render import render_video;"
    "render_video(scene_number(5, 3, level='rich', size_px=64), Path(sys.argv[1]))"
)


def test_rendering_is_the_same_to_the_byte_in_every_process(tmp_path: Path) -> None:
    scene = scene_number(5, 3, level="rich", size_px=64)
    assert scene.noise > 0
    render_video(scene, tmp_path / "a.mp4")
    subprocess.run([sys.executable, "-c", _RENDER, str(tmp_path / "b.mp4")], check=True, timeout=120)
    one, other = (hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.mp4", "b.mp4"))
    assert one == other


def test_the_files_frames_are_shown_in_time_and_cut_where_the_scene_is(tmp_path: Path) -> None:
    scene = next(s for s in (scene_number(6, i, size_px=64) for i in range(50)) if len(s.shots) == 3)
    render_video(scene, tmp_path / "a.mp4")
    frames = read_frames(tmp_path / "a.mp4", FrameSampling(num_frames=scene.num_frames))
    np.testing.assert_allclose(frames.shown_at_s, np.arange(scene.num_frames) / scene.fps, atol=1e-4)
    pixels = frames.pixels.astype(np.int16)
    jumps = np.abs(np.diff(np.median(pixels.mean(-1), axis=(1, 2))))
    cuts_s = np.cumsum([shot.duration_s for shot in scene.shots])[:-1]
    # the first frame of a shot is the first one that is shown at its begin or later
    expected = np.ceil(cuts_s * scene.fps - 1e-3).astype(int)
    assert sorted((np.argsort(jumps)[-2:] + 1).tolist()) == expected.tolist()


def test_the_file_shows_what_the_stream_draws(tmp_path: Path) -> None:
    """Training draws frames directly; a file of the same scene, read back, must look the same."""
    scene = scene_number(3, 0)
    render_video(scene, tmp_path / "a.mp4")
    read = read_frames(tmp_path / "a.mp4", FrameSampling(num_frames=8))
    drawn = render_frames(scene, sampled_times(scene.num_frames, scene.fps))
    np.testing.assert_allclose(read.shown_at_s, drawn.shown_at_s, atol=1e-4)
    error = np.abs(read.pixels.astype(int) - drawn.pixels.astype(int)).mean()
    assert error < 6  # sensor noise and H.264 at its coarsest; another frame differs by far more


def test_levels_have_what_they_promise() -> None:
    truths = {level: [truth_of(scene_number(2, i, level=level)) for i in range(120)] for level in LEVELS}
    facts = {level: [o for truth in found for o in truth.objects] for level, found in truths.items()}
    assert {o.event for o in facts["core"]} == set(CORE_EVENTS)
    assert {o.event for o in facts["rich"]} == set(EVENTS)
    for level, directions in (("core", CORE_DIRECTIONS), ("rich", tuple(DIRECTIONS))):
        moving = [o.direction for o in facts[level] if o.event == "moves"]
        shares = [moving.count(name) / len(moving) for name in directions]
        assert sum(shares) == pytest.approx(1)
        assert min(shares) > 0.3 / len(directions)
    numbers = {level: [len(s.objects) for t in found for s in t.shots] for level, found in truths.items()}
    assert (max(numbers["core"]), max(numbers["rich"])) == (3, 4)


def test_objects_can_be_told_from_the_background() -> None:
    """The dullest object still differs from any background pixel by a clear step."""
    for index in range(30):
        scene = scene_number(12, index, level="rich").model_copy(update={"noise": 0.0})
        picture = render_frames(scene, [0.0], size_px=(64, 64)).pixels[0]
        item = scene.shots[0].objects[0]
        state = item.state(0.0)
        others = np.array(scene.shots[0].background.colors)
        assert others.max() <= 125
        assert np.abs(np.array(COLORS[item.color]) - others).max(-1).min() > 60
        if state.exists and 0 < state.x < 1 and 0 < state.y < 1:
            inside = picture[int(state.y * 64), int(state.x * 64)]
            assert np.abs(inside.astype(int) - COLORS[item.color]).max() < 2


@pytest.mark.parametrize("kind", ["captions", "instructions"])
def test_a_stream_is_a_pure_function_of_its_number(kind: StreamKind) -> None:
    first, second = (SampleStream(kind, seed=9, rich_share=0.5) for _ in range(2))
    for index in (0, 5, 17):
        a, b = first.sample(index), second.sample(index)
        assert a.conversation == b.conversation == first.conversation(index)
        assert (a.frames is None) == (b.frames is None)
        if a.frames is not None and b.frames is not None:
            np.testing.assert_array_equal(a.frames.pixels, b.frames.pixels)


def test_a_dialogue_tells_what_an_object_does_once_before_it_tells_all() -> None:
    stream = SampleStream("instructions", seed=10, foreign_share=0.0)
    telling = {"direction", "action", "happens", "cause", "when"}
    for index in range(60):
        asked = stream.draw(index).asked
        about = [q.about for q in asked if q.task in telling and q.about is not None]
        assert len(about) == len(set(about))
        last = [q.task in ("order", "caption", "description") for q in asked]
        assert last == sorted(last)


def test_twins_ask_the_same_and_answer_otherwise() -> None:
    from valley.synthetic import questions

    found = 0
    for index in range(12):
        scene = scene_number(15, index)
        rng = np.random.default_rng(index)
        twin = draw_twin(scene, rng, level="core")
        if twin is None:
            continue
        for one, other in zip(scene.shots, twin.shots, strict=True):
            names = [{(o.color, o.shape) for o in shot.objects} for shot in (one, other)]
            assert names[0] == names[1]
        asked = questions.ask(truth_of(scene), "action", "en", rng)
        assert asked is not None
        again = same_question(asked, twin, rng, unseen=False)
        if again is not None:
            found += 1
            assert again.text == asked.text
            assert again.answer != asked.answer
    assert found >= 3


def test_a_data_set_is_complete_and_goes_on(tmp_path: Path) -> None:
    done: list[int] = []
    write_dataset(tmp_path, 1, seed=1)
    first = (tmp_path / "clips" / "000000.mp4").stat().st_mtime_ns
    write_dataset(tmp_path, 2, seed=1, on_clip=done.append)
    assert (tmp_path / "clips" / "000000.mp4").stat().st_mtime_ns == first
    assert done == [1, 2]
    dialogues = list(read_jsonl(tmp_path / "conversations.jsonl"))
    assert [c.language for c in dialogues[:3]] == list(LANGUAGES)
    assert len(dialogues) == len(list(read_jsonl(tmp_path / "captions.jsonl"))) == 6
    assert all(Path(str(m.source)).is_file() for c in dialogues for m in c.media)
    assert read_scene(tmp_path / "scenes" / "000001.json") == scene_number(1, 1)
    truths = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert truths[1]["duration_s"] == scene_number(1, 1).duration_s
    for changed in ({"seed": 2}, {"seed": 1, "level": "rich"}):
        with pytest.raises(ConfigError, match="another seed or level"):
            write_dataset(tmp_path, 1, **changed)  # pyright: ignore[reportArgumentType]


def test_a_sheet_has_the_truth_beside_the_frames(tmp_path: Path) -> None:
    scene = Scene.model_validate(collision())
    lines = truth_lines(truth_of(scene))
    assert lines == [
        "shot 1: 0.00 s to 2.00 s",
        "  small red circle",
        "      hits blue circle right 0.00 s to 0.80 s",
        "  small blue circle",
        "      pushed by red circle right 0.80 s to 2.00 s, delayed",
        "shot 2: 2.00 s to 3.00 s",
        "  small yellow square",
        "      recolors green at 2.50 s, delayed",
    ]
    frames = render_frames(scene, sampled_times(scene.num_frames, scene.fps))
    write_scene_sheet(tmp_path / "sheet.png", "collision", frames, truth_of(scene))
    with PillowImage.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    assert (pixels == (220, 0, 120)).all(-1).any(1).sum() > 240  # the cut's line is as high as a frame
    with pytest.raises(ConfigError, match=r"sheet\.qqq: want a picture"):
        write_scene_sheet(tmp_path / "sheet.qqq", "collision", frames, truth_of(scene))


def test_the_same_state_draws_the_same_scene_and_another_another() -> None:
    one, same, other = (draw_scene(np.random.default_rng(seed), level="rich") for seed in (1, 1, 2))
    assert one == same != other
