"""Run the same jobs by a bare loop and by each executor: CPU seconds of all processes, start, and wall time.

    python benchmarks/collect_executors.py                        loop, inline, pool
    python benchmarks/collect_executors.py --executor ray pool    also by Ray, on this machine
    python benchmarks/collect_executors.py --work-ms 0 --jobs 20000    what one job costs beside its work
    python benchmarks/collect_executors.py --store 500000         how long the keys of a store take to read

Each executor runs in a process of its own, so that what one imports is not counted for the next. All outcomes
are compared with those of the loop first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from valley.collection.executor import EXECUTORS, Job
from valley.journal import Journal

LOOP = "loop"
BLOCK = bytes(2**16)
TICKS = os.sysconf("SC_CLK_TCK")


def work(*, number: int, num_blocks: int) -> dict[str, Any]:
    """Be busy for as long as so many blocks take to sum up; the task."""
    digest = hashlib.sha256(str(number).encode())
    for _ in range(num_blocks):
        digest.update(BLOCK)
    return {"digest": digest.hexdigest()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--executor", nargs="+", default=[LOOP, "inline", "pool"])
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--work-ms", type=float, default=50.0, help="of a job, about")
    parser.add_argument("--workers", type=int, default=1, help="of pool and ray")
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often each takes its turn; the least counts"
    )
    parser.add_argument("--store", type=int, help="measure a store of so many records instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # an executor, in a process of its own
    parser.add_argument("--blocks", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_one(options.one, options.jobs, options.blocks, options.workers)))
    elif options.store:
        report([measure_store(options.store)], as_json=options.json)
    else:
        num_blocks = round(options.work_ms / 1000 / seconds_a_block())
        names = [LOOP, *(name for name in options.executor if name != LOOP)]
        turns = [
            [measure(name, options.jobs, num_blocks, options.workers) for name in names]
            for _ in range(options.rounds)
        ]
        rows = [min(of_one, key=lambda row: row["cpu_s"]) for of_one in zip(*turns, strict=True)]
        report([compared(row, rows[0]) for row in rows], as_json=options.json)


def seconds_a_block() -> float:
    """Measure the unit of work."""
    started = time.process_time()
    work(number=0, num_blocks=2000)
    return (time.process_time() - started) / 2000


def measure(name: str, num_jobs: int, num_blocks: int, num_workers: int) -> dict[str, Any]:
    """Run one executor in a process of its own."""
    command = [sys.executable, __file__, "--one", name, "--jobs", str(num_jobs), "--blocks", str(num_blocks)]
    done = subprocess.run([*command, "--workers", str(num_workers)], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


def run_one(name: str, num_jobs: int, num_blocks: int, num_workers: int) -> dict[str, Any]:
    """Run all jobs by one executor, and watch this process and all it starts."""
    jobs = [
        Job(str(n), {"number": n, "num_blocks": num_blocks}, cost=float(num_jobs - n))
        for n in range(num_jobs)
    ]
    watch = Watch()
    started = time.perf_counter()
    first_s = None
    records: dict[str, Any] = {}
    if name == LOOP:
        outcomes = ((job.key, work(**job.arguments)) for job in jobs)
    else:
        executor = EXECUTORS.get(name)
        run = executor.run("collect_executors:work", jobs, num_workers=num_workers)
        outcomes = ((outcome.key, outcome.record) for outcome in run)
    for key, record in outcomes:
        first_s = first_s or time.perf_counter() - started
        records[key] = record
    wall_s = time.perf_counter() - started
    cpu_s, memory_mb = watch.stop()
    text = json.dumps(records, sort_keys=True)
    return {
        "executor": name,
        "jobs": len(records),
        "cpu_s": round(cpu_s, 2),
        "first_outcome_s": round(first_s or 0.0, 2),
        "wall_s": round(wall_s, 2),
        "peak_mb": round(memory_mb),
        "records": hashlib.sha256(text.encode()).hexdigest(),
    }


class Watch:
    """Adds up what this process and all that stem from it use, ten times a second, from its start on."""

    def __init__(self) -> None:
        self._cpu_s: dict[tuple[int, str], float] = {}
        self._peak_bytes = 0
        self._look()
        self._before_s = sum(self._cpu_s.values())
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> tuple[float, float]:
        """Give CPU seconds since the beginning, and the most memory at once in MB."""
        self._stopping.set()
        self._thread.join()
        self._look()
        return sum(self._cpu_s.values()) - self._before_s, self._peak_bytes / 2**20

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            self._look()

    def _look(self) -> None:
        """Note each process by its id and start: those that ended keep what they were last seen with."""
        stats = {
            int(p.name): stat for p in Path("/proc").glob("[0-9]*") if (stat := read_stat(p)) is not None
        }
        family, found = {os.getpid()}, True
        while found:
            found = {pid for pid, stat in stats.items() if int(stat[1]) in family} - family
            family |= found
        memory = 0
        for pid in family & stats.keys():
            stat = stats[pid]
            self._cpu_s[pid, stat[19]] = (int(stat[11]) + int(stat[12])) / TICKS
            memory += int(stat[21]) * os.sysconf("SC_PAGE_SIZE")
        self._peak_bytes = max(self._peak_bytes, memory)


def read_stat(process: Path) -> list[str] | None:
    """Read the fields of /proc/PID/stat behind the name; None where the process is gone."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def compared(row: dict[str, Any], loop: dict[str, Any]) -> dict[str, Any]:
    """Add the overhead over the bare loop, once the records are the same."""
    if row["records"] != loop["records"]:
        raise SystemExit(f"{row['executor']}: other records than the loop")
    more_s = row["cpu_s"] - loop["cpu_s"]
    shown = {name: value for name, value in row.items() if name != "records"}
    return shown | {
        "overhead_percent": round(100 * more_s / max(loop["cpu_s"], 0.01), 1),
        "overhead_us_a_job": round(1e6 * more_s / row["jobs"]),
    }


def measure_store(num_records: int) -> dict[str, Any]:
    """Write records of one kilobyte, then open the store anew and read its keys."""
    padding = "x" * 900
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with Journal(Path(folder), "look", 1) as store:
            for number in range(num_records):
                key = hashlib.sha256(str(number).encode()).hexdigest()
                store.append(key, {"number": number, "padding": padding})
        written_s = time.perf_counter() - started
        started, started_cpu = time.perf_counter(), time.process_time()
        with Journal(Path(folder), "look", 1) as store:
            num_keys = len(store.keys())
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    return {
        "records": num_keys,
        "append_per_s": round(num_records / written_s),
        "keys_wall_s": round(wall_s, 2),
        "keys_cpu_s": round(cpu_s, 2),
    }


def report(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print the rows."""
    for row in rows:
        print(json.dumps(row) if as_json else "  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
