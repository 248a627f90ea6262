"""The web application: the addresses of OpenAI's API, health, metrics, their description, and the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from valley.errors import MissingExtraError, ValleyError
from valley.inference.backend import Backend
from valley.serving.keys import Keys
from valley.serving.limits import ServeSettings
from valley.serving.service import Service

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from valley.serving.media import MediaGate


def create_app(
    backend: Backend | Callable[[], Backend],
    settings: ServeSettings,
    *,
    media: MediaGate,
    keys: Keys | None = None,
    page: ASGIApp | None = None,
) -> FastAPI:
    """Make the application; its `state.service` says what it is doing.

    Args:
        backend: an engine, or what opens one: it is called in a thread once the server listens.
        settings: limits and names.
        media: what every medium passes; the application closes it, and the engine, at its end.
        keys: who may ask; None lets everybody in.
        page: an application for every other address.

    Raises:
        MissingExtraError: the web framework is absent.
    """
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise MissingExtraError(wanted_by="the server", package="fastapi", extra="serve") from error
    from valley import __version__
    from valley.serving.describing import describe
    from valley.serving.doors import Bookkeeper, Doorkeeper

    service = Service((lambda: backend) if isinstance(backend, Backend) else backend, media, settings)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        del app
        service.load()
        yield
        service.close()

    app = FastAPI(title="Valley", version=__version__, docs_url=None, redoc_url=None, lifespan=life)
    app.state.service = service
    _add_routes(app, service)
    describe(app)
    _add_errors(app)
    app.mount("/v1", _nothing)
    if page is not None:
        app.mount("/", page)
    if settings.cors_origins:
        from starlette.middleware.cors import CORSMiddleware

        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type"],
        )
    app.add_middleware(
        Doorkeeper, keys=keys or Keys(), hosts=settings.known_hosts, origins=settings.cors_origins
    )
    app.add_middleware(Bookkeeper, service=service)
    return app


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Keep what is unknown below /v1 from the page."""
    del scope, receive, send
    from starlette.exceptions import HTTPException

    raise HTTPException(404)


def _add_routes(app: FastAPI, service: Service) -> None:
    from valley.serving import answers
    from valley.serving.describing import CHAT_BODY, UPLOAD_BODY
    from valley.serving.routes import Routes

    routes = Routes(service)
    refused: dict[int | str, dict[str, Any]] = {"4XX": {"model": answers.ErrorAnswer}}
    answered = {**refused, 200: {"model": answers.ChatCompletion}}

    def add(path: str, handler: Callable[..., Any], method: str = "GET", **more: Any) -> None:  # noqa: ANN401
        options = {"responses": refused, **more}
        app.add_api_route(path, handler, methods=[method], response_model=None, **options)

    chat = "/v1/chat/completions"
    add(chat, routes.complete, "POST", responses=answered, openapi_extra=CHAT_BODY)
    add("/v1/models", routes.models)
    add("/v1/models/{model:path}", routes.model)
    add("/v1/files", routes.upload, "POST", openapi_extra=UPLOAD_BODY)
    add("/v1/files", routes.files)
    add("/v1/files/{id}", routes.file)
    add("/v1/files/{id}", routes.delete, "DELETE")
    add("/v1/files/{id}/content", routes.content)
    add("/health", routes.health)
    add("/health/live", routes.live)
    add("/health/ready", routes.ready)
    add("/metrics", routes.metrics)


def _add_errors(app: FastAPI) -> None:
    """Give every error OpenAI's shape; what nobody foresaw is logged by the web server."""
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect
    from starlette.responses import Response

    from valley.serving.doors import respond
    from valley.serving.errors import RequestError, refusal

    def answer(request: Request, error: RequestError) -> Response:
        request.scope["refusal"] = error.code
        return respond(error)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ValleyError)
        return answer(request, refusal(error))

    async def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = f"{request.method} {request.url.path} is nothing that this server knows; see /docs"
        return answer(request, RequestError(words, status=error.status_code, code="not_found"))

    async def gone(request: Request, error: Exception) -> Response:
        del request, error
        return Response(status_code=499)  # nobody reads it

    async def unforeseen(request: Request, error: Exception) -> Response:
        del error
        words = "the server failed; its log says why"
        return answer(request, RequestError(words, status=500, code="internal"))

    app.add_exception_handler(ValleyError, refused)
    app.add_exception_handler(HTTPException, unknown)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unforeseen)
