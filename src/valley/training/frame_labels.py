"""What a frame of the synthetic world shows, as numbers: what the tower is taught to tell.

The class token tells of every colour slot at once. The patch tokens share the colours out among themselves:
token j tells of colour j modulo the number of colours, wherever in the picture that is, so that a pooling
over time has the history of one object before it. Both stand in the tower's last hidden state as plain sums,
without any norm between, because that is what a projector can read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from valley.synthetic.scene import Scene
from valley.synthetic.world import COLORS, SHAPES

HIDDEN_BY_EDGE = 0.35
"""An object counts as present while its centre is at most this many radii outside the picture."""

SLOT_WIDTH = 6
"""Numbers of a colour slot: present, x, y, radius, and cosine - 1 and sine of the turn."""

BACKGROUND_WIDTH = 3
GREY_UNIT = 64.0
"""Backgrounds are given as sRGB in units of this many grey values."""

SYMMETRY = {"circle": 0, "square": 4, "triangle": 3, "cross": 4}
"""So many times in a full turn each shape looks as it did; a circle always does."""

_CENTER = np.array([0, 0.5, 0.5, 0.14, 0, 0], np.float32)
_SCALE = np.array([1, 5, 5, 15, 1, 1], np.float32)
"""Small differences of place and radius carry all motion: they must not drown in what is there or not."""

OBJECT_WIDTH = SLOT_WIDTH + len(SHAPES)
"""Numbers that tell of one colour: its slot, centred and scaled, and its shape; zero where it is absent."""

FRAME_WIDTH = len(COLORS) * OBJECT_WIDTH + BACKGROUND_WIDTH + 1
"""Numbers of a class token: every colour, the background, and whether the frame is of another world."""

PATCH_WIDTH = OBJECT_WIDTH + BACKGROUND_WIDTH + 1 + len(COLORS)
"""Numbers of a patch token: its colour, the background, whether it is foreign, and which colour it is."""

_COLOR_SLOTS = {color: slot for slot, color in enumerate(COLORS)}


def frame_labels(scene: Scene, time_s: float, grid: int) -> dict[str, np.ndarray]:
    """Describe what a frame shows.

    Returns:
        `slots` f32[color slot]: present, x, y, radius, cosine - 1 and sine of the turn (0 where absent);
        `shapes` i64[color] (-100 where absent); `background` f32[3]; `foreign` f32[]; `patch_colors`
        i64[patch] (0 = background) and `patch_shapes` i64[patch] (-100 = background).
    """
    shot, in_shot_s = scene.shot_at(time_s)
    labels = foreign_labels(grid) | {"foreign": np.zeros((), np.float32)}
    slots, shapes = labels["slots"], labels["shapes"]
    patch_colors, patch_shapes = labels["patch_colors"], labels["patch_shapes"]
    center_y, center_x = (np.mgrid[0:grid, 0:grid].reshape(2, -1) + 0.5) / grid
    for item in shot.objects:
        state = item.state(in_shot_s)
        margin = HIDDEN_BY_EDGE * state.radius
        if not state.exists or not all(-margin <= c <= 1 + margin for c in (state.x, state.y)):
            continue
        slot, shape = _COLOR_SLOTS[state.color], SHAPES.index(item.shape)
        turn = SYMMETRY[item.shape] * state.turn_rad
        slots[slot] = 1.0, state.x, state.y, state.radius, np.cos(turn) - 1, np.sin(turn)
        shapes[slot] = shape
        covered = (center_x - state.x) ** 2 + (center_y - state.y) ** 2 < (0.8 * state.radius) ** 2
        patch_colors[covered] = slot + 1
        patch_shapes[covered] = shape
    labels["background"] = np.mean(shot.background.colors, axis=0, dtype=np.float32) / np.float32(GREY_UNIT)
    return labels


def foreign_labels(grid: int) -> dict[str, np.ndarray]:
    """Describe a frame of another world, as `frame_labels` does: nothing is known but that it is foreign."""
    return {
        "slots": np.zeros((len(COLORS), SLOT_WIDTH), np.float32),
        "shapes": np.full(len(COLORS), -100, np.int64),
        "background": np.zeros(BACKGROUND_WIDTH, np.float32),
        "foreign": np.ones((), np.float32),
        "patch_colors": np.zeros(grid * grid, np.int64),
        "patch_shapes": np.full(grid * grid, -100, np.int64),
    }


def object_numbers(
    slots: NDArray[np.float32], shapes: NDArray[np.int64], noise: NDArray[np.float32] | float = 0.0
) -> NDArray[np.float32]:
    """Centre and scale what is present: f32[color number], zero where a colour is absent.

    Args:
        slots: f32[color slot], as `frame_labels` gives them.
        shapes: i64[color], -100 where absent.
        noise: added to the slots of what is present.
    """
    scaled = slots[:, :1] * (slots + noise - _CENTER) * _SCALE
    return np.concatenate([scaled, np.equal(shapes[:, None], np.arange(len(SHAPES)))], 1, dtype=np.float32)


def class_numbers(
    objects: NDArray[np.float32], background: NDArray[np.float32], foreign: float
) -> NDArray[np.float32]:
    """Lay out what a frame's class token tells: f32[FRAME_WIDTH]."""
    return np.concatenate([objects.ravel(), background, [foreign]], dtype=np.float32)


def patch_numbers(
    objects: NDArray[np.float32], background: NDArray[np.float32], foreign: float
) -> NDArray[np.float32]:
    """Lay out what the patch token of each colour tells: f32[color PATCH_WIDTH]."""
    shared = np.concatenate([background, [foreign]], dtype=np.float32)
    named = np.eye(len(COLORS), dtype=np.float32)
    return np.concatenate([objects, np.tile(shared, (len(COLORS), 1)), named], axis=1)


def color_of_patch(num_patches: int) -> NDArray[np.int64]:
    """Give the number of the colour that each patch token tells of: i64[patch]."""
    return np.arange(num_patches) % len(COLORS)
