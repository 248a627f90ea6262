"""The gateway as a process: an OpenAI-compatible server on this machine, found by a file beside its store.

{"pid": 4711, "base_url": "http://127.0.0.1:40123/v1", "token": "..."}
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from valley.errors import BackendError, ConfigError, MissingExtraError
from valley.instruct.gateway.budget import Budget, BudgetSpentError, Price
from valley.instruct.gateway.calls import Calls
from valley.instruct.gateway.connections import Connections
from valley.instruct.gateway.governor import Governor
from valley.instruct.gateway.relay import Answer, Relay, failure
from valley.instruct.gateway.requests import canonical
from valley.locking import locked

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

FILE_NAME = "gateway.json"
SAMPLE_HEADER = "x-valley-sample"
STORED_ONLY_HEADER = "x-valley-stored-only"
MOST_BODY_BYTES = 64 * 2**20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GatewaySettings:
    """What a gateway is started with.

    Attributes:
        store: the folder of its calls.
        upstream: base URL of the server, such as "https://api.example.com/v1".
        api_key: for the server; kept in memory alone.
        prices: by model, "*" for any.
        max_usd: never spend more than this in all of the store's life.
        max_tokens: the same in tokens.
        requests_per_minute: what the server allows, where it is known.
        tokens_per_minute: the same.
        concurrency: at most so many calls at once.
        timeout_s: of one call.
        offline: answer from the store alone.
        idle_s: end after so long without a request; None: never.
        port: 0 takes a free one.
        token: what callers must say; made up where empty.
    """

    store: Path
    upstream: str = ""
    api_key: str = field(default="", repr=False)
    prices: dict[str, Price] = field(default_factory=dict)
    max_usd: str | None = None
    max_tokens: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrency: int = 16
    timeout_s: float = 120.0
    offline: bool = False
    idle_s: float | None = None
    port: int = 0
    token: str = field(default="", repr=False)

    @property
    def fingerprint(self) -> str:
        """Name what was asked for, secrets included and hidden: another wish needs another process."""
        said = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def run(settings: GatewaySettings, *, on_ready: Callable[[str, str], None] | None = None) -> None:
    """Serve until stopped.

    Args:
        settings: see there.
        on_ready: is told base URL and token once it listens.

    Raises:
        ConfigError: the port is taken, another gateway has the store, or the settings contradict themselves.
        MissingExtraError: the web server is absent.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(wanted_by="the gateway", package="uvicorn", extra="data") from error
    settings.store.mkdir(parents=True, exist_ok=True)
    taken = f"{settings.store}: another gateway has this store"
    with locked(settings.store / "gateway.lock", taken=taken), listen(settings.port) as listener:
        token = settings.token or secrets.token_urlsafe(24)
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        gateway = _Gateway(settings, token)
        config = uvicorn.Config(
            gateway.app(),
            log_level="error",
            access_log=False,
            lifespan="on",
            timeout_keep_alive=75,
            workers=1,
        )
        server = uvicorn.Server(config)
        gateway.stop = lambda: setattr(server, "should_exit", True)
        _announce(settings, base_url, token)
        try:
            if on_ready is not None:
                on_ready(base_url, token)
            server.run(sockets=[listener])
        finally:
            (settings.store / FILE_NAME).unlink(missing_ok=True)
            gateway.calls.close()


class _Gateway:
    """The web application around a relay."""

    def __init__(self, settings: GatewaySettings, token: str) -> None:
        if not settings.offline and not settings.upstream:
            raise ConfigError("want the base URL of a server, or offline")
        self._server: Connections | None = None
        if not settings.offline:
            self._server = Connections(
                settings.upstream, api_key=settings.api_key, timeout_s=settings.timeout_s
            )
        self.settings = settings
        self.token = token
        self.stop: Callable[[], None] = lambda: None
        self.calls = Calls(settings.store)
        self.budget = Budget(settings.prices, max_usd=settings.max_usd, max_tokens=settings.max_tokens)
        self.relay: Relay | None = None
        self._last_s = time.monotonic()

    def app(self) -> Starlette:
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [
            Route("/v1/chat/completions", self._guarded(self._complete), methods=["POST"]),
            Route("/v1/models", self._guarded(self._models)),
            Route("/stats", self._guarded(self._stats)),
            Route("/stop", self._guarded(self._stop), methods=["POST"]),
        ]
        return Starlette(routes=routes, lifespan=self._life)

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        settings = self.settings
        governor = Governor(
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            concurrency=settings.concurrency,
        )
        self.relay = Relay(self.calls, governor, self.budget, self._server)
        watch = asyncio.create_task(self._end_when_idle())
        try:
            yield
        finally:
            watch.cancel()
            await self.relay.drain()
            if self._server is not None:
                self._server.close()

    async def _end_when_idle(self) -> None:
        while self.settings.idle_s is not None:
            await asyncio.sleep(min(1.0, self.settings.idle_s / 4))
            busy = self.relay is not None and self.relay.governor.in_flight
            if not busy and time.monotonic() - self._last_s > self.settings.idle_s:
                self.stop()
                return

    def _guarded(
        self, handle: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            self._last_s = time.monotonic()
            given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
            if not secrets.compare_digest(given.encode(), self.token.encode()):
                return _respond(failure(401, "unauthorized", "want the gateway's token as the API key"))
            return await handle(request)

        return guarded

    async def _complete(self, request: Request) -> Response:
        assert self.relay is not None
        try:
            body = json.loads(await _body(request))
            if not isinstance(body, dict):
                raise ConfigError("want a JSON object")
            asked, sample = canonical(body), int(request.headers.get(SAMPLE_HEADER, "0"))
            stored_only = request.headers.get(STORED_ONLY_HEADER) == "1"
            return _respond(await self.relay.answer(asked, sample=sample, stored_only=stored_only))
        except BudgetSpentError as error:
            return _respond(failure(402, "budget_spent", str(error)))
        except (ConfigError, ValueError, RecursionError) as error:
            return _respond(failure(400, "bad_request", str(error)))
        except OSError as error:
            return _respond(failure(507, "store", f"the store cannot be written: {error}"))

    async def _models(self, request: Request) -> Response:
        from starlette.responses import Response

        del request
        if self._server is None:
            return _respond(failure(404, "offline", "the gateway is offline"))
        try:
            found = await self._server.send("GET", "models")
        except BackendError as error:
            return _respond(failure(503, "unreachable", f"{self.settings.upstream}: {error}"))
        return Response(found.content, found.status, media_type="application/json")

    async def _stats(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        del request
        assert self.relay is not None
        return JSONResponse(self.relay.stats())

    async def _stop(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        del request
        self.stop()
        return JSONResponse({"stopping": True})


def _respond(answer: Answer) -> Response:
    from starlette.responses import Response

    headers = {
        "x-valley-key": answer.key,
        "x-valley-billed": str(int(answer.billed)),
        "x-valley-cost-pico": str(answer.cost_pico),
    }
    return Response(answer.body, answer.status, headers, media_type="application/json")


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BODY_BYTES:
            raise ConfigError(f"want a request of at most {MOST_BODY_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def listen(port: int) -> socket.socket:
    """Listen on this machine alone; 0 takes a free port.

    Raises:
        ConfigError: the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"port {port}: {error.strerror}; give another one, or 0 for a free one") from error
    listener.listen(512)
    return listener


def _announce(settings: GatewaySettings, base_url: str, token: str) -> None:
    """Write the file by which the gateway is found, readable for this user alone."""
    part = settings.store / (FILE_NAME + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        found = {"pid": os.getpid(), "base_url": base_url, "token": token, "settings": settings.fingerprint}
        json.dump(found, file)
    part.replace(settings.store / FILE_NAME)
