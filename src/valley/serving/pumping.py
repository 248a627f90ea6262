"""An engine's stream, made in a thread, read in the event loop; whoever stops reading stops the engine."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Executor

from valley.errors import ValleyError
from valley.inference.backend import Piece
from valley.serving.errors import RequestError

logger = logging.getLogger(__name__)


class Pump:
    """Moves the pieces of one answer out of a thread."""

    def __init__(self, make: Callable[[], Generator[Piece, None, None]]) -> None:
        """Take what makes the stream; it is called in the thread."""
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Piece | ValleyError | None] = asyncio.Queue()
        self._unwanted = threading.Event()
        self._future: asyncio.Future[None] | None = None

    def start(self, threads: Executor, *, on_end: Callable[[], None]) -> None:
        """Begin; `on_end` is called in the event loop once the engine has let go, however that came."""
        self._future = self._loop.run_in_executor(threads, self._run)
        self._future.add_done_callback(lambda _: on_end())

    def stop(self) -> None:
        """Let the engine end after the piece that it makes."""
        self._unwanted.set()

    def give_up(self, error: ValleyError) -> None:
        """End the answer with an error, without waiting for the engine."""
        self.stop()
        self._pieces.put_nowait(error)

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Yield what the engine makes.

        Raises:
            ValleyError: the engine's error; a RequestError with status 500 for one that nobody foresaw.
        """
        try:
            while (piece := await self._pieces.get()) is not None:
                if isinstance(piece, ValleyError):
                    raise piece
                yield piece
        finally:
            self.stop()
        assert self._future is not None
        await asyncio.wait([self._future])
        error = self._future.exception()
        if isinstance(error, ValleyError):
            raise error
        if error is not None:
            logger.error("the engine failed", exc_info=error)
            raise RequestError("the engine failed; the server's log says why", status=500, code="internal")

    def _run(self) -> None:
        try:
            stream = self._make()
            try:
                for piece in stream:
                    self._put(piece)
                    if self._unwanted.is_set():
                        break
            finally:
                stream.close()
        finally:
            self._put(None)

    def _put(self, piece: Piece | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)
