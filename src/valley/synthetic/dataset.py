"""Writes a data set to disk: real H.264 clips, their scene documents, the truth, captions and conversations.

::

    out/clips/000000.mp4        out/scenes/000000.json      out/truth.jsonl
    out/captions.jsonl          out/conversations.jsonl     (records that `valley train` reads)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from valley.conversation import Conversation, Video, assistant, user, write_jsonl
from valley.errors import ConfigError
from valley.synthetic import questions
from valley.synthetic.generator import Combinations, draw_scene
from valley.synthetic.render import render_video
from valley.synthetic.scene import Scene, write_scene
from valley.synthetic.truth import Truth, truth_of
from valley.synthetic.world import LANGUAGES, Level

_SCENE, _WORDS = 0, 1
"""Separate streams of random numbers, so that other words do not change the clips."""


def scene_number(
    seed: int,
    index: int,
    *,
    size_px: int = 128,
    level: Level = "core",
    combinations: Combinations = "trained",
) -> Scene:
    """Draw scene `index` of a seed; always the same one."""
    rng = np.random.default_rng([seed, index, _SCENE])
    return draw_scene(rng, size_px=size_px, level=level, combinations=combinations)


def write_dataset(
    out: Path,
    num_clips: int,
    seed: int = 0,
    *,
    level: Level = "core",
    on_clip: Callable[[int], None] | None = None,
) -> None:
    """Write `num_clips` clips with all that is known about them; what is there already is not rendered again.

    Args:
        out: a folder, made if absent. It belongs to one seed and level, written to `seed.json`.
        num_clips: more clips than before extend the folder.
        seed: the same seed gives the same files.
        level: "core" or "rich".
        on_clip: called with the number of clips done so far.

    Raises:
        ConfigError: the folder was begun with another seed or level.
    """
    clips, scenes = out / "clips", out / "scenes"
    clips.mkdir(parents=True, exist_ok=True)
    scenes.mkdir(exist_ok=True)
    _claim(out / "seed.json", {"seed": seed, "level": level})
    truths, captions, dialogues = [], [], []
    for index in range(num_clips):
        scene, name = scene_number(seed, index, level=level), f"{index:06d}"
        truth = truth_of(scene)
        if not (clips / f"{name}.mp4").exists():
            write_scene(scenes / f"{name}.json", scene)
            render_video(scene, clips / f"{name}.mp4")
        rng = np.random.default_rng([seed, index, _WORDS])
        truths.append({"clip": f"clips/{name}.mp4", "duration_s": scene.duration_s, **truth.to_record()})
        captions += [_captioned(truth, name, language, rng) for language in LANGUAGES]
        dialogues += [_dialogue(truth, name, language, rng) for language in LANGUAGES]
        if on_clip:
            on_clip(index + 1)
    part = out / "truth.jsonl.part"
    part.write_text("".join(json.dumps(t, ensure_ascii=False) + "\n" for t in truths), encoding="utf-8")
    part.replace(out / "truth.jsonl")
    write_jsonl(out / "captions.jsonl", captions)
    write_jsonl(out / "conversations.jsonl", dialogues)


def _claim(marker: Path, owner: dict[str, object]) -> None:
    if marker.exists() and json.loads(marker.read_text(encoding="utf-8")) != owner:
        raise ConfigError(
            f"{marker.parent}: this folder holds clips of another seed or level; choose another folder"
        )
    marker.write_text(json.dumps(owner) + "\n", encoding="utf-8")


def _captioned(truth: Truth, name: str, language: str, rng: np.random.Generator) -> Conversation:
    asked = questions.ask(truth, "caption", language, rng)
    assert asked is not None
    turns = (user(Video(f"clips/{name}.mp4"), asked.text), assistant(asked.answer))
    return Conversation(turns, language, id=f"{name}-{language}-caption")


def _dialogue(truth: Truth, name: str, language: str, rng: np.random.Generator) -> Conversation:
    asked = [q for task in questions.VIDEO_TASKS if (q := questions.ask(truth, task, language, rng))]
    turns = []
    for question in asked:
        clip = [Video(f"clips/{name}.mp4")] if not turns else []
        turns += [user(*clip, question.text), assistant(question.answer)]
    tasks = [q.task for q in asked]
    return Conversation(tuple(turns), language, id=f"{name}-{language}", metadata={"tasks": tasks})
