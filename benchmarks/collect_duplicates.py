"""Find copies among videos: how many edited copies are found, and how many strangers are taken for copies.

    python benchmarks/collect_duplicates.py --clips ../shared/clips    recall by kind of edit, false positives
    python benchmarks/collect_duplicates.py --scale 20000              time and memory among many media

Sources are stretches of four seconds of the given clips, scenes of `valley.synthetic`, moving textures, and
textures behind one and the same title. Each is written, edited in six ways, written again, and looked at by
`valley.video.looking`. Any two sources are strangers, except two stretches of one clip. Scenes, shapes before
plain backgrounds, are counted apart: such pictures have hashes that say little.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valley.collection.near_duplicates import MOST_DISTANCE, find_near_duplicates, set_distance
from valley.synthetic.dataset import scene_number
from valley.synthetic.render import render_frames
from valley.video.decoding import read_frames
from valley.video.encoding import write_video
from valley.video.looking import look
from valley.video.sampling import FrameSampling

FPS = 12.5
SECONDS = 4
FRAMES = int(FPS * SECONDS)
Pixels = NDArray[np.uint8]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, help="folder of videos to take stretches from")
    parser.add_argument("--generated", type=int, default=40, help="so many of each generated kind")
    parser.add_argument("--scale", type=int, help="instead: look for copies among so many made-up media")
    parser.add_argument("--strangers", type=int, default=150, help="further textures, without copies")
    parser.add_argument("--distance", type=float, default=MOST_DISTANCE)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.scale:
        result = among_many(options.scale)
    else:
        found = samples(options.clips, options.generated, options.strangers)
        result = quality(found, options.distance)
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:42} {value:.4g}" if isinstance(value, float) else f"{name:42} {value}")


# -- clips ---------------------------------------------------------------------------------------------------


def sources(clips: Path | None, number: int) -> Iterator[tuple[str, str, Pixels]]:
    """Yield group, name and pixels; sources of one group are no strangers to each other."""
    for path in sorted(clips.glob("*.mp4")) if clips else []:
        yield from stretches_of(path)
    for i in range(number):
        yield f"scene {i}", f"scene {i}", scene(i)
    for i in range(number):
        yield f"texture {i}", f"texture {i}", texture(i)
    title = texture(10**6)[:1]
    for i in range(number // 3):
        pixels = texture(10**5 + i).copy()
        pixels[: int(1.2 * FPS)] = title
        yield f"title {i}", f"title {i}", pixels


def stretches_of(path: Path) -> Iterator[tuple[str, str, Pixels]]:
    """Yield stretches of four seconds, ten at most, with gaps of a second or more."""
    length_s = read_frames(path, FrameSampling(num_frames=2), size_px=64).shown_at_s[-1]
    starts = np.arange(0, max(0.1, length_s - SECONDS), SECONDS + 1)
    for start_s in starts[np.linspace(0, len(starts) - 1, min(10, len(starts))).astype(int)].tolist():
        times = np.array([t for i in range(FRAMES) if (t := start_s + i / FPS) < length_s])
        window = FrameSampling(fps=FPS, start_s=start_s, end_s=float(times[-1]))
        frames = read_frames(path, window, size_px=144)
        shown = np.searchsorted(frames.shown_at_s, times + 1e-6) - 1  # a slow clip's frames stand longer
        pixels = frames.pixels[np.maximum(shown, 0)]
        yield path.stem, f"{path.stem} {start_s:.0f} s", pixels


def scene(number: int) -> Pixels:
    """Render a scene of `valley.synthetic`: plain and patterned backgrounds, a few shapes that move."""
    document = scene_number(7, number, size_px=128)
    count = min(FRAMES, int(document.duration_s * FPS))
    return render_frames(document, [i / FPS for i in range(count)]).pixels


def texture(number: int, *, height_px: int = 90, width_px: int = 160) -> Pixels:
    """Make a landscape of waves, over which the view moves, with three things that go their own way."""
    rng = np.random.default_rng([11, number])
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32) / width_px
    drift, things = rng.normal(0, 0.05, 2), rng.uniform(0.1, 0.9, (3, 4))
    waves = [
        (rng.normal(0, 4 * 1.6**octave, 2), rng.uniform(0, 6.3), 60 / (1 + octave), rng.uniform(0.4, 1, 3))
        for octave in range(4)
        for _ in range(3)
    ]
    frames = []
    for i in range(FRAMES):
        t = i / FPS
        canvas = np.full((height_px, width_px, 3), rng.uniform(110, 112), dtype=np.float32)
        for (fy, fx), phase, height, color in waves:
            wave = np.sin(2 * np.pi * (fy * (y + drift[0] * t) + fx * (x + drift[1] * t)) + phase)
            canvas += height * wave[..., None] * color.astype(np.float32)
        for cx, cy, speed, size in things:
            inside = (x - (cx + 0.1 * (speed - 0.5) * t)) ** 2 + (y - cy * height_px / width_px) ** 2
            canvas[inside < (0.08 * size) ** 2] = 255 * things[:, :1].T
        frames.append(np.clip(canvas + rng.normal(0, 3, canvas.shape), 0, 255).astype(np.uint8))
    return np.stack(frames)


# -- edits ---------------------------------------------------------------------------------------------------


def smaller(pixels: Pixels) -> Pixels:
    """Halve the picture."""
    height, width = (side // 4 * 2 for side in pixels.shape[1:3])
    return (
        pixels[:, : 2 * height, : 2 * width]
        .reshape(len(pixels), height, 2, width, 2, 3)
        .mean(axis=(2, 4))
        .astype(np.uint8)
    )


def cropped(pixels: Pixels) -> Pixels:
    """Cut 3 % off each side and make it brighter."""
    rows, columns = (int(0.03 * side) // 2 * 2 for side in pixels.shape[1:3])
    inner = pixels[:, rows : pixels.shape[1] - rows, columns : pixels.shape[2] - columns]
    return np.clip(inner * 1.12 + 12, 0, 255).astype(np.uint8)


def with_logo(pixels: Pixels) -> Pixels:
    """Put a logo, a tenth of the picture wide and high, into a corner, and drop every second frame."""
    edited = pixels[::2].copy()
    height, width = edited.shape[1:3]
    corner = edited[:, height // 20 : height // 20 + height // 10, -width // 20 - width // 10 : -width // 20]
    corner[:] = 0.2 * corner + 0.8 * np.array([250, 240, 60])
    return edited


EDITS: dict[str, tuple[Callable[[Pixels], Pixels], float, int]] = {
    "re-encoded, half size": (smaller, FPS, 36),
    "cropped 6 %, brighter": (cropped, FPS, 28),
    "brighter": (lambda p: np.clip(p * 1.25 + 15, 0, 255).astype(np.uint8), FPS, 28),
    "trimmed by 0.7 s": (lambda p: p[round(0.7 * FPS) :], FPS, 28),
    "logo, half the rate": (with_logo, FPS / 2, 28),
    "mirrored": (lambda p: p[:, :, ::-1], FPS, 28),
}


def hashes_of(pixels: Pixels, fps: float, crf: int, folder: Path) -> list[int]:
    """Write a clip and look at it."""
    height, width = (side // 2 * 2 for side in pixels.shape[1:3])
    options = {"preset": "veryfast"}
    path = write_video(folder / "a.mp4", pixels[:, :height, :width], fps=fps, crf=crf, options=options)
    return list(look(path).hashes)


@dataclass(frozen=True)
class Sample:
    """Hashes of a source as it is, and of its edited copies."""

    group: str
    own: list[int]
    copies: dict[str, list[int]]


def samples(clips: Path | None, number: int, num_strangers: int) -> dict[str, Sample]:
    """Write, edit and look at all sources; whole clips and further textures are strangers only."""
    found: dict[str, Sample] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for group, title, pixels in sources(clips, number):
            copies = {
                edit: hashes_of(function(pixels), fps, crf, folder)
                for edit, (function, fps, crf) in EDITS.items()
            }
            found[title] = Sample(group, hashes_of(pixels, FPS, 20, folder), copies)
        for i in range(number, number + num_strangers):
            found[f"texture {i}"] = Sample(f"texture {i}", hashes_of(texture(i), FPS, 20, folder), {})
        for path in sorted(clips.glob("*.mp4")) if clips else []:
            found[f"whole {path.stem}"] = Sample(path.stem, list(look(path).hashes), {})
    return found


# -- measures ------------------------------------------------------------------------------------------------


def quality(found: dict[str, Sample], distance: float) -> dict[str, float | int]:
    """Give recall by edit, through the whole search, and the rate of false positives among all pairs."""
    result: dict[str, float | int] = {}
    for plain in (False, True):
        kind = "plain scenes" if plain else "pictures"
        edited = {n: s for n, s in found.items() if s.copies and _is_plain(n) == plain}
        result[f"{kind}: sources"] = len(edited)
        for edit in EDITS if edited else ():
            result[f"{kind}: recall, {edit}"] = _recall(edited, edit, distance)
        wrong, total = _strangers(found, distance, plain=plain)
        result[f"{kind}: pairs of strangers"] = total
        result[f"{kind}: taken for copies"] = wrong
    return result


def _is_plain(name: str) -> bool:
    return name.startswith("scene")


def _recall(edited: dict[str, Sample], edit: str, distance: float) -> float:
    media = {f"own {n}": s.own for n, s in edited.items()}
    media |= {f"copy {n}": s.copies[edit] for n, s in edited.items()}
    found = {p.later: p.earlier for p in find_near_duplicates(media, most_distance=distance)}
    # Stretches of one clip may be copies of each other: any of them will do.
    group = {f"{kind} {n}": s.group for n, s in edited.items() for kind in ("own", "copy")}
    return sum(group.get(found.get(f"copy {n}", "")) == s.group for n, s in edited.items()) / len(edited)


def _strangers(found: dict[str, Sample], distance: float, *, plain: bool) -> tuple[int, int]:
    """Count pairs of strangers that are near, and all; of two plain scenes, or of all other pairs."""
    wrong = total = 0
    for a, b in combinations(found, 2):
        if found[a].group != found[b].group and (_is_plain(a) and _is_plain(b)) == plain:
            total += 1
            wrong += set_distance(found[a].own, found[b].own) <= distance
    return wrong, total


def among_many(number: int) -> dict[str, float | int]:
    """Search made-up media of twenty hashes, one in ten a copy with up to eight bits of each hash changed."""
    rng = random.Random(1)
    media: dict[str, list[int]] = defaultdict(list)
    for i in range(number):
        if i % 10 == 9:
            media[f"copy {i}"] = [_changed(h, rng, rng.randrange(9)) for h in media[f"own {i - 5}"]]
            continue
        value = rng.getrandbits(64)
        for _ in range(20):
            value = _changed(value, rng, 3)
            media[f"own {i}"].append(value)
    start = time.process_time()
    found = find_near_duplicates(media)
    copies = sum(p.later.startswith("copy") and p.earlier.startswith("own") for p in found)
    return {
        "media": number,
        "CPU seconds": time.process_time() - start,
        "copies found": copies / (number // 10),
        "found by mistake": len(found) - copies,
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _changed(value: int, rng: random.Random, num_bits: int) -> int:
    for bit in rng.sample(range(64), num_bits):
        value ^= 1 << bit
    return value


if __name__ == "__main__":
    main()
