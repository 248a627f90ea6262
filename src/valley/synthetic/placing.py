"""Where drawn objects stand and travel: inside the picture, in or out of it, apart from each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from valley.synthetic.scene import SceneObject
from valley.synthetic.world import DIRECTIONS

Path: TypeAlias = tuple[tuple[float, float], float]
"""The centre at the begin, and the length of the way."""

RIM = 0.02
"""What is inside keeps this far from the picture's edge; what is outside is this far beyond it."""

GAP = 0.03
"""Between the rims of two objects that do not touch, at least."""

CORNER = 1.25
"""How far a spinning square reaches, in radii."""

_REACH = {
    "circle": {"across": 1.0, "up": 1.0, "down": 1.0},
    "square": {"across": 0.86, "up": 0.86, "down": 0.86},
    "triangle": {"across": 0.72, "up": 1.0, "down": 0.5},
    "cross": {"across": 1.0, "up": 1.0, "down": 1.0},
}
"""How far each shape reaches from its centre, in radii: what hits something stops where it is seen to."""


def anywhere(rng: np.random.Generator, radius: float) -> tuple[float, float]:
    """Draw a centre from which an object of this radius is wholly in the picture."""
    x, y = (radius + RIM + (1 - 2 * (radius + RIM)) * rng.random(2)).tolist()
    return x, y


def path_inside(
    rng: np.random.Generator, radius: float, direction: str, *, shortest: float, longest: float
) -> Path | None:
    """Draw a way that stays in the picture; None if the draw did not fit (draw again)."""
    step = DIRECTIONS[direction]
    distance = float(rng.uniform(shortest, longest))
    low, room = radius + RIM, 1 - 2 * (radius + RIM)
    center = []
    for part in step:
        span = abs(part) * distance
        if span > room:
            return None
        begin = low + (room - span) * float(rng.random())
        center.append(begin if part >= 0 else 1 - begin)
    return (center[0], center[1]), distance


def path_in(rng: np.random.Generator, radius: float, direction: str) -> Path | None:
    """Draw a way from outside to a place inside; None if so little of it would be seen that it is unclear."""
    x, y = anywhere(rng, radius)
    step = DIRECTIONS[direction]
    distance = _to_outside((x, y), radius, (-step[0], -step[1]))
    if not 0.4 + radius < distance < 1.1:
        return None
    start = x - step[0] * distance, y - step[1] * distance
    return start, distance


def path_out(rng: np.random.Generator, radius: float, direction: str) -> Path | None:
    """Draw a way from a place inside to outside; None as in `path_in`."""
    center = anywhere(rng, radius)
    distance = _to_outside(center, radius, DIRECTIONS[direction])
    return (center, distance) if 0.4 + radius < distance < 1.1 else None


def _to_outside(center: tuple[float, float], radius: float, step: tuple[float, float]) -> float:
    """How far to go until the object is wholly outside the picture."""
    ways = []
    for here, part in zip(center, step, strict=True):
        if part:
            edge = 1 + radius + RIM if part > 0 else -radius - RIM
            ways.append((edge - here) / part)
    return min(ways)


def path_to_edge_and_back(
    rng: np.random.Generator, radius: float, direction: str, *, turn_share: float
) -> Path | None:
    """Draw a way that meets the picture's edge at this share of itself; None as in `path_in`."""
    distance = float(rng.uniform(0.55, 0.95))
    out, room = distance * turn_share, 1 - 2 * (radius + RIM)
    if not (0.15 < out < room and 0.15 < distance - out < room):
        return None
    x, y = anywhere(rng, radius)
    start = (1 - radius) - out  # the rim touches the edge itself
    step_x, step_y = DIRECTIONS[direction]
    if step_x:
        return (start if step_x > 0 else 1 - start, y), distance
    return (x, start if step_y > 0 else 1 - start), distance


def collision_paths(
    rng: np.random.Generator, radii: tuple[float, float], shapes: tuple[str, str], direction: str
) -> tuple[Path, Path] | None:
    """Draw the ways of an object that hits another and of that one, which moves on; None as in `path_in`."""
    step = np.array(DIRECTIONS[direction])
    contact = _reach(shapes[0], direction, radii[0]) + _reach(shapes[1], _opposite(direction), radii[1])
    run, push = float(rng.uniform(0.2, 0.4)), float(rng.uniform(0.25, 0.45))
    first = np.array(anywhere(rng, radii[0]))
    second = first + step * (run + contact)
    for place, radius in ((second, radii[1]), (second + step * push, radii[1])):
        if any(not radius + RIM <= c <= 1 - radius - RIM for c in place):
            return None
    return ((float(first[0]), float(first[1])), run), ((float(second[0]), float(second[1])), push)


def _reach(shape: str, direction: str, radius: float) -> float:
    side = direction if direction in ("up", "down") else "across"
    return _REACH[shape][side] * radius


def _opposite(direction: str) -> str:
    return {"up": "down", "down": "up"}.get(direction, direction)


def all_apart(objects: Sequence[SceneObject], duration_s: float) -> bool:
    """Tell whether no two objects come near each other, but for those of which one hits the other."""
    if len(objects) < 2:
        return True
    tracks = [[o.state(t) for t in np.linspace(0, duration_s, 12).tolist()] for o in objects]
    reaches = [
        (CORNER if o.event and o.event.kind == "spins" else 1.0) * max(s.radius for s in track)
        for o, track in zip(objects, tracks, strict=True)
    ]
    for (i, a), (j, b) in itertools.combinations(enumerate(tracks), 2):
        event = objects[i].event
        if event is not None and event.partner == j:
            continue
        near = reaches[i] + reaches[j] + GAP
        if any(math.hypot(p.x - q.x, p.y - q.y) <= near for p, q in zip(a, b, strict=True)):
            return False
    return True
