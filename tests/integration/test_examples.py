"""examples/: the clips are what their scene documents say, and every question has its only right answer."""

from pathlib import Path

import numpy as np
import pytest

from valley.conversation import Video, read_jsonl
from valley.synthetic import questions
from valley.synthetic.render import render_frames, render_video
from valley.synthetic.scene import read_scene
from valley.synthetic.truth import truth_of
from valley.video.decoding import read_frames
from valley.video.sampling import FrameSampling

EXAMPLES = Path(__file__).parents[2] / "examples"
SCENES = sorted(EXAMPLES.glob("scenes/*.json"))
CONVERSATIONS = list(read_jsonl(EXAMPLES / "questions.jsonl"))
SOME_FRAMES = FrameSampling(num_frames=5)
# Another build of the encoder may round otherwise: 12 of 255 cannot be seen, a shifted edge is 100.
SAME_PICTURE_STEP = 12


def test_every_clip_has_its_scene():
    assert [p.stem for p in SCENES] == [p.stem for p in sorted(EXAMPLES.glob("clips/*.mp4"))]


@pytest.mark.parametrize("scene", SCENES, ids=[p.stem for p in SCENES])
def test_rendering_a_scene_gives_the_committed_clip(scene, tmp_path):
    clip = EXAMPLES / "clips" / f"{scene.stem}.mp4"
    render_video(read_scene(scene), tmp_path / clip.name)
    committed, again = read_frames(clip, SOME_FRAMES), read_frames(tmp_path / clip.name, SOME_FRAMES)
    assert np.array_equal(committed.shown_at_s, again.shown_at_s)
    assert np.abs(committed.pixels.astype(int) - again.pixels).max() <= SAME_PICTURE_STEP


@pytest.mark.parametrize("scene", SCENES, ids=[p.stem for p in SCENES])
def test_a_clip_shows_its_scene(scene):
    document = read_scene(scene)
    frames = read_frames(EXAMPLES / "clips" / f"{scene.stem}.mp4", SOME_FRAMES)
    drawn = render_frames(document, frames.shown_at_s.tolist())
    # H.264 at its usual quality, and half as many samples of colour as of light: 2 in 255 on average.
    assert np.abs(frames.pixels.astype(int) - drawn.pixels).mean() < 4
    assert frames.end_s == pytest.approx(document.duration_s, abs=0.05)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=[c.id for c in CONVERSATIONS])
def test_questions_are_of_this_world_and_answered_by_the_truth(conversation):
    (medium,) = conversation.media
    assert isinstance(medium, Video)
    truth = truth_of(read_scene(EXAMPLES / "scenes" / f"{Path(str(medium.source)).stem}.json"))
    turns = conversation.messages
    for task, question, answer in zip(conversation.metadata["tasks"], turns[::2], turns[1::2], strict=True):
        drawn = (
            questions.ask(truth, task, conversation.language, np.random.default_rng(seed))
            for seed in range(2000)
        )
        assert any(q and (q.text, q.answer) == (question.text, answer.text) for q in drawn), question.text


def test_the_demo_speaks_three_languages():
    assert {c.language for c in CONVERSATIONS} == {"en", "zh", "es"}
