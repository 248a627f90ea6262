"""Draws scenes: one object, two in every fifth clip; every drawn label can be seen in eight frames."""

from __future__ import annotations

import itertools
import math

import numpy as np

from valley.synthetic.scene import Background, Event, Scene, SceneObject, Shot
from valley.synthetic.world import BACKGROUNDS, COLORS, DIRECTIONS, SHAPES, SIZES

EVENT_SHARES = {"moves": 0.5, "still": 0.16, "leaves": 0.18, "appears": 0.16}
"""Moving is half of all, so that each direction is met about as often as each other event."""

TWO_OBJECTS_SHARE = 0.2


def draw_scene(
    rng: np.random.Generator, *, size_px: int = 128, two_objects_share: float = TWO_OBJECTS_SHARE
) -> Scene:
    """Draw one scene; the same generator state gives the same scene.

    Event times are fractions of the clip, chosen so that eight frames from first to last show what happens:
    a move lasts to the end, an object that leaves is gone for the last quarter, one that appears is absent
    for at least the first quarter.
    """
    fps = float(rng.choice([24.0, 25.0, 30.0]))
    duration_s = round(float(rng.uniform(2.0, 6.0)) * fps) / fps
    num_objects = 2 if rng.random() < two_objects_share else 1
    return Scene(
        width_px=size_px,
        height_px=size_px,
        fps=fps,
        seed=int(rng.integers(2**31)),
        noise=round(float(rng.uniform(1.0, 6.0)), 2),
        shots=(
            Shot(
                duration_s=duration_s,
                background=_background(rng),
                objects=_objects(rng, num_objects, duration_s),
            ),
        ),
    )


def _background(rng: np.random.Generator) -> Background:
    kind = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
    return Background(
        kind=kind,  # pyright: ignore[reportArgumentType]
        colors=tuple(_dull(rng) for _ in range(1 if kind == "plain" else 2)),
        angle_deg=round(float(rng.uniform(0, 360)), 1),
    )


def _dull(rng: np.random.Generator) -> tuple[int, int, int]:
    grey = rng.uniform(15, 110)
    red, green, blue = (int(np.clip(grey + rng.uniform(-14, 14), 0, 125)) for _ in range(3))
    return red, green, blue


def _objects(rng: np.random.Generator, count: int, duration_s: float) -> tuple[SceneObject, ...]:
    while True:
        colors = rng.permutation(list(COLORS))[:count]
        objects = tuple(_object(rng, str(color), duration_s) for color in colors)
        if all(_apart(a, b, duration_s) for a, b in itertools.combinations(objects, 2)):
            return objects


def _object(rng: np.random.Generator, color: str, duration_s: float) -> SceneObject:
    low, high = SIZES[str(rng.choice(list(SIZES)))]
    radius = round(float(rng.uniform(low, high)), 4)
    kind = str(rng.choice(list(EVENT_SHARES), p=list(EVENT_SHARES.values())))
    center = rng.uniform(radius + 0.02, 0.98 - radius, size=2)
    events: tuple[Event, ...] = ()
    if kind == "appears":
        at_s = round(float(rng.uniform(0.3, 0.65)) * duration_s, 3)
        events = (Event(kind="appears", start_s=at_s, end_s=at_s),)
    elif kind != "still":
        center, event = _travel(rng, kind, radius, duration_s)
        events = (event,)
    return SceneObject(
        shape=str(rng.choice(SHAPES)),
        color=color,
        radius=radius,
        center=(round(float(center[0]), 4), round(float(center[1]), 4)),
        events=events,
    )


def _travel(
    rng: np.random.Generator, kind: str, radius: float, duration_s: float
) -> tuple[np.ndarray, Event]:
    direction = str(rng.choice(list(DIRECTIONS)))
    step = np.array(DIRECTIONS[direction])
    axis = int(np.flatnonzero(step)[0])
    low, high = radius + 0.02, 0.98 - radius
    center = rng.uniform(low, high, size=2)
    if kind == "moves":
        distance = float(rng.uniform(0.35, min(0.6, high - low)))
        begin = rng.uniform(low, high - distance)
        start_s, end_s = float(rng.uniform(0, 0.15)) * duration_s, duration_s
    else:
        begin = rng.uniform(low, high) * 0.6 + 0.2 * (low + high)
        distance = 1.0 - begin + radius + 0.01
        start_s, end_s = 0.0, float(rng.uniform(0.55, 0.75)) * duration_s
    center[axis] = begin if step[axis] > 0 else 1.0 - begin
    event = Event(
        kind=kind,  # pyright: ignore[reportArgumentType]
        start_s=round(start_s, 3),
        end_s=math.floor(end_s * 1000) / 1000,
        direction=direction,
        distance=round(distance, 4),
    )
    return center, event


def _apart(a: SceneObject, b: SceneObject, duration_s: float) -> bool:
    return all(
        math.dist(a.position(t), b.position(t)) > a.radius + b.radius + 0.03
        for t in np.linspace(0, duration_s, 12)
    )
