"""A server that speaks OpenAI's API and answers by script: slow, wrong or breaking where asked to."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

ANSWER = "A **red** square starts at 0.5 s. It stops at 0:02, and at 10:30 nobody looks. <b>No</b> tag."
TIMES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)


class Served:
    """An ASGI application, in a thread, on a free port."""

    def __init__(self, app: Any) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.root = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        logging.getLogger("uvicorn.error").disabled = True
        config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def __enter__(self) -> "Served":
        self._thread.start()  # what is asked before it listens waits in the socket
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()
        assert not self._thread.is_alive()


class ScriptedServer:
    """What it was asked, and what it answers.

    Attributes:
        bodies: of the requests for answers, the newest last.
        keys: what came as `Authorization`.
        files: by id, (name, size).
        left: how many answers were left by their reader.
        is_valley: whether it says what Valley's server says beside OpenAI's.
        loading: how often it says first that it is loading its model.
    """

    def __init__(self, *, is_valley: bool = True) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.files: dict[str, tuple[str, int]] = {}
        self.left = 0
        self.is_valley = is_valley
        self.loading = 0
        self.app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/files", self._upload, methods=["POST"]),
                Route("/v1/files/{id}", self._delete, methods=["DELETE"]),
                Route("/v1/chat/completions", self._answer, methods=["POST"]),
            ]
        )

    async def _models(self, request: Request) -> Response:
        if self.loading > 0:
            self.loading -= 1
            return _error(503, "the model is being loaded")
        model: dict[str, Any] = {"id": "scripted", "object": "model"}
        if self.is_valley:
            model["capabilities"] = {"media": ["image", "video"], "max_context_tokens": 2048}
        return JSONResponse({"object": "list", "data": [model, {**model, "id": "another"}]})

    async def _upload(self, request: Request) -> Response:
        form = await request.form()
        file = form["file"]
        assert not isinstance(file, str)
        name = f"file-{len(self.files):032x}"
        self.files[name] = (file.filename or "", len(await file.read()))
        await form.close()
        return JSONResponse({"id": name, "object": "file"})

    async def _delete(self, request: Request) -> Response:
        self.files.pop(request.path_params["id"], None)
        return JSONResponse({"deleted": True})

    async def _answer(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers.get("authorization"))
        question = _last_text(body)
        if "wrong" in question:
            return _error(400, "want at most 3 clips, got 4; ask about fewer")
        if "busy" in question:
            return JSONResponse({"error": {"message": "full"}}, 429, headers={"retry-after": "7"})
        gone = [url for url in _urls(body) if url.startswith("file-") and url not in self.files]
        if gone:
            return _error(404, f"there is no file {gone[0]}")
        return StreamingResponse(self._events(body, question), media_type="text/event-stream")

    async def _events(self, body: dict[str, Any], question: str) -> AsyncIterator[bytes]:
        ended = False
        try:
            yield _event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
            if "long" in question:
                for number in range(3000):
                    yield _text(f"{number} ")
                    await asyncio.sleep(0.02)
            for word in _words(question):
                yield _text(word)
            if "break" in question:
                yield _event({"error": {"message": "out of memory", "type": "server_error"}})
                return
            last: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            if self.is_valley:
                last["media"] = [_medium(url) for url in _urls(body)]
            yield _event(last)
            counted = {"prompt_tokens": 99, "completion_tokens": 12, "total_tokens": 111}
            yield _event({"choices": [], "usage": counted})
            yield b"data: [DONE]\n\n"
            ended = True
        finally:
            self.left += not ended and "break" not in question


def _words(question: str) -> list[str]:
    words = ANSWER if "echo" not in question else question.partition("echo ")[2]
    return [words[place : place + 7] for place in range(0, len(words), 7)]


def _medium(url: str) -> dict[str, Any]:
    return {"kind": "video", "duration_s": 3.0, "timestamps_s": list(TIMES), "missing_s": []}


def _parts(body: dict[str, Any]) -> list[dict[str, Any]]:
    contents = [message["content"] for message in body["messages"]]
    return [part for content in contents if isinstance(content, list) for part in content]


def _urls(body: dict[str, Any]) -> list[str]:
    return [part[part["type"]]["url"] for part in _parts(body) if part["type"] != "text"]


def _last_text(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def _text(words: str) -> bytes:
    return _event({"choices": [{"index": 0, "delta": {"content": words}}]})


def _event(record: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(record, ensure_ascii=False).encode() + b"\n\n"


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status)
