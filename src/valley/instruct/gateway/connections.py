"""Connections to the server that charges: HTTP/1.1, kept alive, one request at a time on each.

Written on h11 and not on a client for everything: such a one took more time for a call than all the rest of
the gateway. It tells apart what the gateway must know: whether a request went out before it failed.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from valley.errors import BackendError, ConfigError

if TYPE_CHECKING:
    import h11

MOST_REPLY_BYTES = 64 * 2**20
_PIECE_BYTES = 2**16


class NotSentError(BackendError):
    """The server was not reached: it has seen nothing of the request."""


class LostError(BackendError):
    """The request went out, and no whole response came back: the server may have charged for it."""


@dataclass(frozen=True)
class Response:
    """What came back; the names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.content.decode("utf-8", "replace")


class Connections:
    """Those to one server; as many as there are requests at once."""

    def __init__(
        self, base_url: str, *, api_key: str = "", timeout_s: float = 120.0, connect_timeout_s: float = 10.0
    ) -> None:
        """Name the server, such as "https://api.example.com/v1".

        Raises:
            ConfigError: this is no such URL.
        """
        self._url = _checked(base_url)
        self._timeout_s, self._connect_timeout_s = timeout_s, connect_timeout_s
        headers = {"host": self._url.netloc.rpartition("@")[2], "accept": "application/json"}
        headers |= {"accept-encoding": "identity", "content-type": "application/json"}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._free: list[_Connection] = []
        self._context: ssl.SSLContext | None = None

    async def send(
        self, method: str, path: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request and give the response, whatever its status.

        Raises:
            NotSentError: the server cannot be reached.
            LostError: the request was sent, and the response did not come in time or not whole.
        """
        import h11

        target = f"{self._url.path.rstrip('/')}/{path}"
        told = {"content-length": str(len(body)), **(headers or {})}
        given = [*self._headers, *((name.encode(), value.encode()) for name, value in told.items())]
        request = h11.Request(method=method, target=target, headers=given)
        connection = self._idle() or await self._connect()
        is_whole = False
        try:
            response = await asyncio.wait_for(connection.exchange(request, body), self._timeout_s)
            is_whole = True
        except (OSError, EOFError, h11.ProtocolError, zlib.error, asyncio.TimeoutError) as error:
            raise LostError(str(error) or type(error).__name__) from error
        finally:
            if is_whole and connection.make_ready():
                self._free.append(connection)
            else:
                connection.close()
        return response

    def close(self) -> None:
        """Close what is kept alive."""
        for connection in self._free:
            connection.close()
        self._free.clear()

    def _idle(self) -> _Connection | None:
        while self._free:
            connection = self._free.pop()
            if connection.is_alive:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        url, context = self._url, None
        if url.scheme == "https":
            context = self._context = self._context or _tls()
        port = url.port or (443 if context else 80)
        try:
            opening = asyncio.open_connection(url.hostname, port, ssl=context, limit=_PIECE_BYTES)
            reader, writer = await asyncio.wait_for(opening, self._connect_timeout_s)
        except (OSError, asyncio.TimeoutError) as error:
            raise NotSentError(f"{url.hostname}:{port}: {error or type(error).__name__}") from error
        return _Connection(reader, writer)


class _Connection:
    """One of them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import h11

        self._reader, self._writer = reader, writer
        self._state = h11.Connection(h11.CLIENT)

    @property
    def is_alive(self) -> bool:
        """Whether the server has not hung up, and said nothing out of turn."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    def make_ready(self) -> bool:
        """Get ready for another request; tell whether one may follow."""
        import h11

        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        return True

    async def exchange(self, request: h11.Request, body: bytes) -> Response:
        """Send a request and read the response."""
        import h11

        sent = (self._state.send(event) for event in (request, h11.Data(data=body), h11.EndOfMessage()))
        self._writer.write(b"".join(part for part in sent if part))
        await self._writer.drain()
        status, headers, parts, size = 0, {}, [], 0
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                size += len(event.data)
                parts.append(bytes(event.data))
                if size > MOST_REPLY_BYTES:
                    raise EOFError(f"a response of more than {MOST_REPLY_BYTES} bytes")
        content = b"".join(parts)
        if headers.get("content-encoding") == "gzip":  # some send it whatever is asked for
            content = zlib.decompressobj(31).decompress(content, MOST_REPLY_BYTES)
        return Response(status, headers, content)

    async def _event(self) -> object:
        import h11

        while (event := self._state.next_event()) is h11.NEED_DATA:
            self._state.receive_data(await self._reader.read(_PIECE_BYTES))
        if isinstance(event, h11.ConnectionClosed):
            raise EOFError("the server hung up")
        return event

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def _checked(base_url: str) -> SplitResult:
    url = urlsplit(base_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"want a base URL such as http://localhost:8000/v1, got {base_url!r}")
    return url


def _tls() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context(trust_env=False)
