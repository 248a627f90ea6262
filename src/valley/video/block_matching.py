"""How much of a picture can be found again in another one, block by block: tells a cut from motion.

Works on coarse pictures: i16 [frame, 3, 16, 24], luma and both chromas, from `valley.video.small_frames`. A
block is 4 x 4 of their pixels, so a picture has 24 of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from valley.video.small_frames import COARSE_HEIGHT_PX, COARSE_WIDTH_PX

BLOCK_PX = 4
BLOCK_ROWS, BLOCK_COLUMNS = COARSE_HEIGHT_PX // BLOCK_PX, COARSE_WIDTH_PX // BLOCK_PX
_REACH_Y_PX, _REACH_X_PX = 2, 4  # a sixth of the picture between two frames: 50 pixels of 320
_PAIRS_AT_ONCE = 32  # what they need stays in the processor's cache

Planes = NDArray[np.int16]


def change(before: Planes, after: Planes) -> NDArray[np.float32]:
    """Give the mean difference of pixels, the three planes added: f32 [pair], 0 to 765."""
    return np.abs(after - before).mean(axis=(2, 3), dtype=np.float32).sum(axis=1)


def mismatch(before: Planes, after: Planes) -> NDArray[np.float32]:
    """Give what is left of each block of `after` at its best place nearby in `before`: f32 [pair, block]."""
    parts = [
        _mismatch(before[i : i + _PAIRS_AT_ONCE], after[i : i + _PAIRS_AT_ONCE])
        for i in range(0, len(before), _PAIRS_AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, BLOCK_ROWS * BLOCK_COLUMNS), dtype=np.float32)


def _mismatch(before: Planes, after: Planes) -> NDArray[np.float32]:
    around = np.pad(
        before, ((0, 0), (0, 0), (_REACH_Y_PX, _REACH_Y_PX), (_REACH_X_PX, _REACH_X_PX)), mode="edge"
    )
    best: NDArray[np.float32] | None = None
    for y in range(2 * _REACH_Y_PX + 1):
        for x in range(2 * _REACH_X_PX + 1):
            moved = around[:, :, y : y + COARSE_HEIGHT_PX, x : x + COARSE_WIDTH_PX]
            left = _per_block(_added(np.abs(after - moved)))
            best = left if best is None else np.minimum(best, left)
    assert best is not None
    return best


def likeness(before: Planes, after: Planes) -> NDArray[np.float32]:
    """Give the correlation of the lumas, which a change of exposure leaves alone: f32 [pair], -1 to 1.

    Two flat pictures are alike; a flat one is unlike any other.
    """
    a, b = (
        p[:, 0].reshape(len(p), COARSE_HEIGHT_PX * COARSE_WIDTH_PX).astype(np.float32)
        for p in (before, after)
    )
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    noise = a.shape[1]  # the power of one grey level
    power = ((a * a).sum(axis=1) + noise) * ((b * b).sum(axis=1) + noise)
    return ((a * b).sum(axis=1) + noise) / np.sqrt(power)


def contrast(planes: Planes) -> NDArray[np.float32]:
    """Give the mean distance of pixels from their plane's mean, the planes added: f32 [picture]."""
    values = planes.astype(np.float32)
    return np.abs(values - values.mean(axis=(2, 3), keepdims=True)).mean(axis=(2, 3)).sum(axis=1)


def _added(planes: Planes) -> NDArray[np.int16]:
    return planes[:, 0] + planes[:, 1] + planes[:, 2]


def _per_block(pixels: NDArray[np.int16]) -> NDArray[np.float32]:
    """Average over blocks; rows first, which numpy adds many at a time."""
    rows = pixels.reshape(-1, BLOCK_ROWS, BLOCK_PX, COARSE_WIDTH_PX)
    added = rows[:, :, 0] + rows[:, :, 1] + rows[:, :, 2] + rows[:, :, 3]
    cells = added.reshape(-1, BLOCK_ROWS, BLOCK_COLUMNS, BLOCK_PX)
    total = cells[..., 0] + cells[..., 1] + (cells[..., 2] + cells[..., 3])
    mean: NDArray[np.float32] = np.multiply(total, np.float32(1 / BLOCK_PX**2), dtype=np.float32)
    return mean.reshape(len(pixels), BLOCK_ROWS * BLOCK_COLUMNS)
