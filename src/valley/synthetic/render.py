"""From a scene document to pixels, and to a real H.264 file; the same scene gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valley.synthetic.scene import Background, ObjectState, Scene
from valley.synthetic.world import COLORS
from valley.video.encoding import write_video
from valley.video.frames import Frames

TEXTURE_CELLS = 8


def render_frames(
    scene: Scene, times_s: Sequence[float], *, size_px: tuple[int, int] | None = None
) -> Frames:
    """Render the scene as it looks at the given times.

    Args:
        scene: what to show.
        times_s: seconds from the begin of the clip.
        size_px: (width, height); the scene's own size if None. Drawn at this size, not scaled.

    Returns:
        Frames with `pixels` u8[frame, height, width, 3] and `shown_at_s` equal to `times_s`.
    """
    width_px, height_px = size_px or (scene.width_px, scene.height_px)
    backgrounds: dict[int, NDArray[np.float32]] = {}
    pixels = np.empty((len(times_s), height_px, width_px, 3), np.uint8)
    for index, time_s in enumerate(times_s):
        number, in_shot_s = scene.shot_number_at(float(time_s))
        shot = scene.shots[number]
        if number not in backgrounds:
            backgrounds[number] = _background(shot.background, scene.seed + number, width_px, height_px)
        canvas = backgrounds[number].copy()
        for item in shot.objects:
            state = item.state(in_shot_s)
            if state.exists:
                _draw(canvas, item.shape, state)
        if scene.noise:
            rng = np.random.default_rng([scene.seed, round(float(time_s) * scene.fps)])
            canvas += scene.noise * rng.standard_normal(canvas.shape, dtype=np.float32)
        pixels[index] = np.clip(canvas + 0.5, 0, 255)
    return Frames(pixels=pixels, shown_at_s=np.asarray(times_s, np.float64))


def render_video(scene: Scene, path: Path) -> None:
    """Write the scene as an H.264 mp4 at its own size and frame rate.

    Raises:
        MediaError: the file cannot be written.
    """
    write_video(path, _all_frames(scene), fps=scene.fps, crf=scene.crf)


def _all_frames(scene: Scene) -> Iterator[NDArray[np.uint8]]:
    for number in range(scene.num_frames):
        yield render_frames(scene, [number / scene.fps]).pixels[0]


def _background(background: Background, seed: int, width_px: int, height_px: int) -> NDArray[np.float32]:
    first = np.array(background.colors[0], np.float32)
    if background.kind == "plain":
        return np.broadcast_to(first, (height_px, width_px, 3)).copy()
    second = np.array(background.colors[1], np.float32)
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32)
    x, y = (x + 0.5) / width_px, (y + 0.5) / height_px
    if background.kind == "gradient":
        angle = np.deg2rad(background.angle_deg)
        ramp = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
        mix = (ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6)
    else:
        cells = np.random.default_rng(seed).random((TEXTURE_CELLS, TEXTURE_CELLS), np.float32)
        mix = cells[(y * TEXTURE_CELLS).astype(int), (x * TEXTURE_CELLS).astype(int)]
    return (first + mix[..., None] * (second - first)).astype(np.float32)


def _draw(canvas: NDArray[np.float32], shape: str, state: ObjectState) -> None:
    """Paint one object onto the canvas, anti-aliased over one pixel, touching only its bounding box."""
    height_px, width_px, _ = canvas.shape
    center_x, center_y = state.x * width_px, state.y * width_px + (height_px - width_px) / 2
    reach = state.radius * width_px * (1.22 if state.turn_rad else 1.0) + 1.5
    left, right = max(0, int(center_x - reach)), min(width_px, int(center_x + reach) + 1)
    top, bottom = max(0, int(center_y - reach)), min(height_px, int(center_y + reach) + 1)
    if left >= right or top >= bottom:
        return
    x = np.arange(left, right, dtype=np.float32)[None, :] + 0.5 - np.float32(center_x)
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5 - np.float32(center_y)
    if state.turn_rad:
        cosine, sine = np.float32(np.cos(state.turn_rad)), np.float32(np.sin(state.turn_rad))
        x, y = x * cosine + y * sine, y * cosine - x * sine
    distance = _outside_distance(shape, x, y, state.radius * width_px)
    cover = np.clip(0.5 - distance, 0, 1)[..., None]
    window = canvas[top:bottom, left:right]
    window += cover * (np.array(COLORS[state.color], np.float32) - window)


def _outside_distance(
    shape: str, x: NDArray[np.float32], y: NDArray[np.float32], radius: float
) -> NDArray[np.floating]:
    """Give the signed distance in pixels from the shape's edge, positive outside."""
    if shape == "circle":
        return np.sqrt(x * x + y * y) - radius
    if shape == "square":
        return np.maximum(abs(x), abs(y)) - 0.86 * radius
    if shape == "triangle":
        return np.maximum(abs(x) * np.float32(0.866) - y * 0.5, y) - 0.5 * radius
    bar = radius / 3
    upright = np.maximum(abs(x) - bar, abs(y) - radius)
    level = np.maximum(abs(x) - radius, abs(y) - bar)
    return np.minimum(upright, level)
