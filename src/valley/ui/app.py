"""The page as an ASGI application: fixed files and the examples' clips, from memory.

It holds no state and does no work; `valley serve` mounts it at "/", `valley ui` puts a proxy beside it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import mimetypes
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from valley.errors import MissingExtraError
from valley.ui.examples import clip_files, page_examples
from valley.ui.guard import LOOPBACK, Guard
from valley.ui.proxy import Proxy

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

# No script, style or font from elsewhere or within the page; clips are shown from memory (blob:).
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "permissions-policy": "camera=(self), microphone=(self), display-capture=(self), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class _File:
    content: bytes
    media_type: str
    tag: str


def page_app(model: str | None = None) -> ASGIApp:
    """Make the page's application.

    Args:
        model: which of the server's models is chosen first; None takes the first that it lists.

    Raises:
        MissingExtraError: the web framework is absent.
    """
    try:
        from starlette.applications import Starlette
        from starlette.routing import Route
    except ImportError as error:
        raise MissingExtraError(wanted_by="the page", package="starlette", extra="ui") from error
    files = _files(model)

    async def answer(request: Request) -> Response:
        return _answer(files.get(request.path_params["name"] or "index.html"), request)

    return Starlette(routes=[Route("/{name:path}", answer, methods=["GET", "HEAD"])])


def proxy_app(
    base_url: str,
    api_key: str = "",
    *,
    model: str | None = None,
    hosts: Iterable[str] | None = LOOPBACK,
) -> ASGIApp:
    """Make the page together with a way to a server; only what the page asks for is passed on.

    Args:
        base_url: of the server, such as "http://127.0.0.1:8000/v1".
        api_key: for the server; it never reaches the browser. Without one, the page's user may give theirs.
        model: which of the server's models is chosen first.
        hosts: the names by which the page may be reached; None takes any.

    Raises:
        ConfigError: the base URL is none.
        MissingExtraError: the web framework, or what asks the server, is absent.
    """
    page = page_app(model)
    if importlib.util.find_spec("httpx") is None:
        raise MissingExtraError(wanted_by="the page", package="httpx", extra="ui")
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    proxy = Proxy(base_url, api_key)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        await proxy.open()
        yield
        await proxy.close()

    routes = [
        Route("/v1/models", proxy, methods=["GET"]),
        Route("/v1/chat/completions", proxy, methods=["POST"]),
        Route("/v1/files", proxy, methods=["POST"]),
        Route("/v1/files/{id}", proxy, methods=["DELETE"]),
        Mount("/v1", _nothing),
        Mount("/", page),
    ]
    return Guard(Starlette(routes=routes, lifespan=lifespan), hosts)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    from starlette.responses import JSONResponse

    error = {"message": "the page does not pass this on", "type": "invalid_request_error"}
    await JSONResponse({"error": error}, status_code=404)(scope, receive, send)


def _files(model: str | None) -> dict[str, _File]:
    """Read everything that can be asked for: there is no path from an address to the disk."""
    folder = resources.files("valley.ui").joinpath("page")
    files = {f.name: _file(f.name, f.read_bytes()) for f in folder.iterdir() if f.is_file()}
    settings = json.dumps({"model": model, "examples": page_examples()}, ensure_ascii=False)
    files["page.json"] = _file("page.json", settings.encode())
    for path in clip_files():
        files[f"examples/{path.name}"] = _file(path.name, path.read_bytes())
    return files


def _file(name: str, content: bytes) -> _File:
    suffix = name[name.rfind(".") :]
    kind = _KINDS.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind += "; charset=utf-8" if kind.startswith("text/") else ""
    return _File(content, kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _answer(file: _File | None, request: Request) -> Response:
    from starlette.responses import PlainTextResponse, Response

    if file is None:
        return PlainTextResponse("There is no such page.", status_code=404, headers=HEADERS)
    headers = {**HEADERS, "etag": file.tag}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
