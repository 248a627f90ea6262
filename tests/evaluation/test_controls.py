"""Controls show other pixels at the same times, and ask the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from valley.conversation import Conversation, Image, Video, assistant, user
from valley.evaluation.asking import Asker, Question
from valley.evaluation.benchmark import Item
from valley.evaluation.controls import Control, plan_controls
from valley.inference.backend import GenerationParams
from valley.video.encoding import write_video
from valley.video.sampling import FrameSampling

UNEVEN_S = [0.0, 0.1, 0.4, 1.0, 1.1, 1.15, 2.0, 3.5, 3.6, 5.0]


def item(*media: Image | Video, name: str = "1", clip: str = "") -> Item:
    return Item(name, "normal", "t", "en", (), Conversation((user(*media, "What?"),)), "x", clip=clip)


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    """Ten bright frames at uneven times, of odd width."""
    pixels = np.full((10, 48, 64, 3), 60, np.uint8)
    for number, frame in enumerate(pixels):
        frame[:, 6 * number : 6 * number + 6] = 250
    return write_video(tmp_path / "uneven.mp4", pixels, shown_at_s=UNEVEN_S, crf=5)


def shown(told: Any, one: Item, folder: Path, sampling: FrameSampling | None = None) -> dict[str, Any]:
    """Ask a question and its controls; give the frames that each was asked with."""
    backend = told(lambda *_: "x")
    asker = Asker(backend, folder, GenerationParams(sampling=sampling))
    found = {}
    controls = [Control(one, one), *plan_controls([one], folder)]
    for control in controls:
        is_made = control.item is not one
        record = asker.ask(Question("b", control.item, control if is_made else None))
        found[record.variant] = (backend.seen[-1][1], record)
    return found


@pytest.mark.parametrize(
    ("window", "sampling"),
    [
        ((None, None), None),
        ((None, None), FrameSampling(num_frames=10)),
        ((None, None), FrameSampling(num_frames=50)),
        ((0.9, 3.55), None),
        ((1.05, None), FrameSampling(num_frames=3)),
        ((None, None), FrameSampling(fps=2)),
        ((1.0, 4.0), FrameSampling(fps=3)),
        ((0.0, 1.06), FrameSampling(fps=1.9)),
        ((0.9, 1.8), FrameSampling(fps=4)),
        ((None, None), FrameSampling(num_frames=6, rule="valley-2023")),
        ((None, None), FrameSampling(num_frames=20, rule="valley-2023")),
        ((None, None), FrameSampling(keyframes=True)),
    ],
)
def test_times_and_sizes_stay(
    told: Any, uneven: Path, tmp_path: Path, window: tuple[Any, Any], sampling: FrameSampling | None
) -> None:
    one = item(Video(uneven, *window))
    found = shown(told, one, tmp_path / "run", sampling)
    assert list(found) == ["normal", "blind", "one_frame"]
    (normal,), _ = found["normal"]
    for name in ("blind", "one_frame"):
        (frames,), record = found[name]
        wanted = np.unique(normal.shown_at_s) if len(frames) < len(normal) else normal.shown_at_s
        np.testing.assert_allclose(frames.shown_at_s, wanted, atol=1e-4)
        assert frames.pixels.shape[1:] == normal.pixels.shape[1:]
        assert record.question == "What?"
        assert record.media[0].path.startswith(f"{record.media[0].path[:12]}-{name}")
    assert found["blind"][0][0].pixels.max() <= 2
    still = found["one_frame"][0][0].pixels.astype(int)
    assert np.ptp(still, axis=0).max() <= 4  # the encoder's rounding
    middle = normal.pixels[len(normal.pixels) // 2].astype(int)
    assert np.abs(still[0] - middle).mean() < 6


def test_a_picture_is_blind_and_has_no_single_frame(told: Any, clip_files: Path, tmp_path: Path) -> None:
    found = shown(told, item(Image(clip_files / "photo.png")), tmp_path / "run")
    assert list(found) == ["normal", "blind"]
    assert found["blind"][0][0].pixels.max() == 0
    assert found["blind"][0][0].pixels.shape == found["normal"][0][0].pixels.shape


def test_odd_sides_are_cut_by_one_pixel(told: Any, tmp_path: Path) -> None:
    from valley.video.frames import Frames

    pixels = np.zeros((3, 33, 47, 3), np.uint8)
    frames = Frames(pixels, np.arange(3.0))
    backend = told(lambda *_: "x")
    backend.look = lambda *_: frames
    write_video(tmp_path / "a.mp4", pixels[:, :32, :46], fps=1)
    control = plan_controls([item(Video(tmp_path / "a.mp4"))], tmp_path)[0]
    record = Asker(backend, tmp_path, GenerationParams()).ask(Question("b", control.item, control))
    assert record.media[0].timestamps_s == (0.0, 1.0, 2.0)


def test_another_clip_is_never_the_same_one(clip_files: Path, tmp_path: Path) -> None:
    a, b = Video(clip_files / "a.mp4"), Video(clip_files / "b.mp4", 0.5, 2.0)
    items = [item(a, name="1", clip="a"), item(a, name="2", clip="a"), item(b, name="3", clip="b")]
    swapped = [c.item for c in plan_controls(items, tmp_path) if c.item.variant == "swapped"]
    assert [i.conversation.media for i in swapped] == [(b,), (b,), (a,)]
    assert [(i.id, i.reference, i.conversation.messages[-1].text) for i in swapped] == [
        (i.id, i.reference, "What?") for i in items
    ]
    alone = plan_controls([item(a), item(Image("photo.png"), name="2")], tmp_path)
    assert "swapped" not in {c.item.variant for c in alone}  # nothing of the same kind


def test_examples_in_earlier_turns_stay(clip_files: Path, tmp_path: Path) -> None:
    example = Image(clip_files / "photo.png")
    conversation = Conversation((user(example, "?"), assistant("!"), user(Video("a.mp4"), "And this?")))
    one = Item("1", "normal", "t", "en", (), conversation, "x")
    blind = plan_controls([one], tmp_path)[0].item
    assert blind.conversation.media[0] == example
    assert blind.conversation.media[1] != conversation.media[1]
    assert blind.conversation.messages[-1].text == "And this?"


def test_the_timed_text_is_still_there(told: Any, uneven: Path, tmp_path: Path) -> None:
    from valley.video.subtitles import read_subtitles

    uneven.with_suffix(".srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nHello\n", encoding="utf-8")
    one = item(Video(uneven, subtitles="auto"))
    shown(told, one, tmp_path / "run")
    made = sorted((tmp_path / "run").glob("*-blind.mp4"))[0]
    assert read_subtitles(made) == read_subtitles(uneven)


def test_so_many_and_no_more(clip_files: Path, tmp_path: Path) -> None:
    items = [item(Video(clip_files / "a.mp4"), name=str(n)) for n in range(5)]
    assert [c.item.id for c in plan_controls(items, tmp_path, limit=2)] == ["0", "1"] * 3
