"""What is answered at each address; everything that is decided lies below."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from valley.inference.backend import Finish, Piece
from valley.serving.answers import AnswerForm, sampling_record
from valley.serving.asking import ChatRequest
from valley.serving.bodies import parse_json
from valley.serving.errors import RequestError
from valley.serving.identity import LISTED_WITHIN_S
from valley.serving.media import StoredFile
from valley.serving.multipart import Upload
from valley.serving.reading import chunks
from valley.serving.schema import read_request
from valley.serving.service import Service

T = TypeVar("T")

_FORM_BYTES = 2**20  # of a form beside the file in it
_EVENT_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_GONE = Response(status_code=499)  # nobody reads it


class Routes:
    """The handlers of one server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def complete(self, request: Request) -> Response:
        """Answer a conversation, whole or in pieces (server-sent events)."""
        service = self._service
        chat = service.chat()
        num_bytes = 0
        try:
            body = bytearray()
            limits = service.settings
            timeout_s = limits.body_timeout_s
            async for chunk in chunks(request, most_bytes=limits.max_body_bytes, timeout_s=timeout_s):
                service.held.add(len(chunk))
                num_bytes += len(chunk)
                body += chunk
            asked = await asyncio.to_thread(_read, body)
            body.clear()
            wants_stream, wants_usage = asked.stream, asked.include_usage
            pieces = chat.answer(asked, request.state.owner)
            del asked  # with the addresses of media, which may be their content
            first = await self._unless_gone(request, anext(pieces))
        finally:
            service.held.remove(num_bytes)
        if first is None:
            return _GONE
        form = AnswerForm(chat.capabilities.model)
        if wants_stream:
            return _Events(self._events(form, first, pieces, with_usage=wants_usage))
        whole = await self._unless_gone(request, _whole(form, first, pieces))
        return _GONE if whole is None else JSONResponse(whole)

    async def models(self, request: Request) -> Response:
        """List the model, with what it takes; "identity" is null while its weights are still being read."""
        del request
        model = self._model() | {"identity": await self._service.identity(within_s=LISTED_WITHIN_S)}
        return JSONResponse({"object": "list", "data": [model]})

    async def model(self, request: Request) -> Response:
        """Describe the model; this waits until its weights are read, so that "identity" tells their hash."""
        model = self._model()
        if request.path_params["model"] != model["id"]:
            raise RequestError(
                f"there is no such model here; there is {model['id']!r}", status=404, code="model_not_found"
            )
        return JSONResponse(model | {"identity": await self._service.identity()})

    async def upload(self, request: Request) -> Response:
        """Take a picture or clip, to be named by its id in later requests."""
        service = self._service
        if service.stopping:
            service.chat()
        gate = service.gate
        body = chunks(
            request,
            most_bytes=gate.settings.max_video_bytes + _FORM_BYTES,
            timeout_s=service.settings.upload_timeout_s,
        )
        upload = Upload(request.headers.get("content-type", ""), body)
        name = await upload.name()
        return JSONResponse(_file(await gate.store_upload(upload.chunks(), name, request.state.owner)))

    async def files(self, request: Request) -> Response:
        """List the caller's files."""
        mine = [_file(file) for file in self._service.gate.files(request.state.owner)]
        return JSONResponse({"object": "list", "data": mine, "has_more": False})

    async def file(self, request: Request) -> Response:
        """Describe a file of the caller's."""
        return JSONResponse(_file(self._service.gate.find(request.path_params["id"], request.state.owner)))

    async def delete(self, request: Request) -> Response:
        """Forget a file of the caller's."""
        file_id = request.path_params["id"]
        self._service.gate.delete(file_id, request.state.owner)
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})

    async def content(self, request: Request) -> Response:
        """Give the bytes of a file of the caller's; as a download, so that no browser runs them."""
        lease = self._service.gate.lease(request.state.owner)
        try:
            path = lease.file(request.path_params["id"])
        except RequestError:
            lease.__exit__(None, None, None)
            raise
        response = _Leased(path, media_type="application/octet-stream", filename=path.name)
        response.lease = lease
        response.headers["x-content-type-options"] = "nosniff"
        return response

    async def health(self, request: Request) -> Response:
        """Say both: the process answers, and whether it can answer questions."""
        del request
        state = self._service.state
        ready = state == "ready"
        return JSONResponse({"live": True, "ready": ready, "state": state}, 200 if ready else 503)

    async def live(self, request: Request) -> Response:
        """Say that the process answers."""
        del request
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """Say whether questions are answered: the model is loaded, and the server is not being stopped."""
        del request
        state = self._service.state
        return JSONResponse({"ready": state == "ready", "state": state}, 200 if state == "ready" else 503)

    async def metrics(self, request: Request) -> Response:
        """Give the counts, for Prometheus."""
        del request
        return Response(self._service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _model(self) -> dict[str, Any]:
        can = self._service.chat().capabilities
        capabilities = {
            "media": list(can.media),
            "max_context_tokens": can.max_context_tokens,
            "default_sampling": sampling_record(can.default_sampling),
            "structured_output": can.structured_output,
            "limits": self._service.limits(),
        }
        return {
            "id": can.model,
            "object": "model",
            "created": self._service.started_at,
            "owned_by": "valley",
            "capabilities": capabilities,
        }

    async def _unless_gone(self, request: Request, work: Awaitable[T]) -> T | None:
        """Wait for some work, or end it when the client goes away; then give nothing."""
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if task.cancelled():
            self._service.metrics.cancelled.inc()
            return None
        return task.result()

    async def _events(
        self, form: AnswerForm, first: Piece, rest: AsyncGenerator[Piece, None], *, with_usage: bool
    ) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events; an error after the first is an event, too."""
        ended = False
        try:
            yield _event(form.chunk({"role": "assistant", "content": ""}))
            async with aclosing(_chained(first, rest)) as pieces:
                async for piece in pieces:
                    if piece.text or piece.finish:
                        yield _event(form.chunk({"content": piece.text} if piece.text else {}, piece.finish))
                    if piece.finish is not None and with_usage:
                        yield _event(form.count(piece.finish.usage))
            ended = True
            yield b"data: [DONE]\n\n"
        except RequestError as error:
            ended = True
            self._service.metrics.refusals.labels(error.code).inc()
            yield _event(error.to_record())
        finally:
            if not ended:
                self._service.metrics.cancelled.inc()


class _Events(StreamingResponse):
    """Server-sent events, made only as long as somebody reads them."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=_EVENT_HEADERS)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)


class _Leased(FileResponse):
    """A file that stays until it is sent."""

    lease: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self.lease:
            await super().__call__(scope, receive, send)


def _read(body: bytearray) -> ChatRequest:
    return read_request(parse_json(body))


async def _whole(form: AnswerForm, first: Piece, rest: AsyncGenerator[Piece, None]) -> dict[str, Any]:
    words: list[str] = []
    finish: Finish | None = None
    async with aclosing(_chained(first, rest)) as pieces:
        async for piece in pieces:
            words.append(piece.text)
            finish = piece.finish or finish
    if finish is None:
        raise RequestError("the engine ended without saying how", status=500, code="internal")
    return form.whole("".join(words), finish)


async def _chained(first: Piece, rest: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


def _event(record: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _file(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_at,
        "filename": file.name,
        "purpose": "user_data",
        "status": "processed",
        "kind": file.kind,
    }
