"""Twins: two scenes with objects of the same names that do other things, and one question to both.

Whoever answers from the frames gives two answers; whoever guesses from the question gives one.
"""

from __future__ import annotations

import numpy as np
from pydantic import ValidationError

from valley.synthetic import questions, wording
from valley.synthetic.generator import draw_scene
from valley.synthetic.questions import Question
from valley.synthetic.scene import Scene
from valley.synthetic.truth import truth_of
from valley.synthetic.world import Level

MOST_SCENES = 40
MOST_QUESTIONS = 600


def draw_twin(scene: Scene, rng: np.random.Generator, *, level: Level) -> Scene | None:
    """Draw another scene and give its objects the colours and shapes of this one's, in some order.

    None where no draw could take those names: a circle cannot spin, and nothing turns red beside a red one.
    """
    counts = [len(shot.objects) for shot in scene.shots]
    for _ in range(MOST_SCENES):
        other = draw_scene(rng, level=level, size_px=scene.width_px, combinations="any", num_objects=counts)
        document = other.model_dump()
        for shot, named in zip(document["shots"], scene.shots, strict=True):
            order = rng.permutation(len(named.objects)).tolist()
            for item, place in zip(shot["objects"], order, strict=True):
                item |= {"color": named.objects[place].color, "shape": named.objects[place].shape}
        try:
            return Scene.model_validate(document)
        except ValidationError:
            continue
    return None


def same_question(asked: Question, twin: Scene, rng: np.random.Generator, *, unseen: bool) -> Question | None:
    """Put a question to the twin; None where it cannot be asked in the same words, or has the same answer."""
    truth = truth_of(twin)
    for _ in range(MOST_QUESTIONS):
        again = questions.ask(truth, asked.task, asked.language, rng, unseen=unseen)
        if again is not None and again.text == asked.text:
            return again if _comes_to(again) != _comes_to(asked) else None
    return None


def _comes_to(asked: Question) -> str | None:
    return wording.first_of(asked.answer, asked.language) if asked.expects == "order" else asked.answer
