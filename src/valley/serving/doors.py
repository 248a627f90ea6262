"""What stands before every request: who asks, by which name, and one line in the log about it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from valley.serving.errors import RequestError
from valley.serving.keys import Keys
from valley.serving.service import Service

# A connection that is closed while its client still sends is reset, and the refusal with it. Half of the
# largest request that is taken unless told otherwise is passed over: nothing of it is kept.
_PASSED_OVER_BYTES = 32 * 2**20
_PASSED_OVER_S = 2.0

access_log = logging.getLogger("valley.serving.access")


class Doorkeeper:
    """Refuses who may not ask, and notes whose request it is in `scope["state"]["owner"]`.

    Without keys nobody but programs of this machine should ask, and a browser is no such program: a page of
    anybody's could ask in its name, directly (the Origin says so) or by a name that points here (the Host).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Keys,
        hosts: Sequence[str] | None,
        origins: Sequence[str] = (),
    ) -> None:
        """Guard an application.

        Args:
            app: it.
            keys: who may ask /v1 and /metrics.
            hosts: names by which it may be asked; None takes any.
            origins: pages elsewhere that may ask.
        """
        self._app = app
        self._keys = keys
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a refusal, or let the application answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._let_in(scope, Headers(scope=scope))
        except RequestError as error:
            scope["refusal"] = error.code
            await respond(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _let_in(self, scope: Scope, headers: Headers) -> None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._hosts is not None and _name(host) not in self._hosts:
            raise RequestError(
                f"this server is not known as {host!r}: say --allowed-host if it should be",
                status=403,
                code="host_header",
            )
        is_own = origin is None or origin in self._origins or urlsplit(origin).netloc.lower() == host.lower()
        if not is_own and not self._keys:
            raise RequestError(
                f"pages of {origin!r} may not ask here: say --cors-origin if they should",
                status=403,
                code="origin",
            )
        path = scope["path"]
        if scope["method"] != "OPTIONS" and (path.startswith("/v1/") or path == "/metrics"):
            scope.setdefault("state", {})["owner"] = self._keys.owner(headers.get("authorization"))


def _name(host: str) -> str:
    """Give the name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


class Bookkeeper:
    """Counts responses, and writes one line about each: no words of prompts, no keys, no query strings."""

    def __init__(self, app: ASGIApp, *, service: Service) -> None:
        """Watch an application."""
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, and note how."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_work = scope["method"] == "POST"
        started_s, status = time.monotonic(), 0
        body = _Body(receive)

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= 400 and not await body.passed_over(scope):
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        self._service.num_requests += is_work
        try:
            await self._app(scope, body.receive, noting)
        finally:
            self._service.num_requests -= is_work
            self._service.num_answered += is_work
            self._note(scope, status, time.monotonic() - started_s)

    def _note(self, scope: Scope, status: int, took_s: float) -> None:
        metrics = self._service.metrics
        route = scope.get("route")
        path = route.path if isinstance(route, Route | Mount) else "other"
        metrics.requests.labels(path, str(status)).inc()
        if "refusal" in scope:
            metrics.refusals.labels(scope["refusal"]).inc()
        client = scope.get("client") or ("-", 0)
        asked = scope["path"][:200].encode("ascii", "backslashreplace").decode()
        access_log.info("%s %s %s %s %.3f s", client[0], scope["method"], asked, status or "gone", took_s)


class _Body:
    """A request's body, as far as it was read: what is refused is not read for ever."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def receive(self) -> Message:
        """Read on."""
        message = await self._receive()
        self._ended = self._ended or not message.get("more_body", False)
        return message

    async def passed_over(self, scope: Scope) -> bool:
        """Read what is left, if that is little; so the client is done with sending, and hears the refusal."""
        if Headers(scope=scope).get("expect"):
            return self._ended  # a client that asks first sends nothing
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._read_on(), _PASSED_OVER_S)
        return self._ended

    async def _read_on(self) -> None:
        num_bytes = 0
        while not self._ended and num_bytes < _PASSED_OVER_BYTES:
            num_bytes += len((await self.receive()).get("body", b""))


def respond(error: RequestError) -> JSONResponse:
    """Give the response that an error is."""
    return JSONResponse(error.to_record(), error.status, error.headers)
