"""A real server in a thread, on a free port, over a small real engine; and clients for it."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from valley.conversation import Conversation
from valley.inference.backend import Capabilities, Finish, GenerationParams, Piece, Timing, Usage
from valley.inference.media import MediaReader
from valley.serving.app import create_app
from valley.serving.keys import Keys
from valley.serving.limits import ServeSettings
from valley.serving.media import MediaGate, MediaSettings, Network
from valley.serving.running import Running
from valley.serving.service import Service
from valley.video.sampling import FrameSampling

DEADLINE_S = 60.0
ENDLESS = 10**9


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
    network: Network | None = None,
    wait: bool = True,
    **settings,
) -> Iterator[Server]:
    """Run a server as long as the block lasts."""
    chosen = ServeSettings(port=0, **settings)
    spool.mkdir(exist_ok=True)
    gate = MediaGate(media or MediaSettings(), spool, network=network)
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


class Counting:
    """An engine that counts aloud, "0 1 2 ...", and can be held up; it notes what it is asked."""

    def __init__(self, *, max_concurrency: int = 1, num_words: int = 5, model: str = "counting") -> None:
        self.capabilities = Capabilities(model, ("image", "video"), 1000, max_concurrency=max_concurrency)
        self.num_words = num_words
        self.asked: list[tuple[Conversation, GenerationParams]] = []
        self.running = 0
        self.most_running = 0
        self.num_pieces = 0
        self.num_ended = 0
        self.num_closed_early = 0
        self.is_closed = False
        self.go = threading.Event()
        self.go.set()
        self.failure: Exception | None = None
        self.fails_at = 0
        self._media = MediaReader(FrameSampling(num_frames=4))
        self._lock = threading.Lock()

    def _seen(self, medium, params):
        return self._media.shown(medium, params)

    def look(self, medium, params):
        return self._seen(medium, params).frames

    def stream(self, conversation, params) -> Generator[Piece, None, None]:
        with self._lock:
            self.asked.append((conversation, params))
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        ended = False
        try:
            media = tuple(self._seen(m, params).use for m in conversation.media)
            number = 0
            while number < min(self.num_words, params.max_new_tokens):
                assert self.go.wait(DEADLINE_S)
                if self.failure is not None and number >= self.fails_at:
                    raise self.failure
                if self.num_words == ENDLESS:
                    time.sleep(0.001)  # about as quick as the quickest model
                yield Piece(f"{number} ")
                number += 1
                self.num_pieces += 1
            ended = True
            reason = "stop" if number == self.num_words else "length"
            yield Piece("", Finish(reason, Usage(10, 4, number), Timing(0.0, 0.0, 0.0), media))
        finally:
            with self._lock:
                self.running -= 1
                self.num_ended += ended
                self.num_closed_early += not ended

    def identity(self):
        return {"engine": "counting", "model": self.capabilities.model}

    def close(self) -> None:
        self.is_closed = True


def words(question: str = "How far?", **more) -> dict:
    """Make the body of a request without media."""
    return {"messages": [{"role": "user", "content": question}], **more}


def data_url(path: Path, kind: str = "video/mp4") -> str:
    """Put a file into an address."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def video(url: str, **more) -> dict:
    """Make a part."""
    return {"type": "video_url", "video_url": {"url": url, **more}}


def about(*parts: dict, question: str = "Which way does it move?") -> list[dict]:
    """Make messages with one question about media."""
    return [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}]
