"""Pictures that move, for tests of shots: each seed is another scene."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

WIDTH_PX, HEIGHT_PX = 192, 128
Scene = Callable[[int], NDArray[np.uint8]]


def scene(seed: int, *, pan_px: float = 0.7) -> Scene:
    """Give a smooth random world, over which the view slides by `pan_px` a frame."""
    random = np.random.default_rng(seed)
    height_px, width_px = HEIGHT_PX + 32, WIDTH_PX * 6
    world = np.zeros((height_px, width_px, 3))
    for cells in (4, 8, 16, 32):
        grid = random.normal(0, 1, (height_px // (128 // cells) + 2, width_px // (128 // cells) + 2, 3))
        rows = np.linspace(0, grid.shape[0] - 1.001, height_px)
        columns = np.linspace(0, grid.shape[1] - 1.001, width_px)
        y, x = rows.astype(int), columns.astype(int)
        fy, fx = (rows - y)[:, None, None], (columns - x)[None, :, None]
        top = grid[y][:, x] * (1 - fx) + grid[y][:, x + 1] * fx
        bottom = grid[y + 1][:, x] * (1 - fx) + grid[y + 1][:, x + 1] * fx
        world += (top * (1 - fy) + bottom * fy) * (4 / cells) ** 0.4
    pixels = np.clip(world * 38 + random.uniform(90, 160, 3), 0, 255).astype(np.uint8)

    def show(number: int) -> NDArray[np.uint8]:
        left = int(number * pan_px) % (width_px - WIDTH_PX)
        return pixels[16 : 16 + HEIGHT_PX, left : left + WIDTH_PX]

    return show


def mixed(a: NDArray[np.uint8], b: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    return (a * (1 - share) + b * share).astype(np.uint8)


def coarse_of(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Give u8 [frame, 3, 16, 24] as reading a file would: luma and two differences of colour."""
    rgb = np.stack(pictures).astype(np.float32)
    cells = rgb.reshape(len(rgb), 16, HEIGHT_PX // 16, 24, WIDTH_PX // 24, 3).mean(axis=(2, 4))
    luma = cells @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    blue, red = (cells[..., 2] - luma) * 0.56 + 128, (cells[..., 0] - luma) * 0.71 + 128
    planes = np.stack([luma * 219 / 255 + 16, blue, red], axis=1)
    return np.clip(np.rint(planes), 0, 255).astype(np.uint8)
