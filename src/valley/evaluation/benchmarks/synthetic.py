"""Questions about rendered clips never seen in training, scored by rule; needs no download.

Clips of a seed that training streams never use are rendered as real H.264 files and read back like any
video. Half of them show a colour, shape and event that training never shows together; half of them are asked
in words that training never uses. Each task is asked once a clip, in a language that changes from clip to
clip and task to task.

Controls, each the same questions with other frames: `blind` (black frames), `one_frame` (the clip's middle
frame all the time), `swapped` (frames of another clip with objects of the same names: right is what those
frames show, and only questions with another answer there count), and `real` (recorded videos: right is to
say that this is another world).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from valley.conversation import Conversation, Video, user
from valley.errors import ConfigError
from valley.evaluation.benchmark import Benchmark, DataSource, Item, Metric, Selection
from valley.synthetic import questions, wording
from valley.synthetic.dataset import scene_number
from valley.synthetic.facts import f1
from valley.synthetic.questions import Question
from valley.synthetic.render import render_frames, render_video
from valley.synthetic.scene import Scene
from valley.synthetic.truth import truth_of
from valley.synthetic.twins import draw_twin, same_question
from valley.synthetic.world import LANGUAGES, LEVELS, Level
from valley.video.encoding import write_video

TEST_SEED_OFFSET = 1_000_003
"""Keeps the test scenes' seeds apart from any seed a recipe is likely to name."""

TIME_TOLERANCE_S = 0.5
REAL_QUESTIONS_PER_CLIP = 2
"""In each language."""

REAL_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi")


@dataclass(frozen=True)
class _Asked:
    """A question about a clip, with the groups it counts in."""

    question: Question
    tags: tuple[str, ...]


class Synthetic:
    """The benchmark; see the module's first lines."""

    levels: tuple[str, ...] = LEVELS
    metrics: tuple[Metric, ...] = (Metric("accuracy"),)
    source: DataSource | None = None
    needs_judge: bool = False

    def items(self, folder: Path, selection: Selection) -> list[Item]:
        """Render the clips that are absent and list the questions.

        Raises:
            ConfigError: the level is unknown, or the folder of recorded videos has none.
        """
        level = selection.level or LEVELS[0]
        if level not in LEVELS:
            raise ConfigError(f"level: want one of {', '.join(LEVELS)}, got {level!r}")
        folder.mkdir(parents=True, exist_ok=True)
        found: list[Item] = []
        for index in range(selection.num_clips):
            found += _about_clip(folder, cast("Level", level), selection, index)
        if selection.controls and selection.real_clips is not None:
            found += _about_real_clips(selection.real_clips)
        return found

    def score(self, item: Item, answer: str) -> Mapping[str, float]:
        """Score by the item's rule, apart from space around the answer and the case of letters.

        `exact`: the very words. `verdict`: the same yes or no at the end. `order`: the last sentence
        says that the same is first. `time`: within half a second of when it happens. `facts`: F1 of the facts
        named and right.
        """
        return {"accuracy": _by_rule(item, answer.strip().casefold(), item.reference.strip().casefold())}

    def has_refused(self, item: Item, answer: str) -> bool:
        """Tell whether the answer is the one that training gives about another world, in any language."""
        del item
        return answer.strip() in wording.REFUSAL.values()


def _by_rule(item: Item, answer: str, wanted: str) -> float:
    if item.rule == "facts":
        return f1(answer, wanted, item.language)
    if item.rule == "verdict":
        return float(wording.verdict_of(answer, item.language) == _verdict(item))
    if item.rule == "order":
        return float(wording.first_of(answer, item.language) == wording.first_of(wanted, item.language))
    if item.rule == "time" and item.time_s is not None:
        said_s = wording.time_of(answer, item.language)
        return float(said_s is not None and abs(said_s - item.time_s) <= TIME_TOLERANCE_S)
    return float(answer == wanted)


def _verdict(item: Item) -> bool | None:
    return wording.verdict_of(item.reference.casefold(), item.language)


def _about_clip(folder: Path, level: Level, selection: Selection, index: int) -> list[Item]:
    seed = selection.seed
    name = f"{level}-{seed}-{index:05d}"
    held_out = index // 2 % 2 == 1
    scene = scene_number(
        TEST_SEED_OFFSET + seed, index, level=level, combinations="held_out" if held_out else "trained"
    )
    clip = _present(folder / f"{name}.mp4", lambda path: render_video(scene, path))
    asked = _questions(scene, seed, index, held_out=held_out)
    items = [_item(name, "normal", clip, a) for a in asked]
    if not selection.controls:
        return items
    black = _present(folder / f"{name}-black.mp4", lambda path: _write_still(scene, path, black=True))
    frozen = _present(folder / f"{name}-frozen.mp4", lambda path: _write_still(scene, path, black=False))
    items += [_item(name, "blind", black, a) for a in asked]
    items += [_item(name, "one_frame", frozen, a) for a in asked]
    return items + _swapped(folder, name, scene, asked, level, (seed, index))


def _questions(scene: Scene, seed: int, index: int, *, held_out: bool) -> list[_Asked]:
    truth, found = truth_of(scene), []
    unseen = index % 2 == 1
    tags = (
        f"{len(truth.shots)}_shots",
        f"{max(len(shot.objects) for shot in truth.shots)}_objects",
        "unseen_phrasing" if unseen else "seen_phrasing",
        "unseen_combination" if held_out else "seen_combination",
    )
    for number, task in enumerate(questions.VIDEO_TASKS):
        rng = np.random.default_rng([seed, index, number, 2])
        language = LANGUAGES[(index + index // 4 + number) % len(LANGUAGES)]
        question = questions.ask(truth, task, language, rng, unseen=unseen)
        if question is not None:
            found.append(_Asked(question, tags))
    return found


def _swapped(
    folder: Path, name: str, scene: Scene, asked: list[_Asked], level: Level, number: tuple[int, int]
) -> list[Item]:
    rng = np.random.default_rng([*number, 4])
    twin = draw_twin(scene, rng, level=level)
    if twin is None:
        return []
    again = [(a, same_question(a.question, twin, rng, unseen="unseen_phrasing" in a.tags)) for a in asked]
    found = [replace(a, question=question) for a, question in again if question is not None]
    if not found:
        return []
    clip = _present(folder / f"{name}-swapped.mp4", lambda path: render_video(twin, path))
    return [_item(name, "swapped", clip, a) for a in found]


def _item(name: str, variant: str, clip: Path, asked: _Asked) -> Item:
    question = asked.question
    return Item(
        id=f"{variant}-{name}-{question.task}",
        variant=variant,
        task=question.task,
        language=question.language,
        tags=asked.tags,
        conversation=Conversation((user(Video(clip), question.text),), question.language),
        reference=question.answer,
        rule=question.expects,
        time_s=question.at_s,
        clip=name,
    )


def _about_real_clips(folder: Path) -> list[Item]:
    clips = sorted(p for p in folder.glob("*") if p.suffix.lower() in REAL_SUFFIXES)
    if not clips:
        raise ConfigError(f"{folder}: want a folder of videos ({', '.join(REAL_SUFFIXES)}), found none")
    items = []
    for place, clip in enumerate(clips):
        rng = np.random.default_rng([place, 5])
        for number in range(REAL_QUESTIONS_PER_CLIP * len(LANGUAGES)):
            language = LANGUAGES[number % len(LANGUAGES)]
            known = questions.VIDEO_TASKS[int(rng.integers(len(questions.VIDEO_TASKS)))]
            task = "anything" if number < len(LANGUAGES) else known
            question = questions.ask_foreign(task, language, rng, unseen=number % 2 == 1)
            item = _item(f"{clip.stem}-{number}", "real", clip, _Asked(question, ()))
            items.append(replace(item, clip=clip.stem))
    return items


def _present(path: Path, make: Callable[[Path], None]) -> Path:
    if not path.exists():
        make(path)
    return path


def _write_still(scene: Scene, path: Path, *, black: bool) -> None:
    frame = np.zeros((scene.height_px, scene.width_px, 3), np.uint8)
    if not black:
        frame = render_frames(scene, [scene.duration_s / 2]).pixels[0]
    write_video(path, (frame for _ in range(scene.num_frames)), fps=scene.fps)


BENCHMARK: Benchmark = Synthetic()
