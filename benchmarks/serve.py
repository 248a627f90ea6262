"""What the server is worth, in one run, over HTTP: many at once, a clip asked about again, a crowd.

    python benchmarks/serve.py [--model valley-mini] [--streams 8] [--new-tokens 128]
                               [--clients 200] [--requests 2000] [--json]
    python benchmarks/serve.py --engine vllm [--base-url http://127.0.0.1:8001/v1]

The server is a process of its own. (a) Total tokens a second of streams that come together, beside one after
another through plain `model.generate`, in alternating rounds; the end token is off, so that both make the
same number; frames are decoded beforehand, nothing else is kept. (b) Time to the first token of a question
about a clip that was never seen, and of another question about it. (c) More clients at once than the queue
takes: every one gets an answer or a 429; then many requests, and the memory of the server. `--engine vllm`
adds a row of (a) for `vllm serve` with the same checkpoint, started here or at `--base-url`. Exits with 1
where a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch
from engine import QUESTIONS, Setting, make_clips, one_by_one, open_model

TOGETHER, SECOND, MEMORY = 3.0, 5.0, 1.05
QUEUE_SIZE = 32
CACHE_BYTES = 64 * 2**20  # soon full, so that what grows behind it is a leak
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Answered:
    """How one request went."""

    status: int
    first_s: float = 0.0
    num_tokens: int = 0


@dataclass(frozen=True)
class Target:
    """A server that is measured, and how media are named there."""

    base_url: str
    parts: list[dict[str, Any]]
    more: dict[str, Any]


async def ask(client: httpx.AsyncClient, target: Target, content: list[Any], num_tokens: int) -> Answered:
    """Ask once, streaming."""
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": num_tokens, "stream": True}
    body |= {"stream_options": {"include_usage": True}, "temperature": 0, **target.more}
    started_s, first_s, used = time.perf_counter(), 0.0, 0
    url = f"{target.base_url}/chat/completions"
    async with client.stream("POST", url, json=body) as response:
        if response.status_code != 200:
            await response.aread()
            return Answered(response.status_code)
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                return Answered(500)
            if not first_s and chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                first_s = time.perf_counter() - started_s
            used = (chunk.get("usage") or {}).get("completion_tokens", used)
    return Answered(200, first_s, used)


def all_at_once(target: Target, num_tokens: int) -> float:
    """Ask about every clip at once; give the seconds."""

    async def run() -> list[Answered]:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            asked = (
                ask(client, target, [part, text(QUESTIONS[n % len(QUESTIONS)])], num_tokens)
                for n, part in enumerate(target.parts)
            )
            return await asyncio.gather(*asked)

    started_s = time.perf_counter()
    answers = asyncio.run(run())
    took_s = time.perf_counter() - started_s
    assert [a.num_tokens for a in answers] == [num_tokens] * len(target.parts), answers
    return took_s


def text(words: str) -> dict[str, str]:
    """Make a part."""
    return {"type": "text", "text": words}


def together(setting: Setting, target: Target) -> dict[str, float]:
    """Take turns with plain generation; the first round warms up."""
    tokens = len(target.parts) * setting.num_new_tokens
    pairs = []
    for _ in range(setting.rounds + 1):
        forget(target, "work")
        pairs.append((one_by_one(setting), all_at_once(target, setting.num_new_tokens)))
    pairs = pairs[1:]
    return {
        "ratio": statistics.median(plain / ours for plain, ours in pairs),
        "before": tokens / statistics.median(plain for plain, _ in pairs),
        "after": tokens / statistics.median(ours for _, ours in pairs),
        "target": TOGETHER,
    }


def forget(target: Target, what: str) -> None:
    """Let our server drop what it kept."""
    if "ignore_eos" not in target.more:
        httpx.post(f"{target.base_url[:-3]}/forget/{what}").raise_for_status()


def second_question(target: Target, rounds: int) -> dict[str, float]:
    """Ask twice about a clip that was never seen."""

    async def run() -> list[tuple[float, float]]:
        pairs = []
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            for _ in range(rounds + 1):
                forget(target, "everything")
                asked = [
                    (await ask(client, target, [target.parts[0], text(q)], 8)).first_s for q in QUESTIONS[:2]
                ]
                pairs.append((asked[0], asked[1]))
        return pairs[1:]

    pairs = asyncio.run(run())
    return {
        "ratio": statistics.median(first / second for first, second in pairs),
        "before": statistics.median(first for first, _ in pairs),
        "after": statistics.median(second for _, second in pairs),
        "target": SECOND,
    }


def crowd(target: Target, num_clients: int) -> dict[str, Any]:
    """Ask with many clients at once; give how many had which status."""

    async def one(client: httpx.AsyncClient, number: int) -> int:
        content = [target.parts[number % len(target.parts)], text(QUESTIONS[number % len(QUESTIONS)])]
        try:
            return (await ask(client, target, content, 16)).status
        except httpx.HTTPError:
            return 0

    async def run() -> list[int]:
        limits = httpx.Limits(max_connections=num_clients)
        async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits) as client:
            return await asyncio.gather(*(one(client, n) for n in range(num_clients)))

    started_s = time.perf_counter()
    statuses = Counter(asyncio.run(run()))
    return {
        "answered": statuses[200],
        "refused": statuses[429],
        "other": num_clients - statuses[200] - statuses[429],
        "took_s": time.perf_counter() - started_s,
    }


def memory(target: Target, num_requests: int) -> dict[str, float]:
    """Ask many times; give the server's memory over the second quarter, over the last, and their ratio."""
    held: list[float] = []
    statuses: Counter[int] = Counter()

    async def worker(client: httpx.AsyncClient, numbers: Iterator[int]) -> None:
        for number in numbers:
            content: list[Any] = [text(f"{QUESTIONS[number % len(QUESTIONS)]} ({number})")]
            if number % 2:
                content.insert(0, target.parts[number // 2 % len(target.parts)])
            statuses[(await ask(client, target, content, 8)).status] += 1
            if number % 20 == 0:
                held.append(resident_bytes((await client.get(f"{target.base_url[:-3]}/metrics")).text))

    async def run() -> None:
        numbers = iter(range(num_requests))
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            await asyncio.gather(*(worker(client, numbers) for _ in range(16)))

    started_s = time.perf_counter()
    asyncio.run(run())
    quarter = len(held) // 4
    before, after = statistics.median(held[quarter : 2 * quarter]), statistics.median(held[-quarter:])
    return {
        "ratio": after / before,
        "before": before / 2**20,
        "after": after / 2**20,
        "target": MEMORY,
        "answered": statuses[200],
        "took_s": time.perf_counter() - started_s,
    }


def resident_bytes(metrics: str) -> float:
    """Read the memory of the server out of its metrics."""
    (line,) = [m for m in metrics.splitlines() if m.startswith("process_resident_memory_bytes ")]
    return float(line.split()[1])


@contextmanager
def our_server(model: str, clips: list[Path]) -> Iterator[Target]:
    """Run our server in a process of its own, with the clips uploaded and decoded."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", "--model", model], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        until_ready(f"{url}/health/ready", process)
        parts = []
        for clip in clips:
            with clip.open("rb") as file:
                made = httpx.post(f"{url}/v1/files", files={"file": file}, timeout=TIMEOUT_S).json()
            parts.append({"type": "video_url", "video_url": {"url": made["id"]}})
        yield Target(f"{url}/v1", parts, {})
    finally:
        process.terminate()
        process.wait()


def until_ready(url: str, process: subprocess.Popen[str] | None) -> None:
    """Wait for a server."""
    end_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end_s and (process is None or process.poll() is None):
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.ConnectError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"no server is ready at {url}")


def serve(model: str) -> None:
    """Be the server: its answers never end by themselves, and it forgets when it is told to."""
    from starlette.requests import Request
    from starlette.responses import Response

    from valley.inference.backends.transformers import TransformersBackend
    from valley.serving.app import create_app
    from valley.serving.limits import ServeSettings
    from valley.serving.media import MediaGate, MediaSettings
    from valley.serving.running import Running

    made = open_model(model, large_llm=False)
    backend = TransformersBackend(made.model, made.processor, name=model, cache_bytes=CACHE_BYTES)
    backend._stop_ids = frozenset()
    settings = ServeSettings(port=0, queue_size=QUEUE_SIZE)

    async def forget(request: Request) -> Response:
        if request.path_params["what"] == "everything":
            backend.forget()
        else:
            backend._cache.clear("features", "prefixes")
        return Response()

    with tempfile.TemporaryDirectory() as spool:
        app = create_app(backend, settings, media=MediaGate(MediaSettings(), Path(spool)))
        app.router.add_route("/forget/{what}", forget, methods=["POST"])
        running = Running(app, settings)
        print(running.address, flush=True)
        running.run()


@contextmanager
def vllm_server(base_url: str | None, model: str, clips: list[Path]) -> Iterator[Target]:
    """Take vLLM at an address, or start it; media are sent with each question, for it keeps no files."""
    parts = [
        {
            "type": "video_url",
            "video_url": {"url": f"data:video/mp4;base64,{base64.b64encode(c.read_bytes()).decode()}"},
        }
        for c in clips
    ]
    process = None
    if base_url is None:
        command = shutil.which("vllm")
        if command is None:
            raise SystemExit("--engine vllm wants vllm installed, or --base-url")
        from valley.inference.resolving import resolve

        process = subprocess.Popen([command, "serve", resolve(model).location, "--port", "8001"], text=True)
        base_url = "http://127.0.0.1:8001/v1"
    try:
        until_ready(f"{base_url[:-3]}/health", process)
        name = httpx.get(f"{base_url}/models").json()["data"][0]["id"]
        yield Target(base_url, parts, {"model": name, "ignore_eos": True})
    finally:
        if process is not None:
            process.terminate()
            process.wait()


def measure(options: argparse.Namespace, clips: list[Path]) -> dict[str, dict[str, Any]]:
    """Make the rows of the table."""
    plain = open_model(options.model, large_llm=False)
    setting = Setting(plain, clips, options.new_tokens, options.rounds)
    rows: dict[str, dict[str, Any]] = {}
    with our_server(options.model, clips) as ours:
        all_at_once(ours, 2)  # decodes the clips
        rows["together"] = together(setting, ours)
        rows["second"] = second_question(ours, 2 * options.rounds)
        rows["crowd"] = crowd(ours, options.clients)
        rows["memory"] = memory(ours, options.requests)
    if options.engine == "vllm":
        with vllm_server(options.base_url, options.model, clips) as other:
            rows["vllm"] = together(setting, other)
    plain.close()
    return rows


def missed(rows: dict[str, dict[str, Any]], num_requests: int) -> list[str]:
    """Name the bars that were missed."""
    low = [name for name in ("together", "second") if rows[name]["ratio"] < rows[name]["target"]]
    lost = ["crowd"] if rows["crowd"]["other"] or not rows["crowd"]["answered"] else []
    grown = rows["memory"]["ratio"] > MEMORY or rows["memory"]["answered"] != num_requests
    return low + lost + (["memory"] if grown else [])


def table(rows: dict[str, dict[str, Any]], options: argparse.Namespace) -> str:
    """Write the ratios in words."""
    lines = [f"{options.model}, {torch.get_num_threads()} threads, torch {torch.__version__}"]
    words = {
        "together": (
            f"{options.streams} streams together : plain generate, tokens a second",
            "{:.0f} : {:.0f}",
        ),
        "second": ("first token: a clip never seen : asked about again", "{:.3f} s : {:.3f} s"),
        "memory": (f"memory over {options.requests} requests, second quarter : last", "{:.0f} : {:.0f} MiB"),
        "vllm": (f"vLLM: {options.streams} streams together : plain generate", "{:.0f} : {:.0f}"),
    }
    for name, row in rows.items():
        if name == "crowd":
            counts = f"{row['answered']} answers, {row['refused']} times 429, {row['other']} other"
            lines.append(f"  {options.clients} clients at once, queue of {QUEUE_SIZE}: {counts}")
            continue
        what, form = words[name]
        figures = form.format(row["before"], row["after"])
        bar = "at most" if name == "memory" else "at least"
        lines.append(f"  {what:68} {row['ratio']:6.2f}   ({figures}; {bar} {row['target']})")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="valley-mini")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--engine", choices=("valley", "vllm"), default="valley")
    parser.add_argument("--base-url", help="of a vLLM that runs already")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        serve(options.model)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options, make_clips(Path(folder), options.streams))
    print(json.dumps(rows, indent=2) if options.json else table(rows, options))
    bars = missed(rows, options.requests)
    for name in bars:
        print(f"missed: {name}", file=sys.stderr)
    return 1 if bars else 0


if __name__ == "__main__":
    sys.exit(main())
