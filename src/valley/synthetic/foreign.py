"""Footage that is not of the synthetic world, drawn by rule: what the model must refuse to describe.

Two thirds imitate the statistics of filmed pictures (occluding surfaces of all sizes, 1/f texture, figures
in front, a moving camera, light, grain, bars and captions); the rest are noise, gradients, drawings,
patterns, pages of text and pictures of nothing. None shows the
world's own objects on the world's own backgrounds.

A picture is first drawn on a canvas a quarter wider than the frame, then filmed: pan, zoom, blur and
anti-aliasing are one separable product of matrices. Arrays here are f32 in 0..1 with the channel first.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valley.synthetic.generator import draw_scene
from valley.synthetic.render import render_frames
from valley.video.encoding import write_video

FOREIGN_SHARES: dict[str, float] = {
    "surfaces": 0.20,  # dead leaves: rooms, shelves, streets
    "terrain": 0.11,  # 1/f texture and its level sets: water, grass, snow, crowds
    "landscape": 0.10,  # sky or wall above, ground below
    "people": 0.20,  # one to three figures or a face in front of any of these
    "night": 0.08,  # nearly black, with a few lights
    "noise": 0.03,
    "gradient": 0.05,
    "cartoon": 0.07,  # shapes and colours the world has not, on bright ground
    "pattern": 0.05,  # stripes, checks, cells
    "text": 0.03,
    "empty": 0.08,  # one colour, or a background of the world with nothing on it
}
"""How often each kind is drawn; the first five are like photographs and make up 69 %."""

STILL_SHARE = 0.33
"""Draws in which nothing moves but a trembling of the camera."""

MARGIN = 1.25
"""Width of the canvas over that of the frame: room for the camera to move."""

_Array = NDArray[np.float32]
_Painter = Callable[[np.random.Generator, int], _Array]


def draw_kind(rng: np.random.Generator) -> str:
    """Draw the name of a kind by its share."""
    return str(rng.choice(list(FOREIGN_SHARES), p=list(FOREIGN_SHARES.values())))


def draw_foreign(
    rng: np.random.Generator, num_frames: int, size_px: int, *, kind: str | None = None
) -> NDArray[np.uint8]:
    """Draw one clip that is not of the synthetic world; the same generator state gives the same clip.

    Args:
        rng: where all chance comes from.
        num_frames: at least 1; as sampled from a clip, so that neighbours may differ much.
        size_px: width and height, at least 16.
        kind: one of `FOREIGN_SHARES`; drawn by share if None.

    Returns:
        u8[frame, height, width, 3].

    Raises:
        ValueError: no frames, too small a picture or an unknown kind.
    """
    kind = draw_kind(rng) if kind is None else kind
    if num_frames < 1 or size_px < 16 or kind not in FOREIGN_SHARES:
        raise ValueError(
            f"want 1 or more frames of 16 or more pixels and a kind of {', '.join(FOREIGN_SHARES)}; "
            f"got {num_frames} frames of {size_px} pixels, {kind!r}"
        )
    if kind == "empty":
        return _empty(rng, num_frames, size_px)
    is_photo = kind in _PHOTOS
    still = bool(rng.random() < STILL_SHARE)
    clip = np.empty((num_frames, 3, size_px, size_px), np.float32)
    for begin, end in _shots(rng, num_frames, cuts=is_photo and not still):
        clip[begin:end] = _shot(rng, kind, end - begin, size_px, still=still)
    if is_photo and not still and rng.random() < 0.3:
        clip = clip[rng.permutation(num_frames)]  # cut to and fro; far apart in a long clip
    if is_photo:
        _develop(rng, clip, still=still)
    if rng.random() < (0.25 if is_photo else 0.05):
        _caption(rng, clip)
    if rng.random() < 0.12:
        _bars(rng, clip)
    return np.ascontiguousarray((clip.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1))


def write_foreign_video(
    rng: np.random.Generator, path: Path, *, num_frames: int = 48, fps: float = 24.0, size_px: int = 128
) -> Path:
    """Write one draw as a video of even size; the suffix of `path` says the container.

    Raises:
        MediaError: the file cannot be written.
        ValueError: as `draw_foreign`.
    """
    return write_video(path, draw_foreign(rng, num_frames, size_px), fps=fps)


def _shots(rng: np.random.Generator, num_frames: int, *, cuts: bool) -> list[tuple[int, int]]:
    count = 1 if not cuts or rng.random() < 0.65 else int(rng.choice([2, 3, 5], p=[0.5, 0.35, 0.15]))
    edges = np.unique(np.concatenate([[0, num_frames], rng.integers(1, num_frames + 1, count - 1)]))
    return [(int(begin), int(end)) for begin, end in pairwise(edges)]


def _shot(rng: np.random.Generator, kind: str, num_frames: int, size_px: int, *, still: bool) -> _Array:
    canvas_px = 2 * round(size_px * MARGIN / 2)
    blur = float(rng.choice([1.1, 1.5, 2.5, 5.0], p=[0.5, 0.25, 0.17, 0.08])) if kind in _PHOTOS else 1.0
    clip = _film(_PAINTERS[kind](rng, canvas_px), size_px, *_camera(rng, num_frames, still=still), blur)
    clip = np.broadcast_to(clip, (num_frames, *clip.shape[1:])).copy()
    if kind == "people":
        num_sprites = int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]))
    elif kind == "cartoon":
        num_sprites = int(rng.integers(1, 4))
    else:
        num_sprites = int(kind in _PHOTOS and rng.random() < 0.3)
    for _ in range(num_sprites):
        sprite = (_drawing if kind == "cartoon" else _figure)(rng, size_px)
        place = _walk(rng, num_frames, 0.0 if still else 0.25) + rng.uniform(-0.3, 0.3, 2).astype(np.float32)
        zoom = rng.uniform(0.3, 1.5) * (1 + _walk(rng, num_frames, 0.0 if still else 0.15))
        layer = _film(sprite, size_px, place, zoom, min(blur, 1.4))
        clip *= 1 - layer[:, 3:]
        clip += layer[:, :3]
    return clip


def _walk(rng: np.random.Generator, num_frames: int, reach: float) -> _Array:
    """Draw a path f32[frame, 2] that stays within about `reach` of 0: a drift, a sway, jumps or a walk."""
    if reach == 0:
        return rng.normal(0, 0.003, (num_frames if rng.random() < 0.6 else 1, 2)).astype(np.float32)
    time = np.linspace(-1, 1, num_frames)[:, None]
    match int(rng.integers(4)):
        case 0:
            path = time * rng.uniform(-1, 1, 2)
        case 1:
            path = np.sin(time * rng.uniform(2, 9, 2) + rng.uniform(0, 6, 2)) * rng.random(2)
        case 2:
            path = rng.uniform(-1, 1, (num_frames, 2)) * rng.random()
        case _:
            path = np.cumsum(rng.normal(0, 0.35, (num_frames, 2)), 0)
    return (reach * path.clip(-1.5, 1.5)).astype(np.float32)


def _camera(rng: np.random.Generator, num_frames: int, *, still: bool) -> tuple[_Array, _Array]:
    """Give the canvas's shift and magnification over the frame, f32[frame, 2] each, never past its edge."""
    walk = _walk(rng, num_frames, 0.0 if still else 0.15)[:, :1]
    zoom = np.maximum(1 + 0.3 * rng.random() + walk, 1).astype(np.float32)
    room = (zoom - 1) / 2
    shift = np.clip(_walk(rng, num_frames, 0.0 if still else 0.3), -room, room)
    return shift.astype(np.float32), np.repeat(zoom, 2, axis=1).astype(np.float32)


def _film(layer: _Array, size_px: int, shift: _Array, zoom: _Array, blur: float) -> _Array:
    """Resample a layer f32[channel, canvas, canvas] to f32[frame, channel, size, size].

    Args:
        layer: the canvas.
        size_px: of the frames.
        shift: of the layer's centre from the frame's, f32[frame or 1, 2] as (x, y) in frame widths.
        zoom: the layer's (width, height) in frame widths, likewise.
        blur: half width of the kernel in pixels of the frame, 1 for sharp.
    """
    canvas_px = layer.shape[-1]
    target = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px - 0.5
    zoom = np.maximum(zoom, 0.05).astype(np.float32)[..., None]
    source = ((target - shift.astype(np.float32)[..., None]) / zoom + 0.5) * canvas_px - 0.5
    reach = np.maximum(canvas_px / (size_px * zoom) * np.float32(blur), 1)[..., None]
    weights = 1 - np.abs(source[..., None] - np.arange(canvas_px, dtype=np.float32)) / reach
    np.maximum(weights, 0, out=weights)
    weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-6)
    by_row = layer.transpose(1, 0, 2).reshape(canvas_px, -1)
    num_frames, num_channels = len(weights), len(layer)
    rows = (weights[:, 1].reshape(-1, canvas_px) @ by_row).reshape(num_frames, -1, canvas_px)
    filmed = rows @ weights[:, 0].swapaxes(-1, -2)
    return filmed.reshape(num_frames, size_px, num_channels, size_px).transpose(0, 2, 1, 3)


def _palette(rng: np.random.Generator, count: int) -> _Array:
    """Draw colours f32[count, 3] that go together: few hues, mostly dull, any brightness."""
    hue = rng.choice([rng.random(), 0.07, 0.1, 0.3, 0.58]) + rng.normal(
        0, rng.choice([0.03, 0.12, 0.4]), count
    )
    saturation = rng.beta(1.3, rng.choice([8.0, 3.0, 1.5, 0.7]), count)
    value = rng.normal(rng.uniform(0.2, 1.0), rng.uniform(0.1, 0.45), count).clip(0.02, 1)
    phase = (np.array([5, 3, 1]) + 6 * hue[:, None]) % 6
    hollow = np.minimum(phase, 4 - phase).clip(0, 1)
    return (value[:, None] * (1 - saturation[:, None] * hollow)).astype(np.float32)


def _clouds(rng: np.random.Generator, canvas_px: int, count: int) -> _Array:
    """Draw fields f32[count, canvas, canvas] of 1/f noise, mean 0 and deviation 1, often stretched."""
    stretch = np.exp(rng.normal(0, 0.6))
    down, across = np.fft.fftfreq(canvas_px) * stretch, np.fft.rfftfreq(canvas_px) / stretch
    power = (down[:, None] ** 2 + across**2 + 1e-5) ** (-rng.uniform(0.35, 1.1))
    power[0, 0] = 0
    power = power.astype(np.float32)
    normal = rng.standard_normal((2, count, *power.shape), np.float32)
    fields = np.fft.irfft2((normal[0] + 1j * normal[1]) * power, s=(canvas_px, canvas_px))
    fields = fields.astype(np.float32, copy=False)
    return fields / np.sqrt(np.square(fields).mean(axis=(1, 2), keepdims=True))


def _grid(canvas_px: int) -> tuple[_Array, _Array]:
    """Give x f32[1, canvas] and y f32[canvas, 1] from 0 to 1."""
    line = ((np.arange(canvas_px) + 0.5) / canvas_px).astype(np.float32)
    return line.reshape(1, -1), line.reshape(-1, 1)


def _pile(
    rng: np.random.Generator,
    places: NDArray[np.floating],
    is_box: NDArray[np.bool_],
    colors: _Array,
    canvas_px: int,
) -> _Array:
    """Paint ellipses and boxes, the first on top, each with its own shading and all with bent edges.

    Args:
        rng: for bends, shading and texture.
        places: [part, 5]: centre x and y, half width and half height in canvas widths, angle in radians.
        is_box: bool[part].
        colors: f32[part, 3].
        canvas_px: width of the canvas.

    Returns:
        f32[4, canvas, canvas]: red, green, blue, each already multiplied by the fourth, which is coverage.
    """
    bend, texture = _clouds(rng, canvas_px, 2)
    x, y = (np.broadcast_to(a, (canvas_px, canvas_px)).ravel() for a in _grid(canvas_px))
    bent = np.float32(rng.choice([0, 0.01, 0.03]))
    points = np.stack([x + bent * bend.ravel(), y + bent * bend.T.ravel(), np.ones_like(x)], 1)
    center_x, center_y, half_width, half_height, angle = places.T.astype(np.float32)
    cos, sin = np.cos(angle), np.sin(angle)
    right = np.stack([cos, sin, -center_x * cos - center_y * sin]).astype(np.float32) / half_width
    down = np.stack([-sin, cos, center_x * sin - center_y * cos]).astype(np.float32) / half_height
    wide, high = points @ right, points @ down
    np.square(wide, out=wide)
    np.square(high, out=high)
    inside = high < 1
    wide += high * ~is_box  # an ellipse where the squares' sum is below 1, a box where both squares are
    inside &= wide < 1
    part = inside.argmax(1)
    slopes = rng.normal(0, rng.choice([0.03, 0.1]), (3, len(places))).astype(np.float32)
    shading = (right * slopes[0] + down * slopes[1])[:, part]
    light = np.einsum("pc,cp->p", points, shading).clip(-0.4, 0.4)
    light += np.abs(slopes[2, part]) * texture.ravel()
    painted = np.ones((4, len(part)), np.float32)
    painted[:3] = colors[part].T + light
    painted *= inside[np.arange(len(part)), part]
    return painted.reshape(4, canvas_px, canvas_px)


def _surfaces(rng: np.random.Generator, canvas_px: int) -> _Array:
    count = int(rng.integers(8, 45))
    radius = (0.03 * rng.random(count) ** rng.uniform(-1.0, -0.4)).clip(0.02, 0.5) * rng.uniform(1, 2.5)
    aspect = np.exp(rng.normal(0, 0.5, count))
    angle = rng.normal(0, rng.choice([0.03, 0.3, 3.0]), count)
    places = np.stack([*rng.random((2, count)), radius * aspect, radius / aspect, angle], 1)
    places[-1, 2:4] = 9  # the wall behind
    colors = _palette(rng, 6)[rng.integers(6, size=count)] + rng.normal(0, 0.05, (count, 1)).astype(
        np.float32
    )
    return _pile(rng, places, rng.random(count) < rng.choice([0.1, 0.5, 0.9]), colors, canvas_px)[:3]


def _terrain(rng: np.random.Generator, canvas_px: int) -> _Array:
    fields = _clouds(rng, canvas_px, 4)
    count = int(rng.integers(2, 7))
    levels = np.sort(rng.normal(0, 1, count - 1))
    steps = np.searchsorted(levels, fields[3])
    ground = _palette(rng, count)[steps].transpose(2, 0, 1)
    texture = fields[:3] * np.float32(rng.choice([0.01, 0.05])) + fields[0] * np.float32(
        rng.uniform(0.01, 0.2)
    )
    return ground * np.float32(rng.choice([0.1, 0.6, 1.0])) + rng.uniform(0, 0.3) + texture


def _landscape(rng: np.random.Generator, canvas_px: int) -> _Array:
    """Paint a smooth upper half, usually bright, above a ground of another kind."""
    x, y = _grid(canvas_px)
    top, low = _palette(rng, 2)[:, :, None, None]
    clouds = _clouds(rng, canvas_px, 2)
    sky = top + (low - top) * y + float(rng.choice([0.0, 0.03, 0.12])) * np.maximum(clouds[0], 0)
    sky = 1 - (1 - sky) * np.float32(rng.uniform(0.3, 1))
    ground = (_surfaces if rng.random() < 0.4 else _terrain)(rng, canvas_px)
    horizon = (
        rng.uniform(0.15, 1.0)
        + rng.normal(0, 0.1) * (x - 0.5)
        + float(rng.choice([0.0, 0.02, 0.07])) * clouds[1]
    )
    return np.where(y > horizon, ground, sky).astype(np.float32)


def _scenery(rng: np.random.Generator, canvas_px: int) -> _Array:
    return (_surfaces, _terrain, _landscape)[int(rng.integers(3))](rng, canvas_px)


def _night(rng: np.random.Generator, canvas_px: int) -> _Array:
    """Darken any scenery and hang lights into it, sharp or out of focus."""
    scenery = _scenery(rng, canvas_px).clip(0, 1) * np.float32(rng.uniform(0.03, 0.3))
    count = int(rng.integers(5, 24))
    x, y = _grid(canvas_px)
    at_x, at_y = rng.random((2, count, 1, 1)).astype(np.float32)
    spread = (0.006 + 0.06 * rng.random((count, 1, 1)) ** 3).astype(np.float32)
    column, row = np.exp(-(((x - at_x) / spread) ** 2)), np.exp(-(((y - at_y) / spread) ** 2))
    warmth = rng.normal([1.0, 0.85, 0.65], [0.1, 0.12, 0.2], (count, 3)).astype(np.float32) * rng.uniform(
        0.3, 1.3
    )
    return scenery + np.einsum("lc,lyx->cyx", warmth, row * column, optimize=True)


def _figure(rng: np.random.Generator, canvas_px: int) -> _Array:
    """Paint somebody standing, a face, or a body of a few round parts: an animal, a hand, a tool."""
    skin = rng.uniform(0.25, 1.0) * rng.normal([0.92, 0.7, 0.57], 0.04)
    clothes, trousers, hair = _palette(rng, 3)
    lean = rng.normal(0, 0.5, 4)
    match int(rng.choice(3, p=[0.45, 0.25, 0.3])):
        case 0:
            parts = [[0.5, 0.15, 0.06, 0.08, 0], [0.5, 0.12, 0.075, 0.09, 0]]
            parts += [[0.39, 0.4, 0.035, 0.17, lean[0]], [0.61, 0.4, 0.035, 0.17, lean[1]]]
            parts += [[0.5, 0.4, rng.uniform(0.08, 0.14), 0.17, 0.1 * lean[2]]]
            parts += [[0.45, 0.73, 0.05, 0.24, 0.3 * lean[2]], [0.55, 0.73, 0.05, 0.24, 0.3 * lean[3]]]
            colors = [
                skin,
                hair,
                skin if rng.random() < 0.4 else clothes,
                clothes,
                clothes,
                trousers,
                trousers,
            ]
        case 1:
            parts = [[0.42, 0.4, 0.03, 0.015, 0], [0.58, 0.4, 0.03, 0.015, 0], [0.5, 0.58, 0.06, 0.015, 0]]
            parts += [[0.5, 0.45, 0.17, 0.23, 0], [0.5, 0.36, 0.21, rng.uniform(0.22, 0.4), 0]]
            parts += [[0.5, 0.72, 0.08, 0.12, 0], [0.5, 1.0, 0.42, 0.26, 0]]
            colors = [hair * 0.4, hair * 0.4, skin * [0.8, 0.5, 0.5], skin, hair * 0.6, skin * 0.85, clothes]
        case _:
            count = int(rng.integers(3, 8))
            parts = np.column_stack(
                [rng.normal(0.5, 0.12, (count, 2)), rng.uniform(0.03, 0.2, (count, 2)), rng.random(count) * 3]
            )
            colors = [[clothes, trousers, skin][i] for i in rng.integers(3, size=count)]
    return _pile(
        rng,
        np.array(parts, np.float64),
        rng.random(len(parts)) < 0.05,
        np.array(colors, np.float32),
        canvas_px,
    )


def _develop(rng: np.random.Generator, clip: _Array, *, still: bool) -> None:
    """Give a photographed clip its light, exposure, contrast, colour and grain, in place."""
    num_frames, _, size_px, _ = clip.shape
    if (keep := rng.choice([0.0, 0.5, 1.0, 1.5], p=[0.08, 0.17, 0.6, 0.15])) != 1:
        grey = clip.mean(1, keepdims=True)
        clip -= grey
        clip *= np.float32(keep)
        clip += grey
    x, y = (2 * a - 1 for a in _grid(size_px))
    slope_x, slope_y = rng.normal(0, 0.25, 2).tolist()
    light = 1 + slope_x * x + slope_y * y - float(rng.choice([0.0, 0.0, 0.25])) * (x * x + y * y)
    flicker = 1 + 0.3 * _walk(rng, num_frames, 0.0 if still else float(rng.choice([0.05, 0.6])))[:, :1]
    exposure = rng.uniform(0.7, 1.4) if rng.random() < 0.8 else rng.uniform(0.2, 0.6)
    gain = flicker * exposure * rng.normal(1, 0.06, 3)
    clip *= light.astype(np.float32)
    clip *= gain.astype(np.float32)[:, :, None, None]
    clip += np.float32(rng.normal(0, 0.06))
    if rng.random() < 0.5:
        grain = rng.standard_normal((size_px + 16, size_px + 16), np.float32) * np.float32(
            0.05 * rng.random() ** 2
        )
        for frame, (left, top) in zip(clip, rng.integers(0, 16, (num_frames, 2)), strict=True):
            frame += grain[top : top + size_px, left : left + size_px]


def _caption(rng: np.random.Generator, clip: _Array) -> None:
    """Lay words into the picture, in place: a line at the bottom or a sign at the top, some on a box."""
    size_px = clip.shape[-1]
    height = max(2, round(size_px * rng.uniform(0.03, 0.08)))
    width = round(size_px * rng.uniform(0.15, 0.85))
    left = int(rng.integers(0, size_px - width))
    top = int(
        rng.integers(size_px * 2 // 3, size_px - height)
        if rng.random() < 0.7
        else rng.integers(1, size_px // 4)
    )
    window = clip[:, :, top : top + height, left : left + width]
    if rng.random() < 0.3:
        window[:] = rng.choice([0.0, 0.9])
    letters = rng.random((height, width)) < np.where(
        np.arange(width) % int(rng.integers(5, 12)) == 0, 0, 0.55
    )
    ink = rng.choice([1.0, 1.0, 0.0]) if rng.random() < 0.8 else rng.random(3)[:, None, None]
    window += letters * rng.uniform(0.4, 1) * (ink - window)


def _bars(rng: np.random.Generator, clip: _Array) -> None:
    """Cover two opposite edges, in place, as when a picture of another shape was fitted in."""
    width = round(clip.shape[-1] * rng.uniform(0.05, 0.3))
    edges = clip if rng.random() < 0.6 else clip.swapaxes(-1, -2)
    shade = rng.choice([0.0, 0.0, 0.0, 1.0])
    edges[:, :, :width] = shade
    edges[:, :, clip.shape[-1] - width :] = shade


def _noise(rng: np.random.Generator, canvas_px: int) -> _Array:
    cells = max(2, round(canvas_px * rng.choice([1.0, 0.5, 0.2])))
    channels = int(rng.choice([1, 3]))
    if rng.random() < 0.3:
        field = _clouds(rng, canvas_px, channels)
    else:
        index = np.arange(canvas_px) * cells // canvas_px
        field = rng.standard_normal((channels, cells, cells), np.float32)[:, index[:, None], index]
    mean = rng.random((3, 1, 1)) if rng.random() < 0.5 else np.full((3, 1, 1), rng.random())
    return (mean + field * rng.uniform(0.08, 0.5)).astype(np.float32)


def _gradient(rng: np.random.Generator, canvas_px: int) -> _Array:
    x, y = (a - 0.5 for a in _grid(canvas_px))
    angle = rng.uniform(0, 2 * np.pi)
    center_x, center_y = rng.uniform(-0.5, 0.5, 2)
    ramp = (
        x * np.cos(angle) + y * np.sin(angle) + 0.5
        if rng.random() < 0.6
        else np.hypot(x - center_x, y - center_y)
    )
    stops = _palette(rng, 3) if rng.random() < 0.6 else rng.random((3, 3))
    return np.stack([np.interp(ramp, [0, rng.uniform(0.3, 0.7), 1], stop) for stop in stops.T]).astype(
        np.float32
    )


def _bright(rng: np.random.Generator) -> _Array:
    """Draw a ground f32[3] far brighter than the world's: white, sky, pastel."""
    return 1 - rng.random(3, np.float32) * np.float32(rng.choice([0.0, 0.15, 0.4]))


def _sheet(rng: np.random.Generator, canvas_px: int) -> _Array:
    """Paint the ground of a cartoon: one bright colour, or two with an edge between."""
    first, second = (_bright(rng)[:, None, None] for _ in range(2))
    x, y = _grid(canvas_px)
    edge = rng.choice([2.0, rng.uniform(0.4, 0.9)])
    return np.where(y + 0 * x > edge, second, first).astype(np.float32)


def _drawing(rng: np.random.Generator, canvas_px: int) -> _Array:
    """Draw one flat figure the world has not, f32[4, canvas, canvas], colour multiplied by coverage."""
    x, y = ((a - 0.5) * 2.5 for a in _grid(canvas_px))
    radius, angle = np.hypot(x, y), np.arctan2(y, x) + rng.uniform(0, 6)
    corners = int(rng.integers(5, 9))
    match int(rng.integers(5)):
        case 0:
            mask = radius * (1 + rng.uniform(0.2, 0.4) * np.cos(corners * angle)) < 0.7
        case 1:
            mask = np.abs(radius - 0.7) < rng.uniform(0.08, 0.25)
        case 2:
            mask = (x / rng.uniform(0.8, 1.1)) ** 2 + (y / rng.uniform(0.25, 0.5)) ** 2 < 1
        case 3:
            sector = 2 * np.pi / corners
            mask = radius * np.cos(angle % sector - sector / 2) < 0.75
        case _:
            limbs = np.abs(np.abs(x) - np.abs(y - rng.uniform(-0.2, 0.1)) * rng.uniform(0.4, 1)) < 0.08
            mask = (
                (np.hypot(x, y + 0.75) < 0.22)
                | ((np.abs(y) < 0.8) & limbs)
                | ((np.abs(x) < 0.08) & (np.abs(y) < 0.5))
            )
    inks = [
        (1.0, 0.55, 0.75),
        (0.1, 0.8, 0.85),
        (0.45, 0.27, 0.12),
        (0, 0, 0),
        (0.5, 0.5, 0.5),
        (0.6, 0.9, 0.75),
    ]
    painted = np.ones((4, canvas_px, canvas_px), np.float32)
    painted[:3] = np.array(inks[int(rng.integers(len(inks)))], np.float32)[:, None, None]
    return painted * mask


def _pattern(rng: np.random.Generator, canvas_px: int) -> _Array:
    x, y = _grid(canvas_px)
    angle, period = rng.choice([0, np.pi / 2, rng.uniform(0, 3)]), rng.uniform(0.05, 0.4)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    colors = _palette(rng, 24) if rng.random() < 0.5 else rng.random((24, 3), np.float32)
    match int(rng.integers(4)):
        case 0:
            cell = np.floor(along / period).astype(int) % int(rng.integers(2, 5))
        case 1:
            cell = (np.floor(along / period) + np.floor(across / period)).astype(int) % 2
        case 2:
            cell = (np.hypot(along % period - period / 2, across % period - period / 2) < period / 3).astype(
                int
            )
        case _:
            seeds = rng.random((24, 2, 1, 1), np.float32)
            cell = ((x - seeds[:, 0]) ** 2 + (y - seeds[:, 1]) ** 2).argmin(0)
    return colors[cell].transpose(2, 0, 1)


def _text(rng: np.random.Generator, canvas_px: int) -> _Array:
    """Paint lines of marks as of a page, a terminal or slides."""
    pitch = int(rng.integers(3, max(5, canvas_px // 8)))
    rows, columns = np.divmod(np.arange(canvas_px), pitch)[0], np.arange(canvas_px)
    num_rows = int(rows[-1]) + 1
    words = rng.random((num_rows, canvas_px)) < 0.82
    ends = canvas_px * rng.choice([0.0, 1.0, 1.0, 1.0], num_rows) * rng.uniform(0.3, 0.95, num_rows)
    begin = canvas_px * rng.uniform(0.02, 0.2)
    ink = words & (columns < ends[:, None]) & (columns > begin)
    marks = ink[rows] & (rng.random((canvas_px, canvas_px)) < 0.75)
    marks &= (np.arange(canvas_px) % pitch < max(1, pitch * 0.6))[:, None]
    paper, pen = _bright(rng)[:, None, None], rng.random((3, 1, 1), np.float32) * 0.4
    if rng.random() < 0.3:
        paper, pen = pen * 0.5, paper
    return np.where(marks, pen, paper).astype(np.float32)


def _empty(rng: np.random.Generator, num_frames: int, size_px: int) -> NDArray[np.uint8]:
    """Show nothing: half a background of the world, half black, white, grey or any one colour."""
    if rng.random() < 0.5:
        scene = draw_scene(rng, size_px=size_px)
        shots = tuple(shot.model_copy(update={"objects": ()}) for shot in scene.shots)
        scene = scene.model_copy(update={"shots": shots})
        return render_frames(
            scene, np.linspace(0, scene.duration_s, num_frames, endpoint=False).tolist()
        ).pixels
    grey = np.full(3, rng.random())
    color = [np.zeros(3), np.ones(3), grey, rng.random(3)][int(rng.integers(4))]
    clip = np.broadcast_to(color * 255, (num_frames, size_px, size_px, 3))
    noise = rng.standard_normal(clip.shape, np.float32) * rng.choice([0.0, 1.0, 3.0])
    return (clip + noise + 0.5).clip(0, 255).astype(np.uint8)


_PHOTOS: dict[str, _Painter] = {
    "surfaces": _surfaces,
    "terrain": _terrain,
    "landscape": _landscape,
    "people": _scenery,
    "night": _night,
}
_PAINTERS: dict[str, _Painter] = _PHOTOS | {
    "noise": _noise,
    "gradient": _gradient,
    "cartoon": _sheet,
    "pattern": _pattern,
    "text": _text,
}
