"""A way from the page to a server elsewhere: same origin for the browser, the key added on the way.

Only what the page asks for is passed on, both ways as it comes, and what the browser leaves is ended at the
server too. It reads neither questions nor answers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from valley.errors import ConfigError

if TYPE_CHECKING:
    import anyio
    import httpx
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

MOST_BODY_BYTES = 2**30
"""A recording of a telephone is some hundred megabytes; it passes through and is never held here."""

TIMEOUT_S = {"connect": 10.0, "read": 600.0, "write": 60.0, "pool": 10.0}
"""A server may load or wait for ten minutes before its first word."""

_PASSED_ON = ("content-type", "content-length", "accept")
_GIVEN_BACK = ("content-type", "retry-after", "x-request-id")

logger = logging.getLogger(__name__)


class _BodyTooLargeError(Exception):
    """More came than is passed on."""


class Proxy:
    """An ASGI endpoint that asks a server the same."""

    def __init__(self, base_url: str, api_key: str = "", *, most_body_bytes: int = MOST_BODY_BYTES) -> None:
        self.base_url = checked_base_url(base_url)
        self.most_body_bytes = most_body_bytes
        self._api_key = api_key
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Make the client; it belongs to the event loop that calls this."""
        import httpx

        self._client = httpx.AsyncClient(timeout=httpx.Timeout(**TIMEOUT_S), trust_env=False)

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back, until either side ends."""
        import anyio
        from starlette.requests import Request

        request = Request(scope, receive)
        body_read = anyio.Event()
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await body_read.wait()
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()  # the browser has gone: so does the request to the server

            tasks.start_soon(watch)
            await self._pass_on(request, body_read, send)
            tasks.cancel_scope.cancel()

    async def _pass_on(self, request: Request, body_read: anyio.Event, send: Send) -> None:
        import httpx
        from starlette.requests import ClientDisconnect

        started = False
        try:
            async with self._asked(request, body_read) as answer:
                headers = [(n, answer.headers[n]) for n in _GIVEN_BACK if n in answer.headers]
                headers += [("cache-control", "no-store"), ("x-content-type-options", "nosniff")]
                await _start(send, answer.status_code, headers)
                started = True
                async for piece in answer.aiter_bytes():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except ClientDisconnect:
            return
        except _BodyTooLargeError:
            most = self.most_body_bytes
            await _refuse(
                send, 413, f"want at most {most} bytes in one request; cut the clip, or make it smaller"
            )
        except httpx.HTTPError as error:
            logger.warning("%s: %s", self.base_url, error or type(error).__name__)
            if started:
                raise  # the browser must see that the answer is cut off
            said = f"{self.base_url}: no answer ({type(error).__name__}); is the server running?"
            await _refuse(send, 502, said)

    def _asked(self, request: Request, body_read: anyio.Event) -> AbstractAsyncContextManager[httpx.Response]:
        assert self._client is not None
        path = request.url.path.partition("/v1/")[2]
        headers = {n: request.headers[n] for n in _PASSED_ON if n in request.headers}
        key = f"Bearer {self._api_key}" if self._api_key else request.headers.get("authorization", "")
        headers |= {"authorization": key} if key else {}
        headers["accept-encoding"] = "identity"  # what is packed would come in lumps
        has_body = request.method == "POST"
        content = self._body(request, body_read) if has_body else None
        if not has_body:
            body_read.set()
        url = f"{self.base_url}/{path}"
        return self._client.stream(request.method, url, headers=headers, content=content)

    async def _body(self, request: Request, body_read: anyio.Event) -> AsyncIterator[bytes]:
        """Yield what the browser sends, as it comes."""
        size = 0
        async for piece in request.stream():
            size += len(piece)
            if size > self.most_body_bytes:
                raise _BodyTooLargeError
            if piece:
                yield piece
        body_read.set()


def checked_base_url(base_url: str) -> str:
    """Check the address of a server, without the slash at its end.

    Raises:
        ConfigError: it is none; a name and password in it would be shown in errors.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"want a base URL such as http://127.0.0.1:8000/v1, got {base_url!r}")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("the base URL holds a name or a password; hand on a key instead")
    return base_url.rstrip("/")


async def _refuse(send: Send, status: int, message: str) -> None:
    error = {"message": message, "type": "server_error", "param": None, "code": None}
    await _start(send, status, [("content-type", "application/json"), ("cache-control", "no-store")])
    await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})


async def _start(send: Send, status: int, headers: list[tuple[str, str]]) -> None:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
