"""What exists in the synthetic world: colours, shapes, sizes, directions and event kinds.

Lengths are fractions of the picture's width; y grows downwards, as in pixels.
"""

from __future__ import annotations

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

DIRECTIONS: dict[str, tuple[int, int]] = {"right": (1, 0), "left": (-1, 0), "up": (0, -1), "down": (0, 1)}

EVENTS: tuple[str, ...] = ("still", "moves", "leaves", "appears")
"""What an object can do in a clip; `still` is the absence of an event in the scene document."""

BACKGROUNDS: tuple[str, ...] = ("plain", "gradient", "texture")

LANGUAGES: tuple[str, ...] = ("en", "zh", "es")
