"""The state of one server: its engine, loaded or not yet, its media, and whether it is being stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from valley.inference.backend import Backend
from valley.serving.chat import Chat, shutting_down
from valley.serving.errors import RequestError
from valley.serving.identity import Identity
from valley.serving.limits import ServeSettings
from valley.serving.memory import give_back_now_and_then
from valley.serving.metrics import Metrics
from valley.serving.reading import HeldBytes

if TYPE_CHECKING:
    from valley.serving.media import MediaGate

_LOOK_AGAIN_S = 0.02


class Service:
    """What the handlers of requests share."""

    def __init__(self, open_backend: Callable[[], Backend], gate: MediaGate, settings: ServeSettings) -> None:
        """Take what opens the engine; it is called in a thread, once the server listens."""
        self.settings = settings
        self.gate = gate
        self.held = HeldBytes(settings.max_held_bytes)
        self.metrics = Metrics(self._queue)
        self.failure: BaseException | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.stopping = False
        self.started_at = int(time.time())
        self.num_answered = 0
        self.num_requests = 0  # that ask for work, and are being answered
        self._open_backend = open_backend
        self._backend: Backend | None = None
        self._chat: Chat | None = None
        self._identity: Identity | None = None
        self._tidying: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """Say what the server is doing: "loading", "ready", "failed" or "stopping"."""
        if self.stopping:
            return "stopping"
        if self.failure is not None:
            return "failed"
        return "loading" if self._chat is None else "ready"

    def chat(self) -> Chat:
        """Give what answers.

        Raises:
            RequestError: 503, the model is not loaded, or the server is being stopped.
        """
        if self.stopping:
            raise shutting_down()
        if self._chat is None:
            words = "the model cannot be loaded" if self.failure else "the model is being loaded"
            raise RequestError(words, status=503, code="not_ready", retry_after_s=5)
        return self._chat

    async def identity(self, *, within_s: float | None = None) -> dict[str, Any] | None:
        """Say what decides the answers; None before the model is loaded, and see `Identity.told`."""
        return None if self._identity is None else await self._identity.told(within_s=within_s)

    def limits(self) -> dict[str, int | float]:
        """Give the limits that a client can meet."""
        media = self.gate.settings
        bytes_ = {"max_image_bytes": media.max_image_bytes, "max_video_bytes": media.max_video_bytes}
        return self.settings.public() | bytes_

    def load(self) -> None:
        """Begin to load the model, in a thread."""
        threads = ThreadPoolExecutor(1, "valley-load")
        loading = asyncio.get_running_loop().run_in_executor(threads, self._open_backend)
        loading.add_done_callback(self._loaded)
        threads.shutdown(wait=False)
        self._tidying = asyncio.create_task(give_back_now_and_then(lambda: self.num_answered))

    async def drain(self) -> None:
        """Take no more requests; wait for those that run, then end what is left with an error."""
        self.stopping = True
        deadline_s = time.monotonic() + self.settings.grace_s
        while self.num_requests and time.monotonic() < deadline_s:
            await asyncio.sleep(_LOOK_AGAIN_S)
        if self._chat is not None:
            self._chat.stop()

    def close(self) -> None:
        """Give back threads, media and the engine."""
        self.stopping = True
        if self._tidying is not None:
            self._tidying.cancel()
        if self._chat is not None:
            self._chat.close()
        self.gate.close()
        if self._backend is not None:
            self._backend.close()

    def _loaded(self, loading: asyncio.Future[Backend]) -> None:
        error = loading.exception()
        if error is not None:
            self.failure = error
            self.on_failure()
            return
        self._backend = loading.result()
        if self.stopping:
            self._backend.close()
            return
        self._identity = Identity(self._backend.identity)
        self._chat = Chat(self._backend, self.gate, self.settings, self.metrics)
        self.metrics.watch_caches(self._backend)

    def _queue(self) -> tuple[int, int]:
        line = self._chat and self._chat.line
        return (line.running, line.waiting) if line else (0, 0)
