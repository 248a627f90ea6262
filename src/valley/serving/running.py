"""Run the application until it is told to stop: what runs is finished, what comes is refused."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from valley.errors import ConfigError, MissingExtraError
from valley.serving.limits import ServeSettings
from valley.serving.service import Service

if TYPE_CHECKING:
    from fastapi import FastAPI

_BACKLOG = 512
_LAST_WORDS_S = 2  # for the errors that are sent when the grace is over
_KEEP_ALIVE_S = 75  # longer than the proxies in front keep a connection
_MOST_HEADER_BYTES = 64 * 2**10


class Running:
    """A server; `run` ends when it is told to stop."""

    def __init__(self, app: FastAPI, settings: ServeSettings) -> None:
        """Take an application of `create_app`, and bind the address.

        Raises:
            ConfigError: the address is not free, or not of this machine.
            MissingExtraError: the web server is absent.
        """
        try:
            import uvicorn
        except ImportError as error:
            raise MissingExtraError(wanted_by="the server", package="uvicorn", extra="serve") from error
        self._service: Service = app.state.service
        self._listener = _listen(settings.host, settings.port)
        self.port: int = self._listener.getsockname()[1]
        name = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.address = f"http://{name}:{self.port}"
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            lifespan="on",
            http="h11",
            ws="none",
            h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_LAST_WORDS_S,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Serve until `stop` is called, or SIGTERM or Ctrl-C come; a second one ends at once.

        Raises:
            ValleyError: the model could not be loaded.
        """
        asyncio.run(self._serve())
        if self._service.failure is not None:
            raise self._service.failure

    def stop(self) -> None:
        """Begin to stop; may be called from any thread, and more than once."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._drain)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._service.on_failure = self._end
        self._server.capture_signals = _no_signals  # pyright: ignore[reportAttributeAccessIssue]
        with self._listener, self._signals():
            await self._server.serve(sockets=[self._listener])

    def _drain(self) -> None:
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drained())

    async def _drained(self) -> None:
        await self._service.drain()
        self._end()

    def _end(self) -> None:
        self._server.should_exit = True

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Take the signals, as long as the server runs, where this is the thread that gets them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self._told) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _told(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._service.stopping:
            os._exit(128 + number)  # threads in the middle of their work would be waited for
        self.stop()


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"{host}:{port}: cannot listen there ({error.strerror}); take another --port, or 0 for a free one"
        ) from error
