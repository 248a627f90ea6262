"""Clips with known cuts and gradual transitions, for measuring shot detectors: textures, screens, film.

    >>> clip = generate(3, num_shots=12)
    >>> clip.cuts, clip.graduals
    ((71, 380), (Gradual(start=140, end=172, kind="dissolve"), ...))

A seed gives the same clip everywhere. Inside the shots happens what is no transition: pans, zooms, whip pans,
flashes, changes of exposure, things that pass close to the camera, scrolling, windows that pop up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH_PX, HEIGHT_PX = 320, 180
_CANVAS_WIDTH_PX, _CANVAS_HEIGHT_PX = 1280, 720
_GRADUALS = ("dissolve", "dissolve", "dissolve", "fade", "fade", "wipe")
_SHORTEST, _LONGEST = 36, 120  # frames of a shot, without its transitions

Picture = NDArray[np.uint8]
Shot = Callable[[int], Picture]
Random = np.random.Generator


@dataclass(frozen=True)
class Gradual:
    """A gradual transition: frames [start, end) show something of both shots, or black."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class GeneratedClip:
    """Frames, to be read once, and what is true of them; a cut is the number of a shot's first frame."""

    frames: Iterator[Picture]
    fps: int
    cuts: tuple[int, ...]
    graduals: tuple[Gradual, ...]
    num_frames: int


def generate(seed: int, *, num_shots: int = 14, film: Sequence[Sequence[Picture]] = ()) -> GeneratedClip:
    """Make one clip.

    Args:
        seed: of everything.
        num_shots: in the clip.
        film: stretches of real clips of one shot each, 320 x 180, to be mixed in.
    """
    random = np.random.default_rng(seed)
    fps = int(random.choice([24, 25, 30]))
    lengths = random.integers(_SHORTEST, _LONGEST, num_shots)
    kinds = ["cut" if random.random() < 0.6 else str(random.choice(_GRADUALS)) for _ in range(num_shots - 1)]
    durations = [0 if kind == "cut" else _duration(kind, random) for kind in kinds]
    starts = np.concatenate([[0], np.cumsum(lengths[:-1] + durations)])
    cuts = tuple(int(starts[i + 1]) for i, kind in enumerate(kinds) if kind == "cut")
    graduals = tuple(
        Gradual(int(starts[i + 1]) - durations[i], int(starts[i + 1]), kind)
        for i, kind in enumerate(kinds)
        if kind != "cut"
    )
    shots = _shots(num_shots, random, film)
    frames = _play(shots, lengths.tolist(), kinds, durations, random)
    return GeneratedClip(frames, fps, cuts, graduals, int(starts[-1] + lengths[-1]))


def _duration(kind: str, random: Random) -> int:
    shortest, longest = {"dissolve": (8, 64), "fade": (12, 48), "wipe": (10, 36)}[kind]
    return round(float(np.exp(random.uniform(np.log(shortest), np.log(longest)))))


def _shots(num_shots: int, random: Random, film: Sequence[Sequence[Picture]]) -> Iterator[Shot]:
    """Yield the shots; no two neighbours are of the same film, or both a screen."""
    last = ""
    for _ in range(num_shots):
        while True:
            what = str(random.choice(["picture", "screen", "film"], p=[0.5, 0.15, 0.35]))
            if what == "film" and film:
                what = f"film {random.integers(len(film))}"
            elif what == "film":
                what = "picture"
            if what != last or what == "picture":
                break
        last = what
        if what == "screen":
            yield _screen(random)
        elif what == "picture":
            yield _flashing(_picture(random), random)
        else:
            stretch = film[int(what.split()[1])]
            offset = int(random.integers(0, max(1, len(stretch) - _LONGEST)))
            yield _flashing(_reel(stretch, offset), random)


def _play(
    shots: Iterator[Shot], lengths: list[int], kinds: list[str], durations: list[int], random: Random
) -> Iterator[Picture]:
    """Yield all frames; a shot goes on moving during its transitions."""
    shot, clock = next(shots), 0
    for number, length in enumerate(lengths):
        for _ in range(length):
            yield shot(clock)
            clock += 1
        if number == len(kinds):
            return
        following = next(shots)
        duration = durations[number]
        if duration:
            mix = _mixer(kinds[number], random)
            for i in range(duration):
                share = (i + 1) / (duration + 1)
                yield mix(shot(clock + i), following(i), share)
        shot, clock = following, duration


def _mixer(kind: str, random: Random) -> Callable[[Picture, Picture, float], Picture]:
    if kind == "dissolve":
        return _dissolve
    if kind == "fade":
        return lambda a, b, share: (
            _dissolve(a, np.zeros_like(a), min(1.0, share * 2))
            if share < 0.5
            else _dissolve(np.zeros_like(b), b, share * 2 - 1)
        )
    angle, softness = random.uniform(0, 2 * np.pi), random.choice([0.02, 0.15])
    y, x = np.mgrid[-1 : 1 : HEIGHT_PX * 1j, -1 : 1 : WIDTH_PX * 1j]
    slope = x * np.cos(angle) + y * np.sin(angle)
    slope = (slope - slope.min()) / (slope.max() - slope.min())

    def wipe(a: Picture, b: Picture, share: float) -> Picture:
        mask = np.clip((share * (1 + softness) - slope) / softness, 0, 1)[..., None]
        return (a * (1 - mask) + b * mask).astype(np.uint8)

    return wipe


def _dissolve(a: Picture, b: Picture, share: float) -> Picture:
    return (a * np.float32(1 - share) + b * np.float32(share)).astype(np.uint8)


def _reel(stretch: Sequence[Picture], offset: int) -> Shot:
    turn = 2 * (len(stretch) - 1)  # to and fro, so that it never ends

    def show(number: int) -> Picture:
        place = (offset + number) % turn
        return stretch[place if place < len(stretch) else turn - place]

    return show


def _flashing(shot: Shot, random: Random) -> Shot:
    """Add a flash, or a change of exposure, to some shots."""
    kind = random.choice(["none", "flash", "exposure"], p=[0.6, 0.2, 0.2])
    at, length = int(random.integers(14, 50)), int(random.integers(1, 6))
    strength, ramp = random.uniform(0.4, 1.0), int(random.choice([1, 10, 30]))
    gain = random.uniform(0.5, 0.8) if random.random() < 0.5 else random.uniform(1.25, 1.7)

    def show(number: int) -> Picture:
        picture = shot(number)
        if kind == "flash" and at <= number < at + length:
            return _dissolve(picture, np.full_like(picture, 255), float(strength * (1 - (number - at) / 8)))
        if kind == "exposure" and number > at:
            now = 1 + (gain - 1) * min(1.0, (number - at) / ramp)
            return np.clip(picture * np.float32(now), 0, 255).astype(np.uint8)
        return picture

    return show


def _texture(random: Random, width_px: int, height_px: int, *, roughness: float) -> Picture:
    """Paint clouds of several sizes in a few colours, with hard edges here and there."""
    field = np.zeros((height_px, width_px, 3), dtype=np.float32)
    for octave in range(2, 8):
        cells = (2**octave * 9 // 16 + 1, 2**octave + 1)
        grid = random.standard_normal((*cells, 3)).astype(np.float32)
        grid = 0.6 * grid[..., :1] + 0.4 * grid
        grown = [
            np.asarray(Image.fromarray(grid[..., c]).resize((width_px, height_px), Image.Resampling.BICUBIC))
            for c in range(3)
        ]
        field += np.stack(grown, axis=-1) * roughness**octave
    field = field / field.std() * random.uniform(25, 60) + random.uniform(70, 170, 3)
    if random.random() < 0.5:
        field = np.round(field / 48) * 48
    return np.clip(field, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _Camera:
    """Where the camera looks at frame t: centre and width of the view on the canvas, in pixels."""

    centre: tuple[float, float]
    speed: tuple[float, float]
    zoom: float
    width: float
    shake: float
    whip_at: int

    def view(self, number: int, jitter: NDArray[np.float64]) -> tuple[float, float, float]:
        """Give x, y and width of the view."""
        width = self.width * self.zoom**number
        whip = 60.0 * np.clip(number - self.whip_at, 0, 6)
        x = self.centre[0] + self.speed[0] * number + whip + self.shake * jitter[number % len(jitter), 0]
        y = self.centre[1] + self.speed[1] * number + self.shake * jitter[number % len(jitter), 1]
        return x % _CANVAS_WIDTH_PX, y % _CANVAS_HEIGHT_PX, float(np.clip(width, 160, 900))


def _camera(random: Random) -> _Camera:
    kind = random.choice(["still", "pan", "fast", "zoom", "whip"], p=[0.3, 0.25, 0.2, 0.15, 0.1])
    angle = random.uniform(0, 2 * np.pi)
    speed = {"pan": random.uniform(1, 5), "fast": random.uniform(8, 24)}.get(kind, 0.0)
    return _Camera(
        centre=(random.uniform(200, 1000), random.uniform(120, 600)),
        speed=(speed * np.cos(angle), speed * np.sin(angle) * 0.5),
        zoom=float(random.choice([0.985, 1.015, 0.995])) if kind == "zoom" else 1.0,
        width=random.uniform(300, 600),
        shake=float(random.choice([0.0, 1.5])),
        whip_at=int(random.integers(10, 40)) if kind == "whip" else 10**9,
    )


def _picture(random: Random) -> Shot:
    """Give a textured world that a camera looks at, with a few things that move through the view."""
    canvas = Image.fromarray(
        np.pad(
            _texture(random, _CANVAS_WIDTH_PX, _CANVAS_HEIGHT_PX, roughness=random.uniform(0.55, 0.85)),
            ((0, _CANVAS_HEIGHT_PX), (0, _CANVAS_WIDTH_PX), (0, 0)),
            mode="wrap",
        )
    )
    camera, jitter = _camera(random), random.standard_normal((97, 2)).cumsum(0)
    jitter -= np.linspace(jitter[0], jitter[-1], len(jitter))
    things = [_thing(random) for _ in range(random.integers(0, 4))]
    noise = random.normal(0, random.choice([0.0, 2.0, 5.0]), (4, HEIGHT_PX, WIDTH_PX, 1)).astype(np.float32)

    def show(number: int) -> Picture:
        x, y, width = camera.view(number, jitter)
        scale = width / WIDTH_PX
        size = (WIDTH_PX, HEIGHT_PX)
        view = canvas.transform(
            size, Image.Transform.AFFINE, (scale, 0, x, 0, scale, y), Image.Resampling.BILINEAR
        )
        for thing in things:
            thing(view, number)
        return np.clip(np.asarray(view) + noise[number % 4], 0, 255).astype(np.uint8)

    return show


def _thing(random: Random) -> Callable[[Image.Image, int], None]:
    """Give something that moves over the view; some are large and near."""
    size_px = int(random.choice([30, 50, 160], p=[0.45, 0.45, 0.1]))
    picture = Image.fromarray(_texture(random, size_px, size_px, roughness=0.7))
    y, x = np.mgrid[-1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j]
    mask = Image.fromarray(((x * x + y * y < 1) * 255).astype(np.uint8))
    start, speed = random.uniform(-60, 300, 2), random.uniform(-6, 6, 2) * (2 if size_px > 100 else 1)

    def draw(view: Image.Image, number: int) -> None:
        place = (start + speed * number + 160) % (WIDTH_PX + 320) - 160
        view.paste(picture, (int(place[0]), int(place[1] * HEIGHT_PX / WIDTH_PX)), mask)

    return draw


def _page(random: Random, width_px: int, height_px: int) -> Picture:
    """Paint lines of words: dark on light, or light on dark."""
    paper, ink = (250, 30) if random.random() < 0.6 else (35, 220)
    page = np.full((height_px, width_px, 3), paper, dtype=np.uint8)
    for top in range(6, height_px - 8, 9):
        if random.random() < 0.12:
            continue
        left = 10
        while left < width_px - 40 and random.random() < 0.93:
            length = int(random.integers(5, 28))
            page[top : top + 5, left : left + length : 2] = ink
            left += length + 4
    if random.random() < 0.6:
        top = int(random.integers(0, max(1, height_px - 60)))
        block = _texture(random, 100, 50, roughness=0.7)
        page[top : top + 50, width_px - 110 : width_px - 10] = block[: height_px - top]
    return page


def _screen(random: Random) -> Shot:
    """Give a recorded screen: a page that scrolls, windows that come and go at once, a pointer."""
    page = _page(random, WIDTH_PX, HEIGHT_PX * 4)
    steps = np.cumsum(random.choice([0, 0, 0, 2, 12], 400))
    windows = []
    for _ in range(int(random.integers(1, 3))):
        width_px, height_px = int(random.integers(120, 250)), int(random.integers(60, 140))
        window = _page(random, width_px, height_px)
        window[:8] = random.integers(0, 255, 3)
        corner = (
            int(random.integers(0, HEIGHT_PX - height_px)),
            int(random.integers(0, WIDTH_PX - width_px)),
        )
        opened = int(random.integers(8, 60))
        windows.append((window, corner, opened, opened + int(random.integers(8, 60))))
    pointer = random.uniform(20, 150, 2)

    def show(number: int) -> Picture:
        top = int(steps[number % 400]) % (HEIGHT_PX * 3)
        view = page[top : top + HEIGHT_PX].copy()
        for window, (y, x), opened, closed in windows:
            if opened <= number < closed:
                view[y : y + window.shape[0], x : x + window.shape[1]] = window
        y, x = (pointer + number * 1.3).astype(int) % 160
        view[y : y + 10, x : x + 6] = 0
        return view

    return show
