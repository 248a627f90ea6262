"""What exists in the synthetic world: colours, shapes, sizes, directions and event kinds.

Lengths are fractions of the picture's width; y grows downwards, as in pixels. Two levels: `core` is what a
small model can learn in hours on two cores, `rich` is all of it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (225, 40, 40),
    "green": (40, 190, 60),
    "blue": (50, 90, 235),
    "yellow": (240, 225, 50),
    "purple": (160, 60, 200),
    "orange": (245, 140, 30),
}
"""sRGB of each colour. Backgrounds stay darker than 130 and dull, so that every object stands out."""

SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "cross")

SIZES: dict[str, tuple[float, float]] = {"small": (0.09, 0.11), "big": (0.165, 0.195)}
"""Range of the radius of each size; the gap between the two keeps the word decidable."""

_SLANT = 0.5**0.5

DIRECTIONS: dict[str, tuple[float, float]] = {
    "right": (1.0, 0.0),
    "left": (-1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
    "up_right": (_SLANT, -_SLANT),
    "up_left": (-_SLANT, -_SLANT),
    "down_right": (_SLANT, _SLANT),
    "down_left": (-_SLANT, _SLANT),
}
"""Unit vectors of the eight directions."""

CORE_DIRECTIONS: tuple[str, ...] = tuple(DIRECTIONS)[:4]

EventKind: TypeAlias = Literal[
    "moves",
    "enters",
    "leaves",
    "stops",
    "grows",
    "shrinks",
    "recolors",
    "appears",
    "disappears",
    "hits",
    "pushed",
    "bounces",
    "spins",
]
"""What can happen to an object in a shot."""

EVENTS: tuple[str, ...] = ("still", *get_args(EventKind))
"""What an object can do in a shot; `still` is the absence of an event in the scene document."""

CORE_EVENTS: tuple[str, ...] = EVENTS[:12]

TRAVELLING: frozenset[str] = frozenset(
    ("moves", "enters", "leaves", "stops", "hits", "pushed", "bounces"),
)
"""Events with a direction and a distance."""

BACKGROUNDS: tuple[str, ...] = ("plain", "gradient", "texture")

LANGUAGES: tuple[str, ...] = ("en", "zh", "es")

Level: TypeAlias = Literal["core", "rich"]

LEVELS: tuple[Level, ...] = get_args(Level)


def is_held_out(color: str, shape: str, event: str) -> bool:
    """Tell whether training never shows this colour, shape and event together; about one in ten is so.

    The pattern is spread evenly: every colour, shape and event occurs in held-out triples and in others.
    Objects that stand still are never held out.
    """
    if event == "still":
        return False
    place = list(COLORS).index(color) + 2 * SHAPES.index(shape) + 3 * EVENTS.index(event)
    return place % 10 == 0
