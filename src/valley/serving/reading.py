"""Read a request's body: so many bytes, so many seconds, and so much for all of them together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from valley.serving.errors import RequestError

if TYPE_CHECKING:
    from starlette.requests import Request


class HeldBytes:
    """Counts the bytes of all bodies that are in memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.now = 0

    def add(self, num_bytes: int) -> None:
        """Count more.

        Raises:
            RequestError: 429, there is no room.
        """
        if self.now + num_bytes > self._most:
            raise RequestError(
                "too many large requests at once: upload media to /v1/files, or come back later",
                status=429,
                code="bodies_full",
                retry_after_s=5,
            )
        self.now += num_bytes

    def remove(self, num_bytes: int) -> None:
        """Count less."""
        self.now -= num_bytes


async def chunks(request: Request, *, most_bytes: int, timeout_s: float | int) -> AsyncIterator[bytes]:
    """Yield a body as it comes.

    Raises:
        RequestError: 413, it is too large; 408, it came too slowly.
    """
    _refuse_length(request.headers.get("content-length", ""), most_bytes)
    deadline_s = time.monotonic() + timeout_s
    stream = request.stream()
    got = 0
    while True:
        try:
            left_s = max(deadline_s - time.monotonic(), 0.0)
            chunk = await asyncio.wait_for(anext(stream, b""), left_s)
        except asyncio.TimeoutError as error:
            raise RequestError(
                f"the request was not there after {timeout_s:g} s", status=408, code="slow_body"
            ) from error
        if not chunk:
            return
        got += len(chunk)
        if got > most_bytes:
            raise _too_large(most_bytes)
        yield chunk


def _refuse_length(declared: str, most_bytes: int) -> None:
    if declared.isdigit() and len(declared) < 20 and int(declared) <= most_bytes:
        return
    if declared:
        raise _too_large(most_bytes)


def _too_large(most_bytes: int) -> RequestError:
    return RequestError(
        f"want a request of at most {most_bytes} bytes; upload larger media to /v1/files",
        status=413,
        code="body_too_large",
    )
