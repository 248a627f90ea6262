"""One question's way: a place in the queue, its media, its frames, its turn, its words. Knows no HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

from valley.conversation import Conversation, Image, Video
from valley.errors import ValleyError
from valley.inference.backend import Backend, Capabilities, GenerationParams, Piece
from valley.serving.asking import ChatRequest, Medium
from valley.serving.errors import RequestError, refusal
from valley.serving.limits import ServeSettings
from valley.serving.metrics import Metrics
from valley.serving.pumping import Pump
from valley.serving.queue import Place, WaitingLine

if TYPE_CHECKING:
    from valley.serving.media import Lease, MediaGate, StoredFile

T = TypeVar("T")


class Chat:
    """Answers requests with one engine."""

    def __init__(self, backend: Backend, gate: MediaGate, settings: ServeSettings, metrics: Metrics) -> None:
        """Take an engine whose model is loaded."""
        self._backend = backend
        self._gate = gate
        self._settings = settings
        running = backend.capabilities.max_concurrency
        self.line = WaitingLine(running=running, waiting=settings.queue_size)
        self.metrics = metrics
        self._readers = ThreadPoolExecutor(settings.max_decodes, "valley-read")
        self._answerers = ThreadPoolExecutor(running, "valley-answer")
        self._pumps: set[Pump] = set()

    @property
    def capabilities(self) -> Capabilities:
        """Say what the engine can do."""
        return self._backend.capabilities

    def check(self, request: ChatRequest) -> GenerationParams:
        """Refuse what this server or its model cannot do, and say how the answer will be made.

        Raises:
            RequestError: the message says what is supported.
        """
        can = self.capabilities
        if request.model not in (None, can.model):
            raise RequestError(
                f"there is no model {request.model!r} here; there is {can.model!r}",
                status=404,
                code="model_not_found",
                param="model",
            )
        for medium in request.media:
            if medium.kind is not None and medium.kind not in can.media:
                raise self._takes_no(medium.kind, medium.param)
        if request.response_schema is not None and not can.structured_output:
            raise RequestError(
                f"{can.model} cannot be held to a schema: want response_format of type text",
                code="unsupported",
                param="response_format",
            )
        self._settings.check(request)
        try:
            return self._params(request)
        except ValleyError as error:
            raise refusal(error) from error

    async def answer(self, request: ChatRequest, owner: str) -> AsyncGenerator[Piece, None]:
        """Yield the answer's pieces; closing this ends the work.

        Args:
            request: the question.
            owner: for whom work is kept.

        Raises:
            RequestError: it is refused, the queue is full, or time is up.
        """
        params = replace(self.check(request), cache_scope=owner)
        started_s = time.monotonic()
        place = self.line.enter()
        pump: Pump | None = None
        try:
            with self._gate.lease(owner) as lease:
                media = await self._in_time(self._shown(request, lease, params), started_s)
                queued_s = time.monotonic()
                await self._in_time(place.run(), started_s)
                self.metrics.queued_s.observe(time.monotonic() - queued_s)
                pump = self._pump(request.conversation(media), params, place, started_s)
                del request  # with the addresses of media, which may be their content
                async with aclosing(pump.pieces()) as pieces:
                    async for piece in self._counted(pieces, started_s):
                        yield piece
        except ValleyError as error:
            raise refusal(error) from error
        finally:
            if pump is None:
                place.leave()
            else:
                pump.stop()

    def stop(self) -> None:
        """End the answers that are being made, with an error."""
        for pump in tuple(self._pumps):
            pump.give_up(shutting_down())

    def close(self) -> None:
        """End the threads; those at work end after the piece or file that they have."""
        self.stop()
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._answerers.shutdown(wait=False, cancel_futures=True)

    def _params(self, request: ChatRequest) -> GenerationParams:
        limits = self._settings
        if request.fps is not None and request.num_frames is None:
            request = replace(request, num_frames=limits.max_frames)
        return request.params(
            max_tokens=min(limits.default_max_tokens, limits.max_tokens), isolated=True, limits=limits.decode
        )

    def _pump(
        self, conversation: Conversation, params: GenerationParams, place: Place, started_s: float
    ) -> Pump:
        """Begin to make an answer; the place is given back when the engine lets go."""
        pump = Pump(lambda: self._backend.stream(conversation, params))
        left_s = self._left_s(started_s)
        timer = asyncio.get_running_loop().call_later(left_s, lambda: pump.give_up(self._late()))
        self._pumps.add(pump)

        def on_end() -> None:
            timer.cancel()
            self._pumps.discard(pump)
            place.leave()

        pump.start(self._answerers, on_end=on_end)
        return pump

    async def _counted(self, pieces: AsyncIterator[Piece], started_s: float) -> AsyncGenerator[Piece, None]:
        first_s: float | None = None
        async for piece in pieces:
            now_s = time.monotonic() - started_s
            if first_s is None:
                first_s = now_s
                self.metrics.first_token_s.observe(now_s)
            if piece.finish is not None:
                self.metrics.answered(piece.finish, first_s=first_s, total_s=now_s)
            yield piece

    async def _shown(
        self, request: ChatRequest, lease: Lease, params: GenerationParams
    ) -> list[Image | Video]:
        """Bring the media here and decode them, so that what is wrong with them is said before any word."""
        media = [await self._placed(m, lease, params.cache_scope) for m in request.media]
        sizes = [self._look(m, params, named.param) for m, named in zip(media, request.media, strict=True)]
        most_bytes = self._settings.decode.max_memory_bytes
        if sum(await asyncio.gather(*sizes)) > most_bytes:
            raise RequestError(
                f"the frames of all media have more than {most_bytes} bytes: ask for fewer",
                code="limit_exceeded",
                param="num_frames",
            )
        return media

    async def _placed(self, medium: Medium, lease: Lease, owner: str) -> Image | Video:
        try:
            kind = medium.kind or _kind_of(self._gate.find(medium.url, owner))
            path = await lease.local(medium.url, kind, timestamps_s=medium.timestamps_s)
        except RequestError as error:
            error.param = error.param or medium.param
            raise
        if kind not in self.capabilities.media:
            raise self._takes_no(kind, medium.param)
        return medium.at(path, kind)

    async def _look(self, medium: Image | Video, params: GenerationParams, param: str) -> int:
        """Decode a medium, and give the bytes of its frames, which the engine keeps for its turn."""
        loop = asyncio.get_running_loop()
        started_s = time.monotonic()
        try:
            frames = await loop.run_in_executor(self._readers, self._backend.look, medium, params)
        except ValleyError as error:
            raise refusal(error, param=param) from error
        self.metrics.decode_s.observe(time.monotonic() - started_s)
        return int(frames.pixels.nbytes)

    def _takes_no(self, kind: str, param: str) -> RequestError:
        can = self.capabilities
        taken = ", ".join(("text", *can.media))
        return RequestError(f"{can.model} takes no {kind}; it takes {taken}", code="unsupported", param=param)

    async def _in_time(self, work: Awaitable[T], started_s: float) -> T:
        try:
            return await asyncio.wait_for(work, self._left_s(started_s))
        except asyncio.TimeoutError as error:
            raise self._late() from error

    def _left_s(self, started_s: float) -> float:
        return max(started_s + self._settings.request_timeout_s - time.monotonic(), 0.0)

    def _late(self) -> RequestError:
        most_s = self._settings.request_timeout_s
        return RequestError(
            f"the answer was not there after {most_s:g} s: ask for less, or raise --request-timeout",
            status=504,
            code="timeout",
        )


def _kind_of(file: StoredFile) -> Literal["image", "video"]:
    return "image" if file.kind == "image" else "video"


def shutting_down() -> RequestError:
    """Refuse, or end, because the server stops."""
    return RequestError("the server is being stopped", status=503, code="shutting_down", retry_after_s=5)
