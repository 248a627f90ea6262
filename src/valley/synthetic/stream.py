"""Endless fresh training samples: sample number i of a seed is always the same clip and the same words.

Nothing is written to disk and no clip comes twice, so that a small model cannot learn clips by heart. The
frames are drawn at the times at which the default sampler would read them from the rendered file.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from valley.conversation import Conversation, Image, Message, Text, Video, assistant, system, user
from valley.synthetic import questions, wording
from valley.synthetic.foreign import draw_foreign
from valley.synthetic.generator import draw_scene
from valley.synthetic.questions import Question
from valley.synthetic.render import render_frames
from valley.synthetic.scene import Scene
from valley.synthetic.timing import DEFAULT_FRAMES, sampled_times
from valley.synthetic.truth import FOREIGN, Truth, truth_of, truth_of_picture
from valley.synthetic.world import LANGUAGES
from valley.video.frames import Frames

StreamKind: TypeAlias = Literal["captions", "instructions"]

PICTURE_SHARE = 0.08
"""Still pictures among the samples: the same encoding as a clip of one frame."""

INTRODUCTION_SHARE = 0.01
FOREIGN_SHARE = 0.06
"""Footage of another world, about which any question gets the same honest answer."""

TASK_SHARES: Mapping[str, float] = {
    "color": 0.5,
    "shape": 0.4,
    "size": 0.4,
    "direction": 0.8,
    "action": 1.6,
    "count": 1.6,
    "exist": 1.6,
    "happens": 1.8,
    "order": 4.0,
    "when": 2.0,
    "cause": 1.8,
    "unanswerable": 1.8,
    "caption": 2.2,
    "description": 1.3,
}
"""How often each task is tried; what needs several facts, or is seldom possible, more often."""

_TELLS_MOTION = frozenset(("direction", "action", "happens", "cause", "when"))
"""A second of these about the same object could be copied from the first without looking."""

_TELLS_ALL = ("order", "caption", "description")
"""These come last in a dialogue, in this order."""

OTHER_ANSWER_LANGUAGE_SHARE = 0.1
"""Dialogues that ask in one language and, after a system turn that says so, are answered in another."""

OTHER_LENGTH_SHARE = 0.15
"""Clips sampled at more frames than the default, so that --num-frames and --fps stay usable."""

MOST_FRAMES = 12


@dataclass(frozen=True)
class Sample:
    """One training sample; `frames` is None for a conversation without media, one frame for a picture."""

    frames: Frames | None
    conversation: Conversation


@dataclass(frozen=True)
class Drawn:
    """What a sample is made of, before anything is rendered.

    Attributes:
        scene: None without media, and for footage of another world.
        times_s: when the frames are shown; empty without media.
        truth: None without media.
        asked: the questions, all about the same clip.
        language: that of the answers; the questions may be in another one.
        is_picture: a still picture, which has no times.
        foreign_seed: makes the frames where the footage is of another world.
    """

    scene: Scene | None
    times_s: tuple[float, ...]
    truth: Truth | None
    asked: tuple[Question, ...] = ()
    language: str = "en"
    is_picture: bool = False
    foreign_seed: tuple[int, ...] | None = None


@dataclass(frozen=True)
class SampleStream:
    """Samples by number.

    Attributes:
        kind: "captions" (stage 1: one caption a clip) or "instructions" (stage 2: a dialogue of several
            rounds).
        seed: other seeds give other scenes.
        languages: language tags to draw from.
        size_px: width and height at which frames are drawn; the vision tower's own size saves a resize.
        num_frames: the usual number of frames of a clip; 1 gives the middle one of each clip.
        max_rounds: at most so many questions in one dialogue.
        rich_share: of the scenes, those of the rich level.
        foreign_share: of the samples, those with footage of another world.
        blank: show black frames, to learn what can be answered without looking.
    """

    kind: StreamKind
    seed: int = 0
    languages: tuple[str, ...] = LANGUAGES
    size_px: int = 64
    num_frames: int = DEFAULT_FRAMES
    max_rounds: int = 6
    rich_share: float = 0.0
    foreign_share: float = FOREIGN_SHARE
    blank: bool = False

    def sample(self, index: int) -> Sample:
        """Draw and render sample number `index`."""
        drawn = self.draw(index)
        dialogue = self.dialogue(drawn)
        if drawn.truth is None:
            return Sample(None, dialogue)
        return Sample(Frames(self.pixels(drawn), np.asarray(drawn.times_s, np.float64)), dialogue)

    def pixels(self, drawn: Drawn) -> NDArray[np.uint8]:
        """Render the frames of a drawn sample: u8[frame height width 3]."""
        if self.blank:
            return np.zeros((len(drawn.times_s), self.size_px, self.size_px, 3), np.uint8)
        if drawn.foreign_seed is not None:
            rng = np.random.default_rng(drawn.foreign_seed)
            return draw_foreign(rng, len(drawn.times_s), self.size_px)
        assert drawn.scene is not None
        return render_frames(drawn.scene, drawn.times_s, size_px=(self.size_px, self.size_px)).pixels

    def conversation(self, index: int) -> Conversation:
        """Give the words of sample number `index` without rendering its clip."""
        return self.dialogue(self.draw(index))

    def dialogue(self, drawn: Drawn) -> Conversation:
        """Put the questions of a drawn sample and their answers into one conversation."""
        medium = None
        if drawn.truth is not None:
            medium = Image("") if drawn.is_picture else Video("")
        return _dialogue(drawn, medium)

    def draw(self, index: int) -> Drawn:
        """Draw sample number `index` without rendering it."""
        rng = np.random.default_rng([self.seed, index])
        language = self.languages[int(rng.integers(len(self.languages)))]
        if self.kind == "instructions" and rng.random() < INTRODUCTION_SHARE:
            return Drawn(None, (), None, (questions.introduce(language, rng),), language)
        drawn = self.look(index, rng)
        assert drawn.truth is not None
        if self.kind == "captions":
            asked = [ask(drawn, "caption", language, rng)]
        else:
            asked = self._rounds(drawn, language, rng)
        return replace(drawn, asked=tuple(q for q in asked if q), language=language)

    def look(self, index: int, rng: np.random.Generator) -> Drawn:
        """Draw what is seen in sample number `index`, and ask nothing yet."""
        count = self.num_frames
        if rng.random() < OTHER_LENGTH_SHARE and count > 1:
            count = int(rng.integers(count, max(MOST_FRAMES, count) + 1))
        is_picture = rng.random() < PICTURE_SHARE
        if rng.random() < self.foreign_share:
            times_s = [0.0] if is_picture else np.linspace(0, rng.uniform(2, 12), count).round(3).tolist()
            foreign_seed = (self.seed, index, 9)
            return Drawn(None, tuple(times_s), FOREIGN, is_picture=is_picture, foreign_seed=foreign_seed)
        scene = draw_scene(rng, level="rich" if rng.random() < self.rich_share else "core")
        if is_picture:
            time_s = float(rng.uniform(0, scene.duration_s))
            picture = truth_of_picture(scene, time_s)
            if picture is not None:
                return Drawn(scene, (time_s,), picture, is_picture=True)
        if count == 1:
            times_s = [scene.num_frames // 2 / scene.fps]
        else:
            times_s = sampled_times(scene.num_frames, scene.fps, count)
        return Drawn(scene, tuple(times_s), truth_of(scene))

    def _rounds(self, drawn: Drawn, language: str, rng: np.random.Generator) -> list[Question]:
        wanted = int(rng.integers(1, self.max_rounds + 1))
        asked_in = language
        if rng.random() < OTHER_ANSWER_LANGUAGE_SHARE:
            asked_in = self.languages[int(rng.integers(len(self.languages)))]
        asked: list[Question] = []
        for _ in range(4 * wanted):
            question = _ask_across(drawn, draw_task(drawn, rng), asked_in, language, rng)
            if question is not None and not _repeats(question, asked):
                asked.append(question)
            if len(asked) == wanted:
                break
        if not asked:  # a caption can always be asked for
            asked = [q for q in [_ask_across(drawn, "caption", asked_in, language, rng)] if q]
        return sorted(asked, key=lambda q: _TELLS_ALL.index(q.task) if q.task in _TELLS_ALL else -1)


def draw_task(drawn: Drawn, rng: np.random.Generator) -> str:
    """Draw a task that suits the medium, by `TASK_SHARES`."""
    tasks, shares = _PICTURE_DRAW if drawn.is_picture else _VIDEO_DRAW
    return tasks[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]


def _cumulated(tasks: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    return tuple(tasks), np.cumsum([TASK_SHARES[task] for task in tasks])


_VIDEO_DRAW = _cumulated(questions.VIDEO_TASKS)
_PICTURE_DRAW = _cumulated(questions.PICTURE_TASKS)


def ask(drawn: Drawn, task: str, language: str, rng: np.random.Generator) -> Question | None:
    """Ask about what is drawn; a time is answered by that of the nearest frame that is seen."""
    assert drawn.truth is not None
    if drawn.truth.foreign:
        return questions.ask_foreign("anything" if rng.random() < 0.4 else task, language, rng)

    def nearest(time_s: float) -> float:
        return min(drawn.times_s, key=lambda seen_s: abs(seen_s - time_s))

    return questions.ask(drawn.truth, task, language, rng, snap=nearest)


def _ask_across(
    drawn: Drawn, task: str, asked_in: str, answered_in: str, rng: np.random.Generator
) -> Question | None:
    """Ask in one language and answer in another; the same random numbers choose the same object in both."""
    if asked_in == answered_in:
        return ask(drawn, task, asked_in, rng)
    same = copy.deepcopy(rng)
    question, answered = ask(drawn, task, asked_in, rng), ask(drawn, task, answered_in, same)
    if question is None or answered is None:
        return None
    return replace(question, answer=answered.answer)


def _repeats(question: Question, asked: Sequence[Question]) -> bool:
    for earlier in asked:
        if earlier.text == question.text or (earlier.task == question.task and question.about is None):
            return True
        if earlier.about == question.about and {earlier.task, question.task} <= _TELLS_MOTION:
            return True
        if earlier.task == question.task and question.task in _TELLS_ALL:
            return True
    return False


def told_language(drawn: Drawn) -> str | None:
    """Give the system turn that names the language of the answers, where the questions are in another."""
    asked_in = drawn.asked[0].language if drawn.asked else drawn.language
    return wording.ANSWER_IN[drawn.language] if asked_in != drawn.language else None


def _dialogue(drawn: Drawn, medium: Image | Video | None) -> Conversation:
    told = told_language(drawn)
    messages: list[Message] = [system(told)] if told else []
    for number, question in enumerate(drawn.asked):
        parts = [medium] if medium is not None and number == 0 else []
        messages.append(user(*parts, Text(question.text)))
        messages.append(assistant(question.answer))
    tasks = [question.task for question in drawn.asked]
    return Conversation(tuple(messages), drawn.language, metadata={"tasks": tasks})
