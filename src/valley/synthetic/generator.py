"""Draws scenes of a level; every label of a drawn scene can be seen in eight frames from first to last."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from valley.synthetic import placing
from valley.synthetic.scene import Background, Event, Scene, SceneObject, Shot
from valley.synthetic.timing import ShotTimes, sampled_times
from valley.synthetic.world import (
    BACKGROUNDS,
    COLORS,
    CORE_DIRECTIONS,
    DIRECTIONS,
    SHAPES,
    SIZES,
    Level,
    is_held_out,
)

Combinations: TypeAlias = Literal["trained", "held_out", "any"]
"""Which colour x shape x event triples a scene may show; `held_out` wants at least one of those."""

NUM_SHOTS_SHARES: Mapping[Level, tuple[float, ...]] = {"core": (0.5, 0.4, 0.1), "rich": (0.4, 0.35, 0.25)}
NUM_OBJECTS_SHARES: Mapping[Level, tuple[float, ...]] = {
    "core": (0.42, 0.52, 0.06),
    "rich": (0.25, 0.35, 0.25, 0.15),
}
"""Shares of 1, 2, ... shots a clip and objects a shot."""

COLLISION_SHARE = 0.33
"""Of the shots with two objects or more that are long enough to show one."""

DELAY_SHARE = 0.4
"""Of the motions, growths and spins that could as well begin at once."""

_EVENTS: Mapping[Level, Mapping[str, float]] = {
    "core": {
        "still": 0.1,
        "moves": 0.26,
        "enters": 0.11,
        "leaves": 0.11,
        "stops": 0.1,
        "grows": 0.06,
        "shrinks": 0.06,
        "recolors": 0.08,
        "appears": 0.06,
        "disappears": 0.06,
    },
}
_EVENTS = {**_EVENTS, "rich": {**_EVENTS["core"], "bounces": 0.09, "spins": 0.11}}
_FRAMES_WANTED = {"enters": 3, "leaves": 3, "stops": 4, "bounces": 4, "spins": 3}
"""Sampled frames a shot must have for an event to be seen; two are enough for the others."""

_COLLISION_FRAMES = 4
_SPLITS = {
    1: ((8,),),
    2: ((4, 4), (5, 3), (3, 5)),
    3: ((3, 3, 2), (3, 2, 3), (2, 3, 3), (4, 2, 2), (2, 4, 2), (2, 2, 4)),
}
_CUT_CONTRAST = 25
"""How much the grey of the backgrounds on both sides of a cut differs at least."""

_COLORS = tuple(COLORS)


def draw_scene(
    rng: np.random.Generator,
    *,
    level: Level = "core",
    size_px: int = 128,
    combinations: Combinations = "trained",
    num_objects: Sequence[int] | None = None,
) -> Scene:
    """Draw one scene; the same generator state gives the same scene.

    Args:
        rng: drawn from.
        level: "core" or "rich".
        size_px: width and height of the clip.
        combinations: which colour x shape x event triples may occur.
        num_objects: how many objects each shot has; drawn if None.
    """
    fps = (24.0, 25.0, 30.0)[int(rng.integers(3))]
    count = len(num_objects) if num_objects else 1 + _pick(NUM_SHOTS_SHARES[level], rng)
    duration_s = round(float(rng.uniform(2.0 + 0.6 * count, 6.0)) * fps) / fps
    while True:
        shots = _shots(rng, level, num_objects or [None] * count, duration_s, fps)
        if combinations == "any" or _shows_held_out(shots) == (combinations == "held_out"):
            break
    return Scene(
        width_px=size_px,
        height_px=size_px,
        fps=fps,
        seed=int(rng.integers(2**31)),
        noise=round(float(rng.uniform(1.0, 6.0)), 2),
        crf=int(rng.integers(18, 31)),
        shots=shots,
    )


def _pick(shares: Iterable[float], rng: np.random.Generator) -> int:
    """Draw a position by its share."""
    shares = list(shares)
    left = rng.random() * sum(shares)
    for number, share in enumerate(shares):
        left -= share
        if left < 0:
            return number
    return len(shares) - 1


def _shows_held_out(shots: tuple[Shot, ...]) -> bool:
    return any(
        is_held_out(item.color, item.shape, item.event.kind)
        for shot in shots
        for item in shot.objects
        if item.event
    )


def _shots(
    rng: np.random.Generator, level: Level, num_objects: Sequence[int | None], duration_s: float, fps: float
) -> tuple[Shot, ...]:
    count = len(num_objects)
    seen_s = sampled_times(round(duration_s * fps), fps)
    step_s = duration_s / (len(seen_s) - 1)
    lengths = _SPLITS[count][int(rng.integers(len(_SPLITS[count])))]
    firsts = [0, *itertools.accumulate(lengths)]
    cuts_s = [0.0, *(round(seen_s[k] - (0.1 + 0.4 * rng.random()) * step_s, 3) for k in firsts[1:-1])]
    shots: list[Shot] = []
    named: set[tuple[str, str]] = set()
    for number, begin_s in enumerate(cuts_s):
        end_s = cuts_s[number + 1] if number + 1 < count else duration_s
        within = seen_s[firsts[number] : firsts[number + 1]]
        times = ShotTimes(round(end_s - begin_s, 6), tuple(t - begin_s for t in within))
        background = _background(rng, shots[-1].background if shots else None)
        objects = _objects(rng, level, times, named, num_objects[number])
        shot = Shot(duration_s=times.duration_s, background=background, objects=objects)
        named |= {pair for item in shot.objects for pair in _names(item)}
        shots.append(shot)
    return tuple(shots)


def _names(item: SceneObject) -> list[tuple[str, str]]:
    """List the (colour, shape) pairs by which an object can be called in the course of its shot."""
    later = item.event.to_color if item.event else None
    return [(item.color, item.shape)] + ([(later, item.shape)] if later else [])


def _background(rng: np.random.Generator, before: Background | None) -> Background:
    kind = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
    while True:
        colors = tuple(_dull(rng) for _ in range(1 if kind == "plain" else 2))
        if before is None or abs(_grey(colors) - _grey(before.colors)) >= _CUT_CONTRAST:
            break
    return Background(
        kind=kind,  # pyright: ignore[reportArgumentType]
        colors=colors,
        angle_deg=round(float(rng.uniform(0, 360)), 1),
    )


def _grey(colors: tuple[tuple[int, int, int], ...]) -> float:
    return sum(map(sum, colors)) / (3 * len(colors))


def _dull(rng: np.random.Generator) -> tuple[int, int, int]:
    grey = rng.uniform(15, 110)
    red, green, blue = (int(min(max(grey + tint, 0), 125)) for tint in rng.uniform(-14, 14, size=3))
    return red, green, blue


def _objects(
    rng: np.random.Generator,
    level: Level,
    times: ShotTimes,
    named: set[tuple[str, str]],
    wanted: int | None,
) -> tuple[SceneObject, ...]:
    while True:
        count = wanted or 1 + _pick(NUM_OBJECTS_SHARES[level], rng)
        free = [_COLORS[int(i)] for i in rng.permutation(len(_COLORS))]
        objects: list[SceneObject] = []
        collides = count >= 2 and len(times.seen_s) >= _COLLISION_FRAMES and rng.random() < COLLISION_SHARE
        if collides:
            objects += _collision(rng, level, times, free)
        while len(objects) < count:
            spare = len(free) > count - len(objects)
            objects.append(_object(rng, level, times, free, crowded=count > 2, spare_color=spare))
        pairs = [pair for item in objects for pair in _names(item)]
        if len(objects) > count or len(set(pairs)) < len(pairs) or named & set(pairs):
            continue
        if placing.all_apart(objects, times.duration_s):
            order = rng.permutation(count) if not collides else range(count)
            return tuple(objects[int(i)] for i in order)


def _radius(rng: np.random.Generator, *, small_share: float) -> float:
    low, high = SIZES["small" if rng.random() < small_share else "big"]
    return round(float(rng.uniform(low, high)), 4)


def _direction(rng: np.random.Generator, level: Level, *, straight: bool = False) -> str:
    names = CORE_DIRECTIONS if straight or level == "core" else tuple(DIRECTIONS)
    return names[int(rng.integers(len(names)))]


def _object(
    rng: np.random.Generator,
    level: Level,
    times: ShotTimes,
    free: list[str],
    *,
    crowded: bool,
    spare_color: bool,
) -> SceneObject:
    shares = {k: s for k, s in _EVENTS[level].items() if _FRAMES_WANTED.get(k, 2) <= len(times.seen_s)}
    if not spare_color:
        del shares["recolors"]
    kind = tuple(shares)[_pick(shares.values(), rng)]
    shapes = SHAPES[1:] if kind == "spins" else SHAPES
    shape, color = shapes[int(rng.integers(len(shapes)))], free.pop()
    radius = _radius(rng, small_share=0.75 if crowded else 0.5)
    given = _Given(rng, level, times, radius, free)
    while True:
        made = _EVENT_MAKERS[kind](given)
        if made is not None:
            break
    radius, center, event = made
    return SceneObject(
        shape=shape,
        color=color,
        radius=radius,
        center=(round(float(center[0]), 4), round(float(center[1]), 4)),
        events=(event,) if event else (),
    )


@dataclass(frozen=True)
class _Given:
    """What is settled before an event is drawn; a colour that is taken from `free` is no longer free."""

    rng: np.random.Generator
    level: Level
    times: ShotTimes
    radius: float
    free: list[str]


_Made: TypeAlias = tuple[float, tuple[float, float], Event | None]


def _still(given: _Given) -> _Made | None:
    return given.radius, placing.anywhere(given.rng, given.radius), None


def _recolors(given: _Given) -> _Made | None:
    at_s = _sudden_s(given.rng, given.times)
    event = Event(kind="recolors", start_s=at_s, end_s=at_s, to_color=given.free.pop())
    return given.radius, placing.anywhere(given.rng, given.radius), event


def _appears(given: _Given) -> _Made | None:
    at_s = _sudden_s(given.rng, given.times)
    return (
        given.radius,
        placing.anywhere(given.rng, given.radius),
        Event(kind="appears", start_s=at_s, end_s=at_s),
    )


def _disappears(given: _Given) -> _Made | None:
    at_s = _sudden_s(given.rng, given.times)
    return (
        given.radius,
        placing.anywhere(given.rng, given.radius),
        Event(kind="disappears", start_s=at_s, end_s=at_s),
    )


def _sudden_s(rng: np.random.Generator, times: ShotTimes) -> float:
    return round(times.before(times.between(1, len(times.seen_s) - 1, rng), rng), 3)


def _begin_s(rng: np.random.Generator, times: ShotTimes, frames_after: int) -> float:
    """Draw when something gradual begins, so that `frames_after` sampled frames still show it going on."""
    latest = len(times.seen_s) - 1 - frames_after
    if latest < 1 or rng.random() >= DELAY_SHARE:
        return round(0.15 * rng.random(), 3)
    return round(times.after(times.between(1, latest, rng), rng), 3)


def _floor(time_s: float) -> float:
    return math.floor(time_s * 1000) / 1000


def _grows(given: _Given) -> _Made | None:
    small, big = (round(float(given.rng.uniform(*SIZES[name])), 4) for name in ("small", "big"))
    begin_s = _begin_s(given.rng, given.times, 1)
    event = Event(kind="grows", start_s=begin_s, end_s=_floor(given.times.duration_s), to_radius=big)
    return small, placing.anywhere(given.rng, big), event


def _shrinks(given: _Given) -> _Made | None:
    small, big = (round(float(given.rng.uniform(*SIZES[name])), 4) for name in ("small", "big"))
    begin_s = _begin_s(given.rng, given.times, 1)
    event = Event(kind="shrinks", start_s=begin_s, end_s=_floor(given.times.duration_s), to_radius=small)
    return big, placing.anywhere(given.rng, big), event


def _spins(given: _Given) -> _Made | None:
    begin_s = _begin_s(given.rng, given.times, 2)
    end_s = _floor(given.times.duration_s)
    turn = (
        given.rng.uniform(36, 60)
        * (end_s - begin_s)
        / given.times.step_s
        * (1 if given.rng.random() < 0.5 else -1)
    )
    event = Event(kind="spins", start_s=begin_s, end_s=end_s, turn_deg=round(float(turn), 1))
    return given.radius, placing.anywhere(given.rng, given.radius * placing.CORNER), event


def _moves(given: _Given) -> _Made | None:
    direction, begin_s = _direction(given.rng, given.level), _begin_s(given.rng, given.times, 2)
    path = placing.path_inside(given.rng, given.radius, direction, shortest=0.35, longest=0.6)
    return path and _travel("moves", given.radius, path, direction, begin_s, _floor(given.times.duration_s))


def _stops(given: _Given) -> _Made | None:
    direction = _direction(given.rng, given.level)
    end_s = round(
        given.times.after(given.times.between(1, len(given.times.seen_s) - 3, given.rng), given.rng), 3
    )
    path = placing.path_inside(given.rng, given.radius, direction, shortest=0.3, longest=0.6)
    return path and _travel("stops", given.radius, path, direction, 0.0, end_s)


def _enters(given: _Given) -> _Made | None:
    direction = _direction(given.rng, given.level)
    begin_s = round(
        given.times.after(given.times.between(0, len(given.times.seen_s) - 3, given.rng), given.rng), 3
    )
    end_s = _floor(
        given.rng.uniform(given.times.seen_s[-1] - 0.5 * given.times.step_s, given.times.duration_s)
    )
    path = placing.path_in(given.rng, given.radius, direction)
    return path and _travel("enters", given.radius, path, direction, begin_s, end_s)


def _leaves(given: _Given) -> _Made | None:
    direction, begin_s = _direction(given.rng, given.level), _begin_s(given.rng, given.times, 2)
    end_s = _floor(given.times.seen_s[-1] - given.rng.uniform(0.05, 0.4) * given.times.step_s)
    path = placing.path_out(given.rng, given.radius, direction)
    return path and _travel("leaves", given.radius, path, direction, begin_s, end_s)


def _bounces(given: _Given) -> _Made | None:
    direction, end_s = _direction(given.rng, given.level, straight=True), _floor(given.times.duration_s)
    turn_s = given.times.after(given.times.between(1, len(given.times.seen_s) - 3, given.rng), given.rng)
    path = placing.path_to_edge_and_back(given.rng, given.radius, direction, turn_share=turn_s / end_s)
    return path and _travel("bounces", given.radius, path, direction, 0.0, end_s)


def _travel(
    kind: str, radius: float, path: placing.Path, direction: str, begin_s: float, end_s: float
) -> _Made:
    center, distance = path
    event = Event(
        kind=kind,  # pyright: ignore[reportArgumentType]
        start_s=begin_s,
        end_s=end_s,
        direction=direction,
        distance=round(distance, 4),
    )
    return radius, center, event


_EVENT_MAKERS = {
    "still": _still,
    "moves": _moves,
    "enters": _enters,
    "leaves": _leaves,
    "stops": _stops,
    "grows": _grows,
    "shrinks": _shrinks,
    "recolors": _recolors,
    "appears": _appears,
    "disappears": _disappears,
    "bounces": _bounces,
    "spins": _spins,
}


def _collision(
    rng: np.random.Generator, level: Level, times: ShotTimes, free: list[str]
) -> list[SceneObject]:
    """Draw two objects of which the first hits the second, which then moves on; they stand at 0 and 1."""
    hit_s = round(times.after(times.between(1, len(times.seen_s) - 3, rng), rng), 3)
    while True:
        radii = _radius(rng, small_share=0.7), _radius(rng, small_share=0.7)
        shapes = SHAPES[int(rng.integers(len(SHAPES)))], SHAPES[int(rng.integers(len(SHAPES)))]
        direction = _direction(rng, level)
        paths = placing.collision_paths(rng, radii, shapes, direction)
        if paths is not None:
            break
    ways = ("hits", 0.0, hit_s, 1), ("pushed", hit_s, _floor(times.duration_s), 0)
    made = []
    for (kind, begin_s, end_s, partner), path, radius, shape in zip(ways, paths, radii, shapes, strict=True):
        center, distance = path
        event = Event(
            kind=kind,  # pyright: ignore[reportArgumentType]
            start_s=begin_s,
            end_s=end_s,
            direction=direction,
            distance=round(distance, 4),
            partner=partner,
        )
        center = (round(center[0], 4), round(center[1], 4))
        made.append(SceneObject(shape=shape, color=free.pop(), radius=radius, center=center, events=(event,)))
    return made
