"""What a large collection takes, from measured rates: bytes, core-days, days on so many cores, cost.

    python benchmarks/collect_scale.py                              ten million clips of 15 s
    python benchmarks/collect_scale.py --clips 1e6 --seconds 8 --cores 64 --look-times 14
    python benchmarks/collect_scale.py --export 1000                measure exports, on so many made-up media
    python benchmarks/collect_scale.py --fetch 300                  measure fetching them from this machine
    python benchmarks/collect_scale.py --look a.mp4 b.mp4           measure looking at files

Each rate is an option whose default is what was measured on one core of the machine named in docs/scale.md;
the last three commands, and benchmarks/collect_captions.py, measure them on yours.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from valley.collection.downloading.limits import FetchLimits
from valley.collection.exporting import FORMATS, export
from valley.collection.fetching import Fetcher, FetchRequest
from valley.collection.report import write_report
from valley.manifest import clip_id, split_of, text_id, write_table
from valley.video.decoding import probe
from valley.video.looking import look

DAY_S = 86_400.0
MEDIUM_BYTES = 2**20


@dataclass(frozen=True)
class Step:
    """A part of the work: its core-seconds, or its seconds on the wire, and what it leaves on disk."""

    name: str
    core_s: float
    wire_s: float
    size_bytes: float


def steps(options: argparse.Namespace) -> Iterator[Step]:
    """Reckon every step of a collection."""
    clips = options.clips
    media_bytes = clips * options.seconds * options.kbit_per_s * 1000 / 8
    wire_s = media_bytes * 8 / (options.wire_mbit_per_s * 1e6)
    yield Step("fetch", media_bytes / (options.fetch_mb_per_s * 1e6), wire_s, media_bytes)
    yield Step("hash", media_bytes / (options.hash_mb_per_s * 1e6), 0.0, 0.0)
    yield Step("look", clips * options.seconds / options.look_times, 0.0, clips * options.look_bytes)
    yield Step("captions", clips * options.captions / options.captions_per_s, 0.0, 0.0)
    yield Step("manifest", clips / options.manifest_per_s, 0.0, clips * options.manifest_bytes)
    yield Step("shards", media_bytes / (options.shard_mb_per_s * 1e6), 0.0, media_bytes)


def show(options: argparse.Namespace) -> None:
    """Print the table."""
    found = list(steps(options))
    what = f"{options.clips:,.0f} clips of {options.seconds:g} s"
    print(f"{what}, {options.cores} cores at {options.euros:g} EUR an hour each")
    print(f"{'step':<10}{'core-days':>12}{'days':>9}{'GB written':>13}{'EUR':>10}")
    for step in found:
        print(_line(step.name, step.core_s, step.wire_s, step.size_bytes, options))
    core_s, wire_s, size = (sum(getattr(s, n) for s in found) for n in ("core_s", "wire_s", "size_bytes"))
    print(_line("all", core_s, wire_s, size, options))
    print("days: of the cores; where the wire takes longer, of the wire")
    kept = max(s.size_bytes for s in found) / 1e12
    print(f"to keep the media: {kept:,.1f} TB, {kept * options.euros_per_tb_month:,.0f} EUR a month")


def _line(name: str, core_s: float, wire_s: float, size_bytes: float, options: argparse.Namespace) -> str:
    days = max(core_s / options.cores, wire_s) / DAY_S
    cost = core_s / 3600 * options.euros
    return f"{name:<10}{core_s / DAY_S:>12,.1f}{days:>9.2f}{size_bytes / 1e9:>13,.0f}{cost:>10,.0f}"


def measure_exports(num_media: int) -> None:
    """Write made-up media and tables, then the exports and the report; print rates in CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        corpus = root / "corpus"
        _make(corpus, num_media)
        for form in FORMATS:
            wall, cpu = time.perf_counter(), time.process_time()
            count = export(corpus, root / form, to=form)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            rate = (
                f"{count / cpu:,.0f} conversations" if form != "webdataset" else f"{num_media / cpu:,.0f} MB"
            )
            print(f"{form:<11} {rate} per CPU second; {cpu:.2f} s of CPU, {wall:.2f} s")
        cpu = time.process_time()
        write_report(corpus, root / "report.html")
        print(f"{'report':<11} {time.process_time() - cpu:.2f} s of CPU")


def measure_fetching(num_media: int) -> None:
    """Fetch made-up media from a server on this machine; print the rate in CPU seconds of the fetcher."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        served = root / "served"
        served.mkdir()
        for number in range(num_media):
            data = _MP4_HEAD + number.to_bytes(8, "little") + os.urandom(64) * (MEDIUM_BYTES // 64)
            (served / f"{number}.mp4").write_bytes(data)
        with _server(served) as port:
            wanted = [FetchRequest(str(n), f"http://127.0.0.1:{port}/{n}.mp4") for n in range(num_media)]
            limits = FetchLimits(
                allow_private_addresses=True, num_connections_per_host=16, most_starts_per_s=1000
            )
            wall, cpu = time.perf_counter(), time.process_time()
            outcomes = list(Fetcher(root / "corpus", limits).fetch_all(wanted))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    faults = [outcome for outcome in outcomes if outcome.record is None]
    if faults:
        raise SystemExit(f"{len(faults)} of {num_media} were not fetched: {faults[0]}")
    size_mb = num_media * MEDIUM_BYTES / 1e6
    rates = f"{size_mb / cpu:,.0f} MB, {num_media / cpu:,.0f} files"
    print(f"{num_media} files of 1 MiB: {rates} per CPU second; {wall:.1f} s")


def measure_looking(paths: list[Path]) -> None:
    """Probe and look at files; print how many times faster than they play, by CPU seconds."""
    played_s = spent_s = 0.0
    for path in paths:
        cpu = time.process_time()
        info = probe(path)
        look(path)
        cpu = time.process_time() - cpu
        played_s, spent_s = played_s + info.duration_s, spent_s + cpu
        size = f"{info.width_px} x {info.height_px}, {info.fps:.0f} fps"
        rates = f"{info.duration_s / cpu:.0f} times real time, {info.num_frames / cpu:,.0f} frames"
        print(f"{path.name}: {size}: {rates} per CPU second")
    print(f"all: {played_s / spent_s:.0f} times real time")


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """Serve a folder on a free port, from a process of its own."""
    command = [sys.executable, "-c", _SERVE, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


_MP4_HEAD = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
_SERVE = """
import functools, http.server, sys
class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=sys.argv[1]))
print(server.server_port, flush=True)
server.serve_forever()
"""


def _make(corpus: Path, num_media: int) -> None:
    tables: dict[str, list[dict[str, Any]]] = {"media": [], "clip": [], "text": [], "quarantine": []}
    for number in range(num_media):
        data = number.to_bytes(8, "little") + os.urandom(64) * ((MEDIUM_BYTES - 8) // 64)
        media_id = hashlib.sha256(data).hexdigest()
        path = corpus / "blobs" / media_id[:2] / f"{media_id}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        medium = {
            "kind": "video",
            "uri": str(path.relative_to(corpus)),
            "size_bytes": len(data),
            "duration_s": 15.0,
        }
        said = {
            "source": "urls",
            "source_item_id": str(number),
            "licence": "CC0-1.0",
            "licence_evidence": "made up",
        }
        when = {"collected_at": datetime(2026, 1, 1, tzinfo=timezone.utc), "tool_versions": "{}"}
        tables["media"].append({"media_id": media_id, **medium, **said, **when})
        times = {"start_us": 0, "end_us": 15_000_000}
        clip = {"clip_id": clip_id(media_id, 0, 15_000_000), "media_id": media_id, **times}
        tables["clip"].append({**clip, "level": "stretch", "split": split_of(media_id)})
        for language, words in (("en", "A horse grazes in a field."), ("zh", "一匹马在草地上吃草。")):
            text = {
                "text_id": text_id(clip["clip_id"], "caption", language, words),
                "text": words,
                "kept": True,
            }
            of = {"language": language, "kind": "caption", "origin": "human"}
            tables["text"].append({**clip, **text, **of, "source": "urls", "source_item_id": str(number)})
    for table, rows in tables.items():
        write_table(corpus, table, rows)


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--clips", type=float, default=10e6)
    add("--seconds", type=float, default=15.0, help="mean length of a clip")
    add("--kbit-per-s", type=float, default=1000.0, help="mean rate of the files; 480p has about 1000")
    add("--cores", type=int, default=256)
    add("--euros", type=float, default=0.03, help="price of a core-hour")
    add("--euros-per-tb-month", type=float, default=20.0, help="price of keeping a terabyte")
    add("--wire-mbit-per-s", type=float, default=10_000.0, help="of all machines together")
    add("--captions", type=float, default=1.0, help="captions a clip")
    add("--fetch-mb-per-s", type=float, default=300.0, help="a core fetches, hashes and writes")
    add("--hash-mb-per-s", type=float, default=1800.0, help="SHA-256 where the processor knows it")
    add("--look-times", type=float, default=30.0, help="times real time that a core looks at 480p")
    add("--look-bytes", type=float, default=1500.0, help="a look's line in the store")
    add("--captions-per-s", type=float, default=2000.0, help="a core filters, tags and balances")
    add("--manifest-per-s", type=float, default=2000.0, help="media a core puts together")
    add("--manifest-bytes", type=float, default=500.0)
    add("--shard-mb-per-s", type=float, default=300.0, help="a core reads, checks and writes")
    add("--look", type=Path, nargs="+", metavar="FILE", help="measure looking at files instead")
    add("--fetch", type=int, metavar="N", help="measure fetching N media of 1 MiB instead")
    add("--export", type=int, metavar="N", help="measure the exports on N media of 1 MiB instead")
    options = parser.parse_args()
    if options.export:
        measure_exports(options.export)
    elif options.look:
        measure_looking(options.look)
    elif options.fetch:
        measure_fetching(options.fetch)
    else:
        show(options)


if __name__ == "__main__":
    main()
