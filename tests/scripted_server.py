"""A server over real sockets that answers as it is told, faults and all; and what it was asked."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Act = Callable[["Handler", Asked], None]


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        while not self.rfile.closed and (asked := self._read()) is not None:
            self.server.asked.append(asked)
            self.server.act(asked)(self, asked)

    def _read(self) -> Asked | None:
        try:
            first = self.rfile.readline().decode().split()
            if len(first) < 3:
                return None
            headers = {}
            while (line := self.rfile.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            if headers.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(headers.get("content-length", 0)))
        except ConnectionError:
            return None
        return Asked(first[0], first[1], headers, body)

    def say(self, status: int, kind: str, content: bytes, **headers: str) -> None:
        told = {"content-type": kind, "content-length": str(len(content)), **headers}
        lines = [f"HTTP/1.1 {status} Said", *(f"{k.replace('_', '-')}: {v}" for k, v in told.items())]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + content)


@dataclass
class Server(socketserver.ThreadingTCPServer):
    """Answers GET with `pages` and POST with the next of `script`; the last of it stays."""

    script: list[Act]
    pages: dict[str, Any] = field(default_factory=lambda: {"/v1/models": {"data": [{"id": "m"}]}})

    def __post_init__(self) -> None:
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self.daemon_threads = True
        super().__init__(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Let a client go away in silence."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def chats(self) -> list[dict[str, Any]]:
        return [a.json for a in self.asked if a.path == "/v1/chat/completions"]

    def act(self, asked: Asked) -> Act:
        if asked.method == "GET":
            page = self.pages.get(asked.path)
            return says({"detail": "Not Found"}, 404) if page is None else says(page)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def says(value: Any, status: int = 200, **headers: str) -> Act:
    return lambda handler, _: handler.say(status, "application/json", json.dumps(value).encode(), **headers)


def fails(status: int, message: str = "no", code: str | None = None, **headers: str) -> Act:
    return says({"error": {"message": message, "code": code}}, status, **headers)


def chunk(text: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": None}
    return {"choices": [choice | {k: more.pop(k) for k in ("finish_reason",) if k in more}], **more}


def stream(*events: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(e, ensure_ascii=False).encode() + b"\n\n" for e in events) + end


WHOLE = (
    chunk("To the "),
    chunk("right."),
    chunk(finish_reason="stop"),
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}},
)


def streams(*events: Any, content: bytes | None = None) -> Act:
    """Answer with a whole stream."""
    data = stream(*(events or WHOLE)) if content is None else content
    return lambda handler, _: handler.say(200, "text/event-stream", data)


def breaks_off(*events: Any, reset: bool = False) -> Act:
    """Begin a stream, and close the connection within it."""

    def act(handler: Handler, _: Asked) -> None:
        data = stream(*events, end=b"")
        told = b"content-type: text/event-stream\r\ncontent-length: 99999"  # more than will come
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + told + b"\r\n\r\n" + data)
        handler.wfile.flush()
        _cut(handler, reset=reset)

    return act


def resets(handler: Handler, _: Asked) -> None:
    """Close the connection without a word."""
    _cut(handler, reset=True)


def _cut(handler: Handler, *, reset: bool) -> None:
    if reset:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for held in (handler.rfile, handler.wfile, handler.connection):  # each keeps the connection open
        held.close()


def hangs(handler: Handler, _: Asked) -> None:
    """Say nothing until the test has ended."""
    handler.server.released.wait(30)


def drips(*events: Any, closed: threading.Event) -> Act:
    """Stream without an end, until the client goes away; then set `closed`."""

    def act(handler: Handler, _: Asked) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        try:
            while not handler.server.released.wait(0.01):
                handler.wfile.write(stream(*events, end=b""))
        except OSError:
            closed.set()

    return act
