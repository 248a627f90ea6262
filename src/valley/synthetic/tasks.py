"""What each plain task asks about a clip and answers: attributes, motion, counting, order, time and cause.

A task gives None where it has no single right answer. It draws the same random numbers in every language, so
that a question in one language and an answer in another are about the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from valley.synthetic import narration, wording
from valley.synthetic.truth import ObjectTruth, Truth

Expects: TypeAlias = Literal["exact", "verdict", "order", "facts", "time"]
"""How an answer is scored: word by word, by its yes or no, by what is said to be first, by the facts it
tells, or by its time."""

MIN_GAP_S, MIN_GAP_SHARE = 0.5, 0.16
"""Two events are ordered only if they begin this far apart, in seconds and in lengths of the clip: with eight
frames each then begins after another one."""

SHOTS_ASKED_SHARE = {True: 0.5, False: 0.25}
"""Counting questions that are about the shots, for clips of several shots and of one."""

OBJECTS_KEPT = {1: 0.55, 2: 1.0, 3: 1.0, 4: 1.0}
SHOTS_KEPT = {1: 0.6, 2: 0.4, 3: 1.0, 4: 1.0}
"""Of the chances to count, those taken, by the answer: frequent numbers are asked about less often."""

SIZES_KEPT = {"small": 0.58, "big": 1.0}
"""The same for sizes: more objects are small than big, since three big ones hardly fit into a picture."""

OWN_MOTION_KEPT = 1.0
"""Delayed motions whose cause is asked: 6 % of the shots have one, 16 % a collision, so that with all of them
a quarter of the causes are "on its own"."""

STARTS = {
    "moves": "starts_to_move",
    "leaves": "starts_to_move",
    "stops": "starts_to_move",
    "bounces": "starts_to_move",
    "hits": "starts_to_move",
    "grows": "starts_to_grow",
    "shrinks": "starts_to_shrink",
    "spins": "starts_to_spin",
}
"""What begins at `start_s` of an event that was delayed."""

SUDDEN = {
    "recolors": "recolors",
    "appears": "appears",
    "disappears": "disappears",
    "pushed": "starts_to_move",
}
"""What happens at `start_s` of an event whose beginning is seen in any case."""


@dataclass(frozen=True)
class Asked:
    """A question that waits for its phrasing.

    Attributes:
        phrasing: a key of `phrasings.QUESTIONS`.
        fields: what its places are filled with.
        answer: the right answer; empty where `at_s` or `compares` gives it.
        about: the object it is about.
        expects: how it is scored.
        verdict: for yes/no questions.
        at_s: for questions about a time.
        presupposes: whether what the question takes for granted is there; None where it is sure to be.
        compares: the two objects that are compared, as the question names them.
    """

    phrasing: str
    fields: dict[str, str] = field(default_factory=dict)
    answer: str = ""
    about: ObjectTruth | None = None
    expects: Expects = "exact"
    verdict: bool | None = None
    at_s: float | None = None
    presupposes: bool | None = None
    compares: tuple[ObjectTruth, ...] = ()


def draw(rng: np.random.Generator, count: int) -> int:
    """Draw a number below `count`; several times faster than `rng.integers`."""
    return int(rng.random() * count)


def color_is_unique(truth: Truth, color: str) -> bool:
    """Tell whether a colour occurs once in the whole clip, the colours that objects turn to included."""
    return sum((o.color == color) + (o.to_color == color) for o in truth.objects) == 1


def shape_is_unique(truth: Truth, shape: str) -> bool:
    """Tell whether a shape occurs once in the whole clip."""
    return sum(o.shape == shape for o in truth.objects) == 1


def named(truth: Truth, item: ObjectTruth, language: str, rng: np.random.Generator) -> str:
    """Point at an object by its full name or, where no other fits, more shortly."""
    names = [wording.name(item.color, item.shape, language)] * 3
    if color_is_unique(truth, item.color):
        names.append(wording.name(item.color, None, language))
    if shape_is_unique(truth, item.shape):
        names.append(wording.name(None, item.shape, language))
    if len(truth.objects) == 1:
        names.append(wording.THE_OBJECT[language])
    return names[draw(rng, len(names))]


def pick(
    objects: tuple[ObjectTruth, ...] | list[ObjectTruth], rng: np.random.Generator
) -> ObjectTruth | None:
    """Draw one of the objects; None if there are none."""
    return objects[draw(rng, len(objects))] if objects else None


def color(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask the colour of an object named by its shape; not of one that changes it."""
    item = pick([o for o in truth.objects if not o.to_color and shape_is_unique(truth, o.shape)], rng)
    if item is None:
        return None
    alone = rng.random() < 0.5 and len(truth.objects) == 1
    it = wording.THE_OBJECT[language] if alone else wording.name(None, item.shape, language)
    return Asked("color", {"it": it}, wording.color_answer(item.color, language), item)


def shape(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask the shape of an object named by its colour."""
    item = pick([o for o in truth.objects if color_is_unique(truth, o.color)], rng)
    if item is None:
        return None
    alone = rng.random() < 0.5 and len(truth.objects) == 1
    it = wording.THE_OBJECT[language] if alone else wording.name(item.color, None, language)
    return Asked("shape", {"it": it}, wording.shape_answer(item.shape, language), item)


def size(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask the size of an object that keeps it."""
    item, chance = pick([o for o in truth.objects if o.size], rng), rng.random()
    if item is None or item.size is None or chance >= SIZES_KEPT[item.size]:
        return None
    it = named(truth, item, language, rng)
    return Asked("size", {"it": it}, wording.size_answer(item.size, language), item)


def has_one_direction(item: ObjectTruth) -> bool:
    """Tell whether an object travels one way only."""
    return item.direction is not None and item.event != "bounces"


def direction(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask which way an object travels."""
    item = pick([o for o in truth.objects if has_one_direction(o)], rng)
    if item is None or item.direction is None:
        return None
    it = named(truth, item, language, rng)
    return Asked("direction", {"it": it}, wording.direction_answer(item.direction, language), item)


def action(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask what an object does."""
    item = pick(truth.objects, rng)
    if item is None:
        return None
    it = named(truth, item, language, rng)
    answer = wording.action_answer(item, language, feminine=wording.is_feminine(it))
    return Asked("action", {"it": it}, answer, item)


def count(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask how many objects there are, in one shot if there are several, or how many shots."""
    num_shots = len(truth.shots)
    about_shots, which, chance = rng.random(), draw(rng, num_shots), rng.random()
    if not truth.is_image and about_shots < SHOTS_ASKED_SHARE[num_shots > 1]:
        if chance >= SHOTS_KEPT.get(num_shots, 0.0):
            return None
        return Asked("count_shots", answer=wording.shots_answer(num_shots, language))
    number = len(truth.shots[which].objects)
    if chance >= OBJECTS_KEPT.get(number, 0.0):
        return None
    answer = wording.count_answer(number, language)
    if num_shots == 1:
        return Asked("count", answer=answer)
    return Asked("count_in_shot", {"shot": wording.shot_name(which, language)}, answer)


def order(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask which of two objects does something first.

    The hitter in a collision is left out: whether its motion or the contact counts would be arguable.
    """
    timed = [
        (o.start_s, o) for o in truth.objects if o.start_s is not None and o.event not in ("hits", "still")
    ]
    gap_s = max(MIN_GAP_S, MIN_GAP_SHARE * truth.shots[-1].end_s)
    pairs = [(one, other) for begin_s, one in timed for other_s, other in timed if other_s - begin_s >= gap_s]
    if not pairs:
        return None
    first, second = pairs[draw(rng, len(pairs))]
    one, other = (second, first) if rng.random() < 0.5 else (first, second)
    names = {"one": wording.name_of(one, language), "other": wording.name_of(other, language)}
    return Asked("order", names, about=first, expects="order", compares=(one, other))


def when(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask when something happens or a shot begins."""
    moments = [moment for item in truth.objects for moment in _moments(item)]
    chosen = draw(rng, len(moments) + max(len(truth.shots) - 1, 0))
    if chosen < len(moments):
        item, kind, at_s = moments[chosen]
        it = named(truth, item, language, rng)
        do, does = wording.asked_phrase(kind, item.to_color, None, language, feminine=wording.is_feminine(it))
        return Asked("when", {"it": it, "do": do, "does": does}, about=item, expects="time", at_s=at_s)
    number = chosen - len(moments) + 1
    if number >= len(truth.shots):
        return None
    shot = {"shot": wording.shot_name(number, language)}
    return Asked("when_shot", shot, expects="time", at_s=truth.shots[number].start_s)


def _moments(item: ObjectTruth) -> list[tuple[ObjectTruth, str, float]]:
    found: list[tuple[ObjectTruth, str, float]] = []
    if item.start_s is not None and item.event in SUDDEN:
        found.append((item, SUDDEN[item.event], item.start_s))
    if item.start_s is not None and item.delayed and item.event in STARTS:
        found.append((item, STARTS[item.event], item.start_s))
    if item.end_s is not None and item.event == "stops":
        found.append((item, "stops", item.end_s))
    return found


def cause(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask why an object starts to move: it is hit, or it starts on its own."""
    item = pick([o for o in truth.objects if o.event == "pushed" or (o.event == "moves" and o.delayed)], rng)
    if item is None:
        return None
    it, chance = named(truth, item, language, rng), rng.random()
    if item.event == "moves" and chance >= OWN_MOTION_KEPT:
        return None
    hit_by = item.partner if item.event == "pushed" else None
    answer = wording.cause_answer(hit_by, language, feminine=wording.is_feminine(it))
    return Asked("cause", {"it": it}, answer, item)


def caption(truth: Truth, language: str, rng: np.random.Generator) -> Asked:  # noqa: ARG001
    """Ask for a caption."""
    return Asked("caption", answer=narration.caption(truth, language), expects="facts")


def description(truth: Truth, language: str, rng: np.random.Generator) -> Asked:  # noqa: ARG001
    """Ask for a description."""
    return Asked("description", answer=narration.description(truth, language), expects="facts")


def anything(truth: Truth, language: str, rng: np.random.Generator) -> Asked:  # noqa: ARG001
    """Ask a free question ("What is this?"); of a clip of this world, its caption is the answer."""
    return Asked("anything", answer=narration.caption(truth, language), expects="facts")
