"""Read 8 frames, spread evenly, of each clip: this project beside decord and transformers, in one run.

    python benchmarks/decode.py --clips ../shared/clips     a table of ratios, above 1 is faster than the peer
    python benchmarks/decode.py --json                      the same for programs
    python benchmarks/decode.py --memory                    peak memory on a two-hour 720p file

The readers take turns on each clip and the best of several rounds counts, so that a busy machine troubles all
alike. Pixels are compared first: a reader that gives other frames is no peer. Long clips are generated and
kept in --cache.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from valley.video.decoding import read_frames
from valley.video.encoding import write_video
from valley.video.frames import Frames
from valley.video.sampling import FrameSampling

NUM_FRAMES = 8
SAMPLING = FrameSampling(num_frames=NUM_FRAMES)
MIB = 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, help="folder of videos to measure beside the generated ones")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--memory", action="store_true", help="measure peak memory on a two-hour 720p file instead"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each reader takes its turn")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "valley-benchmark-clips")
    parser.add_argument("--no-generated", action="store_true", help="measure the clips of --clips only")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    if options.memory:
        report_memory(two_hours(options.cache), as_json=options.json)
        return
    clips = (
        sorted(p for p in options.clips.iterdir() if p.suffix in {".mp4", ".mkv", ".webm"})
        if options.clips
        else []
    )
    if not options.no_generated:
        clips += [two_minutes(options.cache), one_keyframe(options.cache)]
    rows = [measure(clip, options.rounds) for clip in clips]
    report(rows, as_json=options.json)


def measure(clip: Path, rounds: int) -> dict[str, str | float | None]:
    """Time the three readers on one clip, in turns."""
    frames = read_frames(clip, SAMPLING)
    assert frames.frame_numbers is not None
    numbers = frames.frame_numbers.tolist()
    readers: dict[str, Callable[[], NDArray[np.uint8]]] = {
        "valley": lambda: read_frames(clip, SAMPLING).pixels
    }
    if can_decord(clip, frames):
        readers["decord"] = lambda: read_decord(clip, numbers)
    if np.array_equal(read_transformers(clip, numbers), frames.pixels):
        readers["transformers"] = lambda: read_transformers(clip, numbers)
    best = dict.fromkeys(readers, float("inf"))
    for number in range(rounds):
        for name, reader in readers.items():
            # The slow one needs fewer turns: its own noise is small beside its length.
            if name == "transformers" and number >= 2 and best[name] > 1:
                continue
            started = time.perf_counter()
            reader()
            best[name] = min(best[name], time.perf_counter() - started)
    speeds = {name: round(best[name] / best["valley"], 2) if name in best else None for name in PEERS}
    return {
        "clip": clip.name,
        "speed_vs_decord": speeds["decord"],
        "speed_vs_transformers": speeds["transformers"],
        "valley_ms": round(best["valley"] * 1000, 1),
    }


PEERS = ("decord", "transformers")


def can_decord(clip: Path, frames: Frames) -> bool:
    """Whether decord reads the clip, and reads the same pixels."""
    import decord

    assert frames.frame_numbers is not None
    try:
        pixels = read_decord(clip, frames.frame_numbers.tolist())
    except decord.DECORDError:
        return False
    if not np.array_equal(pixels, frames.pixels):
        raise SystemExit(f"{clip.name}: decord gives other pixels")
    return True


def read_decord(clip: Path, numbers: list[int]) -> NDArray[np.uint8]:
    """Read frames as people do with decord."""
    import decord

    return decord.VideoReader(str(clip)).get_batch(numbers).asnumpy()


def read_transformers(clip: Path, numbers: list[int]) -> NDArray[np.uint8]:
    """Read frames with transformers' only path that needs neither torchcodec nor torchvision."""
    from transformers.video_utils import load_video

    wanted = np.asarray(numbers)
    pixels, _ = load_video(str(clip), backend="pyav", sample_indices_fn=lambda metadata, **_: wanted)
    return np.asarray(pixels)


def report(rows: list[dict[str, str | float | None]], *, as_json: bool) -> None:
    """Print the table, or the JSON object."""
    known = [float(r["speed_vs_decord"]) for r in rows if r["speed_vs_decord"] is not None]
    median = round(statistics.median(known), 2) if known else None
    if as_json:
        keys = ("clip", "speed_vs_decord", "speed_vs_transformers")
        print(json.dumps({"clips": [{k: r[k] for k in keys} for r in rows], "median": median}))
        return
    print("| clip | valley, ms | times decord's speed | times transformers' |\n|---|---|---|---|")
    for r in rows:
        cells = [
            r["clip"],
            r["valley_ms"],
            r["speed_vs_decord"] or "cannot read",
            r["speed_vs_transformers"] or "-",
        ]
        print("| " + " | ".join(str(c) for c in cells) + " |")
    print(f"| median | | {median} | |")


def report_memory(clip: Path, *, as_json: bool) -> None:
    """Read 8 frames of a long file in a fresh process and print its peak resident memory."""
    code = (
        "import sys, resource; from valley.video.decoding import read_frames; "
        "print(read_frames(sys.argv[1])); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, str(clip)], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    frames, peak = done.stdout.strip().splitlines()
    peak_mib = int(peak) / (MIB if sys.platform == "darwin" else 1024)
    if as_json:
        print(
            json.dumps({"clip": clip.name, "peak_rss_mib": round(peak_mib, 1), "seconds": round(seconds, 2)})
        )
    else:
        size_mib = clip.stat().st_size / MIB
        print(f"{clip.name} ({size_mib:.0f} MiB): {frames}, {seconds:.1f} s, peak memory {peak_mib:.0f} MiB")


def moving_picture(num_frames: int, width_px: int, height_px: int) -> Iterator[NDArray[np.uint8]]:
    """Render a camera that pans over a texture, with a box that moves: real motion for the encoder."""
    small = np.random.default_rng(0).integers(
        0, 256, (height_px // 8 + 40, width_px // 8 + 400, 3), dtype=np.uint8
    )
    texture = np.kron(small, np.ones((8, 8, 1), dtype=np.uint8))
    for number in range(num_frames):
        left = (number * 3) % (texture.shape[1] - width_px)
        top = (number // 2) % (texture.shape[0] - height_px)
        picture = texture[top : top + height_px, left : left + width_px].copy()
        box = (number * 7) % (width_px - 100)
        picture[100:200, box : box + 100] = (255, number % 256, 0)
        yield picture


def two_minutes(cache: Path) -> Path:
    """Two minutes of 720p at 30 fps, H.264 with the encoder's own groups of pictures (250 frames)."""
    clip = cache / "two_minutes_720p.mp4"
    if not clip.exists():
        options = {"preset": "veryfast"}
        write_video(clip, moving_picture(3600, 1280, 720), fps=30, crf=30, options=options)
    return clip


def one_keyframe(cache: Path) -> Path:
    """Half a minute of 360p with a single keyframe: the worst case for readers that seek."""
    clip = cache / "one_keyframe_360p.mp4"
    if not clip.exists():
        options = {"preset": "veryfast", "g": "100000", "keyint_min": "100000", "sc_threshold": "0"}
        write_video(clip, moving_picture(900, 640, 360), fps=30, crf=30, options=options)
    return clip


def two_hours(cache: Path) -> Path:
    """Two hours of 720p: the packets of the two minutes, sixty times."""
    clip, part = cache / "two_hours_720p.mp4", cache / "two_hours_720p.part.mp4"
    if clip.exists():
        return clip
    with av.open(str(two_minutes(cache))) as source, av.open(str(part), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [p for p in source.demux(stream) if p.size]
        length = round(Fraction(120) / stream.time_base)
        times = [(p.pts, p.dts) for p in packets]
        for turn in range(60):
            for packet, (pts, dts) in zip(packets, times, strict=True):
                packet.stream = copy
                packet.pts, packet.dts, packet.time_base = (
                    pts + turn * length,
                    dts + turn * length,
                    stream.time_base,
                )
                target.mux(packet)
    part.replace(clip)
    return clip


if __name__ == "__main__":
    main()
