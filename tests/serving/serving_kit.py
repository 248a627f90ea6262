"""A real server in a thread, on a free port, over a small real engine; and clients for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from valley.inference.backend import Backend
from valley.serving.app import create_app
from valley.serving.keys import Keys
from valley.serving.limits import ServeSettings
from valley.serving.media import MediaGate, MediaSettings
from valley.serving.running import Running
from valley.serving.service import Service

DEADLINE_S = 60.0


class Server:
    """A server that runs."""

    def __init__(self, running: Running, service: Service) -> None:
        self.running = running
        self.service = service
        self.url = running.address
        self.base_url = f"{running.address}/v1"

    def post(self, body, **kwargs) -> httpx.Response:
        """Ask once."""
        return httpx.post(f"{self.base_url}/chat/completions", json=body, timeout=DEADLINE_S, **kwargs)

    def metric(self, name: str) -> float:
        """Add up the samples of one name."""
        lines = self.service.metrics.text().decode().splitlines()
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in found)


@contextmanager
def serve(
    backend: object,
    spool: Path,
    *,
    keys: tuple[str, ...] = (),
    media: MediaSettings | None = None,
    page: object = None,
    wait: bool = True,
    **settings,
) -> Iterator[Server]:
    """Run a server as long as the block lasts."""
    chosen = ServeSettings(port=0, **settings)
    spool.mkdir(exist_ok=True)
    gate = MediaGate(media or MediaSettings(), spool)
    app = create_app(backend, chosen, media=gate, keys=Keys(keys), page=page)
    running = Running(app, chosen)
    thread = threading.Thread(target=running.run)
    thread.start()
    server = Server(running, app.state.service)
    try:
        if wait:
            until(lambda: server.service.state in ("ready", "failed"))
        yield server
    finally:
        running.stop()
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "the server did not end"


def until(true, *, deadline_s: float = DEADLINE_S) -> None:
    """Wait until something holds."""
    end_s = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < end_s, "it never came true"
        time.sleep(0.01)


class Scripted:
    """An engine around another: notes what it is asked, and can be held up."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.capabilities = inner.capabilities
        self.asked: list = []
        self.pieces = 0
        self.closed_early = 0
        self.go = threading.Event()
        self.go.set()

    def look(self, medium, params):
        return self._inner.look(medium, params)

    def stream(self, conversation, params) -> Generator:
        self.asked.append((conversation, params))
        ended = False
        try:
            for piece in self._inner.stream(conversation, params):
                assert self.go.wait(DEADLINE_S)
                self.pieces += 1
                yield piece
            ended = True
        finally:
            self.closed_early += not ended

    def identity(self):
        return self._inner.identity()

    def close(self) -> None:
        pass
