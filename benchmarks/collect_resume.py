"""How soon a half-done collection goes on: rows that need no media, half of them done; the first new job.

    python benchmarks/collect_resume.py --rows 1000000

Each kind of row is measured in a process of its own, from its start: urls (half of them fetched and looked
at), and files (half of them hashed and looked at; they are there, and empty).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from valley.collection.config import CollectConfig
from valley.collection.corpus import FETCH_VERSION, HASH_VERSION, LOOK_VERSION, Shard
from valley.collection.feeding import MOST_WAITING
from valley.collection.pipeline import Running, collect
from valley.collection.remembered_places import Place, RememberedPlaces
from valley.journal import encode_line

URL = "https://clips.example/videos"


def main() -> None:
    """Measure, and print one line a kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=["urls", "files"], action="append")
    parser.add_argument("--resume", nargs=3, metavar=("KIND", "FOLDER", "STARTED"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.resume:
        resume(asked.resume[0], Path(asked.resume[1]), float(asked.resume[2]))
        return
    for kind in asked.kind or ["urls", "files"]:
        with tempfile.TemporaryDirectory() as folder:
            prepare(kind, Path(folder), asked.rows)
            command = [sys.executable, __file__, "--resume", kind, folder, str(time.time())]
            print(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True
            )


def prepare(kind: str, folder: Path, num_rows: int) -> None:
    """Write the annotations, and the stores of a collection that was killed half-way."""
    half, stages = num_rows // 2, folder / "corpus" / "stages"
    places = [_place(kind, n) for n in range(num_rows)]
    (folder / "table.csv").write_text(
        ("url" if kind == "urls" else "path")
        + ",caption\n"
        + "".join(f"{place},A dog number {n} runs over a field.\n" for n, place in enumerate(places))
    )
    config = settings(kind, folder)
    (folder / "corpus").mkdir()
    record = {
        "started_at": "2026-01-01T00:00:00+00:00",
        "version": "0",
        "asked_for": config.model_dump(mode="json"),
    }
    (folder / "corpus" / "collection.json").write_text(json.dumps(record))
    if kind == "files":
        (folder / "media").mkdir()
        for place in places:
            (folder / place).touch()
    with RememberedPlaces(folder / "corpus", config.anchored(), Shard()) as remembered:
        for place in places[: half + MOST_WAITING]:  # so far the killed run had read
            is_remote = kind == "urls"
            remembered.add(Place(place if is_remote else str(folder / place), is_remote))
    first = f"fetch@{FETCH_VERSION}" if kind == "urls" else f"hash@{HASH_VERSION}"
    _write(stages / first, (_first_line(kind, folder / places[n], places[n], n) for n in range(half)))
    _write(stages / f"look@{LOOK_VERSION}", (encode_line(_sha256(n), _found(n)) for n in range(half)))


def settings(kind: str, folder: Path) -> CollectConfig:
    """Ask for the rows."""
    source = {"source": "urls" if kind == "urls" else "folder", "path": folder / "table.csv"}
    return CollectConfig.model_validate({"sources": [source], "keep_free_mb": 0})


def resume(kind: str, folder: Path, started_s: float) -> None:
    """Go on until the first new job, and say when that was."""
    config = settings(kind, folder)
    running = Running(
        _FirstJob(started_s, kind), make_fetcher=lambda corpus, limits: _FirstJob(started_s, kind)
    )
    collect(config, folder / "corpus", running)


class _FirstJob:
    """An executor and a fetcher which, once they are given something to do, say when and end the process."""

    name = "first"

    def __init__(self, started_s: float, kind: str) -> None:
        self._started_s, self._kind = started_s, kind

    def configured(self, *, address: str = "", max_memory_bytes: int = 0) -> _FirstJob:
        return self

    def run(self, task: str, jobs: Iterator, *, num_workers: int) -> Iterator:
        next(jobs)
        self._end()
        yield

    def fetch_all(self, requests: Iterator) -> Iterator:
        next(requests)
        self._end()
        yield

    def stop(self) -> None:
        return None

    def _end(self) -> None:
        seconds, cpu_s = time.time() - self._started_s, sum(os.times()[:2])
        peak = next(
            line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
        ).split()[1]
        print(
            f"{self._kind}: first new job after {seconds:.1f} s ({cpu_s:.1f} s of CPU), "
            f"{int(peak) / 1e6:.2f} GB",
            flush=True,
        )
        os._exit(0)


def _place(kind: str, n: int) -> str:
    return f"{URL}/{n:08d}.mp4" if kind == "urls" else f"media/{n:08d}.mp4"


def _sha256(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


def _first_line(kind: str, path: Path, place: str, n: int) -> bytes:
    sha256 = _sha256(n)
    if kind == "urls":
        return encode_line(
            place, {"sha256": sha256, "path": f"blobs/{sha256[:2]}/{sha256}.mp4", "size_bytes": 4711}
        )
    stat = path.stat()
    key = f"{path}|{stat.st_size}|{stat.st_mtime_ns}"
    return encode_line(key, {"sha256": sha256, "size_bytes": stat.st_size})


def _found(n: int) -> dict:
    shots = [
        {"start_s": 2.5 * i, "end_s": 2.5 * (i + 1), "transition": "cut", "score": 0.97} for i in range(4)
    ]
    hashes = [int(_sha256(n + i)[:16], 16) for i in range(20)]
    numbers = dict.fromkeys(("black_ratio", "static_ratio", "sharpness", "brightness", "motion"), 0.123456789)
    probe = {"container": "mov,mp4,m4a,3gp,3g2,mj2", "width_px": 640, "height_px": 360, "duration_s": 10.0}
    return {
        "kind": "video",
        "probe": probe,
        "look": {"shots": shots, "hashes": hashes, **numbers},
        "tools": {},
    }


def _write(folder: Path, lines: Iterator[bytes]) -> None:
    folder.mkdir(parents=True)
    with (folder / "00000000000000000001-here-1-0.jsonl").open("wb") as segment:
        segment.writelines(lines)


if __name__ == "__main__":
    main()
