"""Shot detectors beside each other in one run: on generated clips whose cuts are known, and their speed.

    python benchmarks/collect_shots.py --clips ../shared/clips      both tables
    python benchmarks/collect_shots.py --json                       the same for programs
    python benchmarks/collect_shots.py --whole                      probe and look at 480p: time and memory
    python benchmarks/collect_shots.py --fit                        weights of valley.video.gradual

The rule: a cut is found if the detector says a transition within 2 frames of it; a gradual transition, if it
says one from 2 frames before its beginning to 2 after its end; each counts once. PySceneDetect tells places
and no kinds, so in the columns "any kind" a transition may be found as either; what is left over is counted
against both kinds there. In the others the kind must be right, and what is left over is counted against its
own. Film (of --clips) is mixed into the generated clips: one half for fitting, the other for measuring.
Fitting and measuring have other seeds.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from generated_shots import GeneratedClip, generate
from PIL import Image

from valley.video.decoding import probe, read_frames
from valley.video.encoding import write_video
from valley.video.looking import look
from valley.video.sampling import FrameSampling

DETECTORS = (
    "valley",
    "valley_full",
    "scenedetect_adaptive",
    "scenedetect_histogram",
    "scenedetect_content",
)
FITTING_SEEDS, MEASURING_SEEDS = range(45), range(2000, 2020)
CRFS = (18, 23, 30)
NEAR_FRAMES = 2
# Stretches of one shot each in the clips that lie beside this project's checkout, in frames.
FILM = {
    "jobs.mp4": (0, 450),
    "making_cake.mp4": (0, 190),
    "sample_demo_22.mp4": (0, 1000),
    "valley3_audio.mp4": (0, 250),
    "valley_a.mp4": (0, 509),
    "valley_d.mp4": (0, 880),
    "yoga.mp4": (0, 300),
}
MIB = 2**20


@dataclass
class Tally:
    """Found, wrongly found and missed."""

    hits: int = 0
    false: int = 0
    missed: int = 0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.hits / max(1, 2 * self.hits + self.false + self.missed)

    def row(self) -> str:
        """Precision, recall and F1 for people."""
        precision = self.hits / max(1, self.hits + self.false)
        recall = self.hits / max(1, self.hits + self.missed)
        return f"{precision:5.3f} {recall:5.3f} {self.f1:5.3f}"


@dataclass
class Scores:
    """Of one detector."""

    cuts: Tally = field(default_factory=Tally)
    graduals: Tally = field(default_factory=Tally)
    cuts_any: Tally = field(default_factory=Tally)
    graduals_any: Tally = field(default_factory=Tally)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, help="folder of real clips")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--whole", action="store_true", help="measure probe and look at 480p instead")
    parser.add_argument("--fit", action="store_true", help="fit the weights of gradual transitions instead")
    parser.add_argument("--seeds", type=int, default=len(MEASURING_SEEDS), help="how many generated clips")
    parser.add_argument("--rounds", type=int, default=3, help="how often each detector takes its turn")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "valley-benchmark-clips")
    parser.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    if options.look:
        print(json.dumps(look_once(options.look)))
    elif options.whole:
        report_whole(options.cache, as_json=options.json)
    elif options.fit:
        from fitting_shots import fit

        print(fit(list(clips_of(FITTING_SEEDS, options, half=0))))
    else:
        report(options)


def report(options: argparse.Namespace) -> None:
    """Print quality and rates of all detectors."""
    generated = list(clips_of(MEASURING_SEEDS[: options.seeds], options, half=1))
    scores = {name: Scores() for name in DETECTORS}
    for path, truth in generated:
        for name in DETECTORS:
            count(scores[name], path, truth, name)
    rates = {"generated": measure_rates([path for path, _ in generated][:4], options.rounds)}
    if options.clips:
        rates["real"] = measure_rates(sorted(options.clips.glob("*.mp4")), options.rounds)
    if options.json:
        quality = {
            name: {kind: vars(t) | {"f1": t.f1} for kind, t in vars(s).items()} for name, s in scores.items()
        }
        print(json.dumps({"quality": quality, "rates": rates}))
        return
    truths = [truth for _, truth in generated]
    num_cuts, num_graduals = sum(len(t["cuts"]) for t in truths), sum(len(t["graduals"]) for t in truths)
    print(f"{len(truths)} generated clips, {num_cuts} cuts, {num_graduals} gradual transitions")
    print(f"{'precision recall F1':22} {'cuts':>18} {'gradual':>18} {'cuts, any':>18} {'gradual, any':>18}")
    for name, s in scores.items():
        tallies = (s.cuts, s.graduals, s.cuts_any, s.graduals_any)
        print(f"{name:22} " + "  ".join(t.row() for t in tallies))
    for what, by_name in rates.items():
        print(
            f"\nframes per CPU second, {what} clips (in brackets: by scenedetect_adaptive, median of rounds)"
        )
        for name, (rate, ratio) in by_name.items():
            print(f"{name:22} {rate:7.0f} ({ratio:.2f})")


def clips_of(
    seeds: range, options: argparse.Namespace, *, half: int
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield generated clips and their truth; made once and kept."""
    film: list[list[np.ndarray]] | None = None
    for seed in seeds:
        path = options.cache / f"shots-{'film' if options.clips else 'plain'}-{half}-{seed}.mp4"
        truth = path.with_suffix(".json")
        if not truth.is_file():
            film = read_film(options.clips, half) if film is None else film
            write_clip(path, truth, generate(seed, film=film), crf=CRFS[seed % len(CRFS)])
        yield path, json.loads(truth.read_text(encoding="utf-8"))


def read_film(folder: Path | None, half: int) -> list[list[np.ndarray]]:
    """Read the one or the other half of the known stretches, as far as they are there."""
    film = []
    for name, (first, last) in FILM.items() if folder else ():
        path = Path(folder or "") / name
        if path.is_file():
            middle = (first + last) // 2
            start = first if half == 0 else middle
            times_s = probe(path).duration_s / probe(path).num_frames
            stop = min(start + 200, middle if half == 0 else last)
            window = FrameSampling(
                fps=1 / times_s, start_s=start * times_s, end_s=(stop - 1) * times_s, max_frames=200
            )
            film.append(list(read_frames(path, window, size_px=(320, 180)).pixels))
    return film


def write_clip(path: Path, truth: Path, clip: GeneratedClip, *, crf: int) -> None:
    """Write a generated clip, and then what is true of it."""
    write_video(path, clip.frames, fps=clip.fps, crf=crf, options={"preset": "veryfast"})
    graduals = [[g.start, g.end, g.kind] for g in clip.graduals]
    truth.write_text(json.dumps({"fps": clip.fps, "cuts": clip.cuts, "graduals": graduals}), encoding="utf-8")


def count(scores: Scores, path: Path, truth: dict[str, Any], detector: str) -> None:
    """Compare what a detector says of a clip with what is true of it."""
    said = [(s.start_s * truth["fps"], s.transition) for s in look(path, detector=detector).shots[1:]]
    cuts = [(c - NEAR_FRAMES, c + NEAR_FRAMES) for c in truth["cuts"]]
    graduals = [(a - NEAR_FRAMES, b + NEAR_FRAMES) for a, b, _ in truth["graduals"]]
    _match(scores.cuts, [at for at, kind in said if kind == "cut"], cuts)
    _match(scores.graduals, [at for at, kind in said if kind == "gradual"], graduals)
    left = _match(scores.cuts_any, [at for at, _ in said], cuts, charge=False)
    left = _match(scores.graduals_any, left, graduals, charge=False)
    scores.cuts_any.false += len(left)
    scores.graduals_any.false += len(left)


def _match(
    tally: Tally, said: list[float], wanted: list[tuple[int, int]], *, charge: bool = True
) -> list[float]:
    """Count; each that was said serves once. Gives those that are left over."""
    left = list(said)
    for first, last in wanted:
        near = [at for at in left if first - 0.5 <= at <= last + 0.5]
        if near:
            left.remove(min(near, key=lambda at, middle=(first + last) / 2: abs(at - middle)))
            tally.hits += 1
        else:
            tally.missed += 1
    tally.false += len(left) if charge else 0
    return left


def measure_rates(paths: list[Path], rounds: int) -> dict[str, tuple[float, float]]:
    """Give frames per second of processor time, and the ratio to PySceneDetect's own adaptive run."""
    runs: dict[str, Callable[[Path], int]] = {
        name: lambda path, name=name: look(path, detector=name).num_frames for name in DETECTORS[:2]
    }
    runs |= {name: lambda path, name=name: _scenedetect(path, name) for name in DETECTORS[2:]}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start_s = time.process_time()
            num_frames = sum(run(path) for path in paths)
            rates[name].append(num_frames / (time.process_time() - start_s))
    peer = rates["scenedetect_adaptive"]
    return {
        name: (max(own), statistics.median(a / b for a, b in zip(own, peer, strict=True)))
        for name, own in rates.items()
    }


def _scenedetect(path: Path, name: str) -> int:
    """Run PySceneDetect as its own documentation does, with its own decoder of OpenCV, in one thread."""
    import cv2
    import scenedetect

    cv2.setNumThreads(1)
    manager = scenedetect.SceneManager()
    manager.add_detector(getattr(scenedetect, name.split("_")[1].title() + "Detector")())
    return manager.detect_scenes(scenedetect.open_video(str(path)))


def report_whole(cache: Path, *, as_json: bool) -> None:
    """Measure probe and look on two minutes of 854 x 480, each time in a fresh process."""
    path = cache / "shots-480p.mp4"
    if not path.is_file():
        clip = generate(7, num_shots=35)
        size_px = (854, 480)
        write_video(
            path, (np.asarray(Image.fromarray(f).resize(size_px)) for f in clip.frames), fps=clip.fps, crf=23
        )
    command = [sys.executable, __file__, "--look", str(path)]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(3)]
    best = max(runs, key=lambda r: r["real_time"])
    if as_json:
        print(json.dumps(best))
    else:
        print(
            f"probe and look, {best['duration_s']:.0f} s of 854 x 480: {best['real_time']:.0f} x real time "
            f"a core, {best['peak_mib']:.0f} MiB at most"
        )


def look_once(path: Path) -> dict[str, float]:
    """Probe and look at one clip, and say what it took."""
    start_s = time.process_time()
    duration_s = probe(path).duration_s
    look(path)
    # Of this program alone: getrusage tells of the one that started it too.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak_mib = int(status.split("VmHWM:")[1].split()[0]) * 1024 / MIB
    return {
        "duration_s": duration_s,
        "real_time": duration_s / (time.process_time() - start_s),
        "peak_mib": peak_mib,
    }


if __name__ == "__main__":
    main()
