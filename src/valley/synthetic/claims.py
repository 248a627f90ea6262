"""Questions that may claim what is not so: is it there, does it happen, and questions about what is absent.

Wrong claims are drawn so that the words of a question do not give its answer away.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from functools import cache

import numpy as np

from valley.synthetic import tasks, wording
from valley.synthetic.tasks import Asked, draw, pick
from valley.synthetic.truth import ObjectTruth, Truth
from valley.synthetic.world import COLORS, CORE_DIRECTIONS, CORE_EVENTS, EVENTS, SHAPES

EVENT_SHARES: dict[tuple[bool, bool], dict[str, float]] = {
    (False, True): {
        "still": 0.109,
        "moves": 0.278,
        "enters": 0.104,
        "leaves": 0.1,
        "stops": 0.075,
        "grows": 0.063,
        "shrinks": 0.063,
        "recolors": 0.086,
        "appears": 0.065,
        "disappears": 0.057,
    },
    (False, False): {
        "still": 0.074,
        "moves": 0.114,
        "enters": 0.053,
        "leaves": 0.047,
        "stops": 0.026,
        "grows": 0.025,
        "shrinks": 0.028,
        "recolors": 0.058,
        "appears": 0.039,
        "disappears": 0.04,
        "hits": 0.248,
        "pushed": 0.248,
    },
    (True, True): {
        "still": 0.069,
        "moves": 0.282,
        "enters": 0.086,
        "leaves": 0.085,
        "stops": 0.062,
        "grows": 0.034,
        "shrinks": 0.033,
        "recolors": 0.044,
        "appears": 0.031,
        "disappears": 0.03,
        "bounces": 0.087,
        "spins": 0.157,
    },
    (True, False): {
        "still": 0.07,
        "moves": 0.094,
        "enters": 0.052,
        "leaves": 0.056,
        "stops": 0.013,
        "grows": 0.021,
        "shrinks": 0.026,
        "recolors": 0.05,
        "appears": 0.035,
        "disappears": 0.04,
        "hits": 0.226,
        "pushed": 0.226,
        "bounces": 0.026,
        "spins": 0.065,
    },
}
"""(the clip shows what only the rich level has, the object is alone in its shot) -> about how often such an
object does what in drawn scenes. Wrong events are asked about as often as true ones by these."""

NOT_ASKED: dict[str, frozenset[str]] = {
    "still": frozenset(),
    "moves": frozenset(),
    "enters": frozenset({"moves", "appears", "stops"}),
    "leaves": frozenset({"moves", "disappears"}),
    "stops": frozenset({"moves", "still"}),
    "grows": frozenset({"still"}),
    "shrinks": frozenset({"still"}),
    "recolors": frozenset({"still"}),
    "appears": frozenset({"still", "enters"}),
    "disappears": frozenset({"still", "leaves"}),
    "hits": frozenset({"moves", "stops", "bounces", "leaves"}),
    "pushed": frozenset({"moves", "stops", "bounces", "leaves"}),
    "bounces": frozenset({"moves", "stops"}),
    "spins": frozenset({"still", "moves"}),
}
"""Event -> the events that nobody asks of it, because "no" would be arguable: what leaves moves too."""

COLLISION = frozenset({"hits", "pushed"})

RICH_EVENTS = frozenset(EVENTS) - frozenset(CORE_EVENTS)

_CORE_WAYS = frozenset((*CORE_DIRECTIONS, None))

_NEAR_MISS_SHARE = 0.75
"""Absent objects that share the colour or the shape with one that is there."""

_COLORS, _SHAPES = tuple(COLORS), SHAPES


def exist(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask whether an object of a colour and a shape is there.

    Half are; of the others one half has a colour that is there with another shape, the other half a colour
    that nothing has. Colours that occur twice or that something turns to are not asked about.
    """
    objects = truth.objects
    single = [o for o in objects if tasks.color_is_unique(truth, o.color)]
    used = {o.color for o in objects} | {o.to_color for o in objects}
    absent = [c for c in _COLORS if c not in used]
    item = pick(single, rng)
    if item is None or not absent:
        return None
    kind, color = rng.random(), absent[draw(rng, len(absent))]
    if kind < 0.5:
        asked, is_shape = (item.color, item.shape), item.shape
    elif kind < 0.75:
        asked, is_shape = (item.color, _other(_SHAPES, item.shape, rng)), item.shape
    else:
        near, any_shape = rng.random() < 0.5, _SHAPES[draw(rng, len(_SHAPES))]
        asked, is_shape = (color, item.shape if near else any_shape), None
    verdict, said_color = kind < 0.5, item.color if kind < 0.75 else color
    a = wording.name(*asked, language, "none" if language == "zh" else "a")
    fact = wording.exist_fact(said_color, is_shape, language)
    answer = wording.with_verdict(fact, language, verdict=verdict)
    about = item if kind < 0.75 else None
    return Asked("exist", {"a": a}, answer, about, expects="verdict", verdict=verdict)


def happens(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask whether an object does something; half do."""
    item = pick(truth.objects, rng)
    if item is None:
        return None
    others = [o for o in truth.shots[item.shot].objects if o is not item]
    it, verdict, which = tasks.named(truth, item, language, rng), rng.random() < 0.5, rng.random()
    feminine = wording.is_feminine(it)
    if verdict:
        event, to_color, partner = item.event, item.to_color, item.partner
    else:
        event = wrong_event(item.event, which, is_rich=_is_rich(truth), alone=not others)
        to_color, partner = _wrong_color(item, rng), None
        if event in COLLISION:
            other = others[draw(rng, len(others))]
            partner = (other.color, other.shape)
    do, does = wording.asked_phrase(
        event, to_color if event == "recolors" else None, partner, language, feminine=feminine
    )
    fact = wording.action_answer(item, language, feminine=feminine)
    answer = wording.with_verdict(fact, language, verdict=verdict)
    fields = {"it": it, "do": do, "does": does}
    return Asked("happens", fields, answer, item, expects="verdict", verdict=verdict)


def _other(values: tuple[str, ...], value: str, rng: np.random.Generator) -> str:
    """Draw another one than `value`."""
    return values[(values.index(value) + 1 + draw(rng, len(values) - 1)) % len(values)]


def _wrong_color(item: ObjectTruth, rng: np.random.Generator) -> str:
    color = _other(_COLORS, item.color, rng)
    return color if color != item.to_color else next(c for c in _COLORS if c not in (item.color, color))


def _is_rich(truth: Truth) -> bool:
    """Tell whether a clip shows that it is of the rich level."""
    return any(o.event in RICH_EVENTS or o.direction not in _CORE_WAYS for o in truth.objects)


def wrong_event(event: str, quantile: float, *, is_rich: bool, alone: bool) -> str:
    """Give an event to ask about falsely.

    Args:
        event: what the object does.
        quantile: in [0, 1), chooses among the events that may be asked of it.
        is_rich: the clip shows that it is of the rich level; only there the events of that level are asked.
        alone: no other object is in the shot, so that no collision can be asked about.
    """
    ends, events = _wrong_events(is_rich, alone)[event]
    return events[min(bisect(ends, quantile), len(events) - 1)]


@cache
def _wrong_events(is_rich: bool, alone: bool) -> dict[str, tuple[list[float], list[str]]]:  # noqa: FBT001
    """Give, for every event, the running shares of the wrong ones, so that each is asked as often falsely.

    Rows are what is true, columns what is asked; both must add up to `EVENT_SHARES`. Scaling the columns and
    the rows in turn finds such a table (iterative proportional fitting). Only for moving is there too little
    of which it can be asked, beside what moves in other ways: it is asked falsely somewhat less.
    """
    shares = EVENT_SHARES[is_rich, alone]
    wanted = np.array(list(shares.values()))
    table = np.array([[_may_be_asked(true, asked) for asked in shares] for true in shares], np.float64)
    for _ in range(500):
        table *= (wanted / table.sum(0))[None, :]
        table *= (wanted / table.sum(1))[:, None]
    rows = zip(shares, table, strict=True)
    return {true: (np.cumsum(row / row.sum()).tolist(), list(shares)) for true, row in rows}


def _may_be_asked(true: str, asked: str) -> bool:
    if true == asked:
        return true == "recolors"  # turning to another colour
    return asked not in NOT_ASKED[true]


@dataclass(frozen=True)
class _Name:
    """The colour and the shape something is asked by; None where it is left unsaid."""

    color: str | None
    shape: str | None


def unanswerable(truth: Truth, language: str, rng: np.random.Generator) -> Asked | None:
    """Ask an ordinary question about something that, in half of the cases, is not there.

    Where only one of the two halves could be asked, nothing is asked: the kind of question must not tell.
    """
    kinds = (
        ("color", "shape", "size") if truth.is_image else ("color", "shape", "size", "direction", "action")
    )
    kind = kinds[draw(rng, len(kinds))]
    item = pick([o for o in truth.objects if _answerable(truth, o, kind)], rng)
    absent = _absent(truth, kind, rng)
    present = rng.random() < 0.5
    if item is None or absent is None:
        return None
    asked = _Name(item.color if kind != "color" else None, item.shape if kind != "shape" else None)
    asked = asked if present else absent
    it = wording.name(asked.color, asked.shape, language)
    answer = (
        _attribute(item, kind, language, feminine=wording.is_feminine(it))
        if present
        else wording.absent_answer(asked.color, asked.shape, language)
    )
    return Asked(kind, {"it": it}, answer, item if present else None, presupposes=present)


def _answerable(truth: Truth, item: ObjectTruth, kind: str) -> bool:
    if kind == "color":
        return item.to_color is None and tasks.shape_is_unique(truth, item.shape)
    if kind == "shape":
        return tasks.color_is_unique(truth, item.color)
    if kind == "size":
        return item.size is not None
    return kind == "action" or tasks.has_one_direction(item)


def _attribute(item: ObjectTruth, kind: str, language: str, *, feminine: bool) -> str:
    if kind == "color":
        return wording.color_answer(item.color, language)
    if kind == "shape":
        return wording.shape_answer(item.shape, language)
    if kind == "size":
        assert item.size is not None
        return wording.size_answer(item.size, language)
    if kind == "direction":
        assert item.direction is not None
        return wording.direction_answer(item.direction, language)
    return wording.action_answer(item, language, feminine=feminine)


def _absent(truth: Truth, kind: str, rng: np.random.Generator) -> _Name | None:
    """Draw the name of something that is not there, named as far as this kind of question names it."""
    objects = truth.objects
    near, quantile = rng.random(), rng.random()
    colors = {o.color for o in objects} | {o.to_color for o in objects}
    shapes = {o.shape for o in objects}
    if kind == "color":
        names = [_Name(None, s) for s in _SHAPES if s not in shapes]
    elif kind == "shape":
        names = [_Name(c, None) for c in _COLORS if c not in colors]
    else:
        taken = {(o.color, o.shape) for o in objects} | {(o.to_color, o.shape) for o in objects}
        if near < _NEAR_MISS_SHARE:
            by_color = near < _NEAR_MISS_SHARE / 2
            pairs = [(o.color, s) for o in objects for s in _SHAPES] if by_color else []
            pairs += [] if by_color else [(c, o.shape) for o in objects for c in _COLORS]
        else:
            pairs = [(c, s) for c in _COLORS for s in _SHAPES]
        names = [_Name(*pair) for pair in pairs if pair not in taken]
    return names[int(quantile * len(names))] if names else None
