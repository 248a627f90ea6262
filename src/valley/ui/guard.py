"""Who may ask: pages of this very address only, under a name that belongs to it.

Without this, a page of anybody's in the same browser could ask through the proxy, at the cost of its owner's
key: directly (its origin says so), or by a name of its own that it lets point here (DNS rebinding).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Guard:
    """Refuse requests for other hosts and from other origins.

    Args:
        app: what is guarded.
        hosts: the names by which it may be reached; None takes any.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None = LOOPBACK) -> None:
        self._app = app
        self._hosts = None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or let the application answer."""
        refusal = self._refusal(scope) if scope["type"] == "http" else ""
        if refusal:
            await _forbid(send, refusal)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return f"this page is not known as {host!r}; say --allowed-host if it should be"
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "pages of other addresses may not ask here"
        if headers.get(b"sec-fetch-site", "none") not in ("same-origin", "none"):
            return "pages of other addresses may not ask here"
        return ""


def _name(host: str) -> str:
    """Give the name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


async def _forbid(send: Send, message: str) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "forbidden"}
    headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})
