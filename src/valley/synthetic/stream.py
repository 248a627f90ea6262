"""Endless fresh training samples: sample number i of a seed is always the same clip and the same words.

Nothing is written to disk and no clip comes twice, so that a small model cannot learn clips by heart. The
frames are drawn at the times at which the default sampler would read them from the rendered file.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from valley.conversation import Conversation, Image, Message, Text, Video, assistant, system, user
from valley.synthetic import questions, wording
from valley.synthetic.generator import draw_scene
from valley.synthetic.questions import Question
from valley.synthetic.render import render_frames
from valley.synthetic.scene import Scene
from valley.synthetic.truth import Truth, truth_of, truth_of_picture
from valley.synthetic.world import LANGUAGES
from valley.video.frames import Frames

StreamKind: TypeAlias = Literal["captions", "instructions"]

PICTURE_SHARE = 0.12
"""Still pictures among the samples: the same encoding as a clip of one frame."""

INTRODUCTION_SHARE = 0.02
MOTION_SHARES = {"direction": 0.45, "event": 0.3, "caption": 0.25}
"""Which of the tasks that tell how things move leads.

At most one of these is in a dialogue: a second could be copied from the first without looking.
"""

OTHER_ANSWER_LANGUAGE_SHARE = 0.12
"""Dialogues that ask in one language and, after a system turn that says so, are answered in another."""

OTHER_LENGTH_SHARE = 0.25
"""Clips sampled at another number of frames than the default, so that --num-frames and --fps stay usable."""


@dataclass(frozen=True)
class Sample:
    """One training sample; `frames` is None for a conversation without media, one frame for a picture."""

    frames: Frames | None
    conversation: Conversation


@dataclass(frozen=True)
class Drawn:
    """What a sample is made of, before anything is rendered; `scene` and `truth` are None without media."""

    scene: Scene | None
    times_s: tuple[float, ...]
    truth: Truth | None
    asked: tuple[Question, ...]
    conversation: Conversation


@dataclass(frozen=True)
class SampleStream:
    """Samples by number.

    Attributes:
        kind: "captions" (stage 1: one caption a clip) or "instructions" (stage 2: a dialogue of several
        rounds). seed: other seeds give other scenes. languages: language tags to draw from. size_px: width
        and height at which frames are drawn; the vision tower's own size saves a resize. num_frames: the
        usual number of frames of a clip. max_rounds: at most so many questions in one dialogue.
    """

    kind: StreamKind
    seed: int = 0
    languages: tuple[str, ...] = LANGUAGES
    size_px: int = 64
    num_frames: int = 8
    max_rounds: int = 8

    def sample(self, index: int) -> Sample:
        """Draw and render sample number `index`."""
        drawn = self.draw(index)
        if drawn.scene is None:
            return Sample(None, drawn.conversation)
        size_px = (self.size_px, self.size_px)
        return Sample(render_frames(drawn.scene, drawn.times_s, size_px=size_px), drawn.conversation)

    def conversation(self, index: int) -> Conversation:
        """Give the words of sample number `index` without rendering its clip."""
        return self.draw(index).conversation

    def draw(self, index: int) -> Drawn:
        """Draw sample number `index` without rendering it."""
        rng = np.random.default_rng([self.seed, index])
        language = self.languages[int(rng.integers(len(self.languages)))]
        if self.kind == "instructions" and rng.random() < INTRODUCTION_SHARE:
            asked = [questions.introduce(language, rng)]
            return Drawn(None, (), None, tuple(asked), _dialogue(asked, language, None))
        scene = draw_scene(rng)
        times_s, truth = self._look(scene, rng)
        if self.kind == "captions":
            asked = [q for q in [questions.ask(truth, "caption", language, rng)] if q]
        else:
            asked = self._rounds(truth, language, rng)
        medium = Image("") if truth.is_image else Video("")
        told = wording.ANSWER_IN[language] if any(q.language != language for q in asked) else None
        dialogue = _dialogue(asked, language, medium, told=told)
        return Drawn(scene, tuple(times_s), truth, tuple(asked), dialogue)

    def _look(self, scene: Scene, rng: np.random.Generator) -> tuple[list[float], Truth]:
        if rng.random() < PICTURE_SHARE:
            time_s = float(rng.uniform(0, scene.duration_s))
            picture = truth_of_picture(scene, time_s)
            if picture is not None:
                return [time_s], picture
        count = self.num_frames
        if rng.random() < OTHER_LENGTH_SHARE:
            count = int(rng.integers(max(4, count // 2), count * 3 // 2 + 1))
        return sampled_times(scene, count), truth_of(scene)

    def _rounds(self, truth: Truth, language: str, rng: np.random.Generator) -> list[Question]:
        tasks = questions.PICTURE_TASKS if truth.is_image else questions.VIDEO_TASKS
        order = [str(t) for t in rng.permutation(tasks)]
        if not truth.is_image:  # what moves is learned last: nearly every dialogue about a clip asks for it
            order.insert(0, str(rng.choice(list(MOTION_SHARES), p=list(MOTION_SHARES.values()))))
        wanted = int(rng.integers(1, self.max_rounds + 1))
        asked_in = language
        if rng.random() < OTHER_ANSWER_LANGUAGE_SHARE:
            asked_in = self.languages[int(rng.integers(len(self.languages)))]
        asked: list[Question] = []
        for task in order:
            if task in MOTION_SHARES and any(q.task in MOTION_SHARES for q in asked):
                continue
            question = _ask_across(truth, task, asked_in, language, rng)
            if question is not None and len(asked) < wanted:
                asked.append(question)
        asked = [asked[int(i)] for i in rng.permutation(len(asked))]
        return sorted(asked, key=lambda q: q.task == "caption")  # a caption tells all: it comes last


def _ask_across(
    truth: Truth, task: str, asked_in: str, answered_in: str, rng: np.random.Generator
) -> Question | None:
    """Ask in one language and answer in another; the same random numbers choose the same object in both."""
    same = copy.deepcopy(rng)
    question = questions.ask(truth, task, asked_in, rng)
    answered = questions.ask(truth, task, answered_in, same)
    return replace(question, answer=answered.answer) if question and answered else None


def sampled_times(scene: Scene, count: int) -> list[float]:
    """Give the times of `count` frames from the first to the last, as the uniform sampler reads them."""
    numbers = np.linspace(0, scene.num_frames - 1, min(count, scene.num_frames))
    # the frame on display at a wished time is the last one that has begun; a hair against rounding
    return [int(n + 1e-6) / scene.fps for n in numbers]


def _dialogue(
    asked: list[Question], language: str, medium: Image | Video | None, *, told: str | None = None
) -> Conversation:
    messages: list[Message] = [system(told)] if told else []
    for number, question in enumerate(asked):
        parts = [medium] if medium is not None and number == 0 else []
        messages.append(user(*parts, Text(question.text)))
        messages.append(assistant(question.answer))
    return Conversation(tuple(messages), language, metadata={"tasks": [q.task for q in asked]})
