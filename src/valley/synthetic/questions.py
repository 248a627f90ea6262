"""Questions and captions that follow from the truth of a scene; each has exactly one right answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from valley.synthetic import wording
from valley.synthetic.truth import ObjectTruth, Truth
from valley.synthetic.world import COLORS, SHAPES

VIDEO_TASKS: tuple[str, ...] = (
    "color",
    "shape",
    "size",
    "direction",
    "event",
    "start_place",
    "end_place",
    "count",
    "presence",
    "caption",
)
PICTURE_TASKS: tuple[str, ...] = ("color", "shape", "size", "place", "count", "presence", "caption")


@dataclass(frozen=True)
class Question:
    """One question about a clip, its only right answer, and the object it is about, if it is about one."""

    task: str
    language: str
    text: str
    answer: str
    about: ObjectTruth | None = None


def ask(
    truth: Truth, task: str, language: str, rng: np.random.Generator, *, unseen: bool = False
) -> Question | None:
    """Ask about a clip, or give None where the task has no single right answer there.

    Args:
        truth: the facts.
        task: one of `VIDEO_TASKS`.
        language: "en", "zh" or "es".
        rng: draws the object asked about and the phrasing.
        unseen: use the phrasings that are kept out of training.
    """
    answered = _ANSWERERS[task](truth, language, rng)
    if answered is None:
        return None
    fields, answer, about = answered
    choices = wording.phrasings(task, language, unseen=unseen)
    text = wording.contract(choices[int(rng.integers(len(choices)))].format(**fields), language)
    return Question(task, language, text[0].upper() + text[1:], answer, about)


def caption(truth: Truth, language: str) -> str:
    """Describe everything in one sentence, objects in the order of `COLORS`."""
    clauses = [_clause(item, language, is_image=truth.is_image) for item in truth.objects]
    joint = {"en": "; ", "zh": "；", "es": "; "}[language]
    return wording.sentence(joint.join(clauses), language)


def _clause(item: ObjectTruth, language: str, *, is_image: bool) -> str:
    name = wording.name_of(item, language, article="a", with_size=True)
    if is_image:
        return name
    space = "" if language == "zh" else " "
    return f"{name}{space}{wording.event_phrase(item, language)}"


def introduce(language: str, rng: np.random.Generator, *, unseen: bool = False) -> Question:
    """Ask the model who it is; needs no clip."""
    choices = wording.phrasings("who", language, unseen=unseen)
    return Question("who", language, choices[int(rng.integers(len(choices)))], wording.INTRODUCTION[language])


_Answered = tuple[dict[str, str], str, ObjectTruth | None] | None


def _pick(truth: Truth, rng: np.random.Generator) -> ObjectTruth:
    return truth.objects[int(rng.integers(len(truth.objects)))]


def _named(truth: Truth, item: ObjectTruth, language: str, rng: np.random.Generator) -> str:
    """Point at an object by its full name or, where no other fits, more shortly."""
    names = [wording.name_of(item, language)] * 3 + [wording.the_color(item.color, language)]
    if sum(o.shape == item.shape for o in truth.objects) == 1:
        names.append(wording.the_shape(item.shape, language))
    if len(truth.objects) == 1:
        names.append(wording.THE_OBJECT[language])
    return names[int(rng.integers(len(names)))]


def _color(truth: Truth, language: str, rng: np.random.Generator) -> _Answered:
    item = _pick(truth, rng)
    if sum(o.shape == item.shape for o in truth.objects) > 1:
        return None
    alone = len(truth.objects) == 1 and rng.random() < 0.5
    it = wording.THE_OBJECT[language] if alone else wording.the_shape(item.shape, language)
    return {"it": it}, wording.color_answer(item.color, language), item


def _shape(truth: Truth, language: str, rng: np.random.Generator) -> _Answered:
    item = _pick(truth, rng)
    alone = len(truth.objects) == 1 and rng.random() < 0.5
    it = wording.THE_OBJECT[language] if alone else wording.the_color(item.color, language)
    return {"it": it}, wording.shape_answer(item.shape, language), item


def _size(truth: Truth, language: str, rng: np.random.Generator) -> _Answered:
    item = _pick(truth, rng)
    return {"it": _named(truth, item, language, rng)}, wording.size_answer(item.size, language), item


def _direction(truth: Truth, language: str, rng: np.random.Generator) -> _Answered:
    travelling = [o for o in truth.objects if o.direction]
    if not travelling:
        return None
    item = travelling[int(rng.integers(len(travelling)))]
    assert item.direction is not None
    return (
        {"it": _named(truth, item, language, rng)},
        wording.direction_answer(item.direction, language),
        item,
    )


def _event(truth: Truth, language: str, rng: np.random.Generator) -> _Answered:
    item = _pick(truth, rng)
    return {"it": _named(truth, item, language, rng)}, wording.event_answer(item, language), item


def _start_place(truth: Truth, language: str, rng: np.random.Generator) -> _Answered:
    return _place([(o, o.start_place) for o in truth.objects], truth, language, rng)


def _end_place(truth: Truth, language: str, rng: np.random.Generator) -> _Answered:
    return _place([(o, o.end_place) for o in truth.objects], truth, language, rng)


def _place(
    places: list[tuple[ObjectTruth, tuple[int, int] | None]],
    truth: Truth,
    language: str,
    rng: np.random.Generator,
) -> _Answered:
    known = [(item, place) for item, place in places if place is not None]
    if not known:
        return None
    item, place = known[int(rng.integers(len(known)))]
    return {"it": _named(truth, item, language, rng)}, wording.place_answer(place, language), item


def _count(truth: Truth, language: str, rng: np.random.Generator) -> _Answered:
    if len(truth.objects) == 1 and rng.random() < 0.75:
        return None  # two objects come in every fifth clip only: ask there as often as elsewhere
    return {}, wording.count_answer(len(truth.objects), language), None


def _presence(truth: Truth, language: str, rng: np.random.Generator) -> _Answered:
    seen = _pick(truth, rng)
    present, item = bool(rng.random() < 0.5), seen
    while not present:
        near = rng.random()
        item = replace(
            seen,
            color=seen.color if near < 0.25 else str(rng.choice(list(COLORS))),
            shape=seen.shape if 0.25 <= near < 0.5 else str(rng.choice(SHAPES)),
        )
        if all((o.color, o.shape) != (item.color, item.shape) for o in truth.objects):
            break
    asked = {"a": wording.name_of(item, language, article="a")}
    return asked, wording.presence_answer(item, language, present=present), item if present else None


def _caption(truth: Truth, language: str, rng: np.random.Generator) -> _Answered:  # noqa: ARG001
    return {}, caption(truth, language), truth.objects[0]


_ANSWERERS = {
    "color": _color,
    "shape": _shape,
    "size": _size,
    "direction": _direction,
    "event": _event,
    "place": _start_place,
    "start_place": _start_place,
    "end_place": _end_place,
    "count": _count,
    "presence": _presence,
    "caption": _caption,
}
