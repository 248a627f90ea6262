"""Writing conversations over HTTP: what comes through faults and what it costs, the rate, and the gateway.

    python benchmarks/instruct_run.py                  all four
    python benchmarks/instruct_run.py --only gateway   one of lies, faults, rate, gateway
    python benchmarks/instruct_run.py --json

lies: a writer changes one fact in a fifth of its conversations about scenes whose truth is known; what share
of these the checks refuse, by kind, and what share of the others.
faults: a run about scenes whose truth is known, against a server with the faults of the study (10 % 429, 5 %
500, 3 % reset, 10 % malformed, 4 % truncated, 3 % refusal, 3 % wrong schema). A row is valid where its reply
has the form that was asked for; what the checks refuse of its contents is said beside it.
rate: four processes ask through one gateway; the server has a bucket of the allowed rate.
gateway: a server that answers at once with a fixed body, and a client that only writes and reads bytes, so
that what is measured is the gateway: CPU of its process a call, and durable calls a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from instruct.cards import LANGUAGES, write_corpus
from instruct.fake_writer import FAULTS, LIES, FakeWriter, Running, known_truths
from instruct.lying import TRUE, judge
from valley.instruct.gateway.client import GatewayClient
from valley.instruct.gateway.server import FILE_NAME, GatewaySettings
from valley.instruct.gateway.starting import Address, ask, ensure, find, stop
from valley.instruct.recipe import InstructSettings, WriterSettings
from valley.instruct.run import instruct
from valley.instruct.task import TASKS

TICKS = os.sysconf("SC_CLK_TCK")
FORM = ("reply", "server")
NUM_WORKERS = 4
CAPTION = "A small red circle moves to the right and hits a big blue square. "


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=tuple(MEASURES), default=tuple(MEASURES))
    parser.add_argument("--clips", type=int, default=150, help="of the run under faults")
    parser.add_argument("--rpm", type=float, default=1800.0, help="the allowed rate")
    parser.add_argument("--requests", type=int, default=600, help="at that rate")
    parser.add_argument("--calls", type=int, default=3000, help="through the gateway at once")
    parser.add_argument("--concurrency", type=int, default=64, help="of these")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    options = parser.parse_args()
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            found = MEASURES[name](Path(folder), options)
        if options.json:
            print(json.dumps({"measure": name, **found}))
        else:
            print(f"{name}:")
            for label, value in found.items():
                print(f"  {label:34} {value}")


def with_lies(folder: Path, options: argparse.Namespace) -> Mapping[str, Any]:
    """Check conversations in three languages about scenes of their own; nothing is sent."""
    del folder
    counts = judge(2 * options.clips, lies=0.2, first=1000)
    found: dict[str, Any] = {"conversations": counts.all[TRUE] + sum(counts.all[kind] for kind in LIES)}
    for kind in LIES:
        found[f"refused, {kind}"] = f"{counts.share(kind):.3f} of {counts.all[kind]}"
    for tag in LANGUAGES:
        found[f"refused, lies in {tag}"] = f"{counts.share(f'lie {tag}'):.3f} of {counts.all[f'lie {tag}']}"
        found[f"refused, true in {tag}"] = (
            f"{counts.share(f'{TRUE} {tag}'):.3f} of {counts.all[f'{TRUE} {tag}']}"
        )
    return found


def under_faults(folder: Path, options: argparse.Namespace) -> Mapping[str, Any]:
    """Write conversations of all tasks in three languages."""
    write_corpus(folder / "corpus", range(options.clips))
    running = Running(FakeWriter(known_truths(options.clips), faults=FAULTS, seed=1))
    with running as writer:
        settings = InstructSettings(
            corpus=folder / "corpus",
            out=folder / "c.jsonl",
            writer=WriterSettings(base_url=running.base_url, model="writer", seed=1, concurrency=32),
            tasks=dict.fromkeys(TASKS.names(), 1.0),
            languages=LANGUAGES,
        )
        began_s = time.monotonic()
        result = instruct(settings)
        took_s = time.monotonic() - began_s
        again = instruct(settings)
        _stop(settings.store)
    bad_form = sum(n for reason, n in result.reasons.items() if reason.split(":")[0] in FORM)
    billed = sum(writer.books.billed.values())
    lines = sum(1 for path in (settings.out, settings.quarantine) for _ in path.open("rb"))
    return {
        "rows": result.num_wanted,
        "share of valid rows": round(1 - bad_form / result.num_wanted, 4),
        "share accepted by all checks": round(result.num_accepted / result.num_wanted, 4),
        "rows written or in quarantine": lines,
        "billed calls a row": round(billed / result.num_wanted, 3),
        "billed by a second run": again.num_billed,
        "given up": dict(result.reasons.most_common()),
        "faults": dict(sorted(writer.books.faults.items())),
        "seconds": round(took_s, 1),
    }


def at_a_rate(folder: Path, options: argparse.Namespace) -> Mapping[str, Any]:
    """Ask from four processes, as fast as the gateway lets them; then without telling it the rate."""
    found: dict[str, Any] = {"allowed a minute": options.rpm}
    for label, told_rpm in (("", options.rpm), (", rate not told", None)):
        running = Running(FakeWriter(known_truths(8), requests_per_minute=options.rpm))
        with running as writer:
            store = folder / f"calls{len(found)}"
            settings = GatewaySettings(
                store=store,
                upstream=running.base_url,
                requests_per_minute=told_rpm,
                concurrency=32,
                idle_s=60.0,
            )
            address = ensure(settings)
            share = options.requests // NUM_WORKERS
            spawn = multiprocessing.get_context("spawn")
            workers = [
                spawn.Process(target=_ask_many, args=(address, n * share, (n + 1) * share))
                for n in range(NUM_WORKERS)
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            _stop(store)
        times_s, refused = writer.books.times_s, writer.books.faults["rate"]
        reached = 60 * (len(times_s) - refused - 1) / (times_s[-1] - times_s[0])
        found[f"share of it reached{label}"] = round(reached / options.rpm, 3)
        found[f"share of 429{label}"] = round(refused / len(times_s), 4)
    return found


def _ask_many(address: Address, first: int, last: int) -> None:
    """Ask for conversations `first` to `last`; a process of its own."""
    captions = list(known_truths(8))

    async def ask_all() -> None:
        async with GatewayClient(lambda: address, concurrency=16) as client:
            gate = asyncio.Semaphore(16)

            async def one(number: int) -> None:
                async with gate:
                    await client.complete(_body(captions[number % len(captions)], number))

            await asyncio.gather(*(one(number) for number in range(first, last)))

    asyncio.run(ask_all())


def _body(caption: str, number: int) -> dict[str, Any]:
    system = "Write every question and answer in English (en).\nTask: one turn. A short caption."
    card = f"The video lasts 3.0 seconds.\nFacts:\nF1 [caption, en] {caption}\n({number})"
    messages = [{"role": "system", "content": system}, {"role": "user", "content": card}]
    return {"model": "writer", "messages": messages, "max_tokens": 200}


def through_the_gateway(folder: Path, options: argparse.Namespace) -> Mapping[str, Any]:
    """Send calls through it that cost nothing but the gateway, and then the same from its store."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    server = spawn.Process(target=_serve_at_once, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    found: dict[str, Any] = {"calls": options.calls, "concurrency": options.concurrency}
    try:
        settings = GatewaySettings(
            store=folder / "calls",
            upstream=f"http://127.0.0.1:{port}/v1",
            concurrency=options.concurrency,
            idle_s=60.0,
        )
        address = ensure(settings)
        pid = json.loads((settings.store / FILE_NAME).read_text())["pid"]
        asyncio.run(_load(address, range(-200, 0), options.concurrency))
        for label in ("", " from the store"):
            before_s, began_s, server_s = _cpu_s(pid), time.monotonic(), _cpu_s(server.pid)
            asyncio.run(_load(address, range(options.calls), options.concurrency))
            took_s = time.monotonic() - began_s
            found[f"CPU ms a call{label}"] = round(1000 * (_cpu_s(pid) - before_s) / options.calls, 3)
            found[f"calls a second{label}"] = round(options.calls / took_s)
            if not label:
                found["CPU ms a call of the server"] = round(
                    1000 * (_cpu_s(server.pid) - server_s) / options.calls, 3
                )
        stats = ask(address, "GET", "/stats")
        assert stats is not None
        assert stats["billed"] == options.calls + 200, stats
        found["load of this machine"] = round(os.getloadavg()[0], 1)
        _stop(settings.store)
    finally:
        server.terminate()
    return found


async def _load(address: Address, numbers: range, concurrency: int) -> None:
    """Send requests over so many connections, as bytes; each answer must be a reply."""
    port = int(address.root.rpartition(":")[2])
    waiting = iter(numbers)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in waiting:
            body = json.dumps(
                _body("A small red circle moves to the right and hits a big blue square. " * 12, number)
            ).encode()
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n"
                b"authorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s"
                % (address.token.encode(), len(body), body)
            )
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(size)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(connection() for _ in range(concurrency)))


def _serve_at_once(pipe: Any) -> None:  # noqa: ANN401
    """Answer every request with the same reply; a process of its own."""
    content = json.dumps({"turns": [{"question": "What?", "answer": "That. " * 60, "facts": ["F1"]}]})
    reply = {
        "id": "x",
        "object": "chat.completion",
        "model": "writer",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 400, "completion_tokens": 100, "total_tokens": 500},
    }
    body = json.dumps(reply).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )

    class Answers(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.buffer = b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if found:
                size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                if len(rest) >= size:
                    self.buffer = rest[size:]
                    self.transport.write(answer)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def _cpu_s(pid: int | None) -> float:
    """Give the CPU seconds that a process has taken, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _stop(store: Path) -> None:
    found = find(store)
    if found is not None:
        stop(store, found)


MEASURES = {"lies": with_lies, "faults": under_faults, "rate": at_a_rate, "gateway": through_the_gateway}

if __name__ == "__main__":
    main()
