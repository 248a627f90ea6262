"""Fetch media from a web server on this machine, and say what one costs; beside it two bare loops.

    python benchmarks/collect_fetching.py                        small and large media
    python benchmarks/collect_fetching.py --small 5000 --large 0

The server is a process of its own and is not counted. `urllib` and `httpx` are loops that write each body to
a file: no hash, no checks of addresses, nothing on the disk for certain, and nothing left to go on with.
"""

from __future__ import annotations

import argparse
import http.server
import json
import multiprocessing
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from valley.collection.fetching import Fetcher, FetchLimits, FetchRequest

NUM_CONNECTIONS = 8
SMALL_BYTES = 50_000
LARGE_BYTES = 25_000_000
HEAD = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /<size>/<number> with so many bytes, which differ from number to number."""

    protocol_version = "HTTP/1.1"
    block = bytes(2**20)

    def do_GET(self) -> None:
        """Send."""
        size, number = (int(part) for part in self.path.split("/")[1:3])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.send_header("ETag", f'"{number}"')
        self.end_headers()
        start = HEAD + number.to_bytes(8, "little")
        self.wfile.write(start)
        left = size - len(start)
        while left:
            self.wfile.write(self.block[:left])
            left -= min(left, len(self.block))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Takes as many connections at once as come."""

    request_queue_size = 128
    daemon_threads = True


def serve(port: Any) -> None:  # noqa: ANN401
    """Serve until killed; the port is sent to the other side."""
    server = Server(("127.0.0.1", 0), Handler)
    port.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def served() -> Iterator[str]:
    """Run the server in a process of its own; give its address."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.kill()
        process.join()


def by_fetcher(urls: list[str], folder: Path) -> int:
    """Fetch into a collection."""
    limits = FetchLimits(
        num_connections=NUM_CONNECTIONS,
        num_connections_per_host=NUM_CONNECTIONS,
        most_starts_per_s=1e9,
        allow_private_addresses=True,
    )
    made = list(Fetcher(folder, limits).fetch_all(FetchRequest(url, url) for url in urls))
    return sum(outcome.record["size_bytes"] for outcome in made if outcome.record is not None)


def by_urllib(urls: list[str], folder: Path) -> int:
    """Copy each body to a file, with the standard library."""

    def copy(number: int, url: str) -> int:
        path = folder / str(number)
        with urllib.request.urlopen(url) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
        return path.stat().st_size

    with ThreadPoolExecutor(NUM_CONNECTIONS) as threads:
        return sum(threads.map(copy, range(len(urls)), urls))


def by_httpx(urls: list[str], folder: Path) -> int:
    """Copy each body to a file, with httpx and its kept connections."""
    import httpx

    def copy(number: int, url: str) -> int:
        path = folder / str(number)
        with client.stream("GET", url) as answer, path.open("wb") as file:
            for data in answer.iter_bytes():
                file.write(data)
        return path.stat().st_size

    with httpx.Client(trust_env=False) as client, ThreadPoolExecutor(NUM_CONNECTIONS) as threads:
        return sum(threads.map(copy, range(len(urls)), urls))


WAYS: dict[str, Callable[[list[str], Path], int]] = {
    "valley": by_fetcher,
    "urllib": by_urllib,
    "httpx": by_httpx,
}


def measure(way: str, urls: list[str], size_bytes: int) -> dict[str, float | str | int]:
    """Fetch all by one way, and check that all came."""
    with tempfile.TemporaryDirectory() as folder:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        num_bytes = WAYS[way](urls, Path(folder))
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    if num_bytes != size_bytes * len(urls):
        raise SystemExit(f"{way}: want {size_bytes * len(urls)} bytes, got {num_bytes}")
    return {
        "by": way,
        "media": len(urls),
        "size_bytes": size_bytes,
        "cpu_ms_each": round(1000 * cpu_s / len(urls), 2),
        "mb_per_cpu_s": round(num_bytes / 1e6 / cpu_s, 1),
        "media_per_s": round(len(urls) / wall_s, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", type=int, default=2000, help=f"media of {SMALL_BYTES} bytes")
    parser.add_argument("--large", type=int, default=20, help=f"media of {LARGE_BYTES} bytes")
    options = parser.parse_args()
    with served() as address:
        for size_bytes, num in ((SMALL_BYTES, options.small), (LARGE_BYTES, options.large)):
            urls = [f"{address}/{size_bytes}/{number}" for number in range(num)]
            for way in WAYS if urls else ():
                print(json.dumps(measure(way, urls, size_bytes)))


if __name__ == "__main__":
    main()
