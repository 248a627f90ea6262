"""Talking to a server over HTTP: requests sent again while that can help, errors that say who and why.

Knows nothing of chats. A stream of events looks like this::

    data: {"choices":[{"delta":{"content":"To the"}}]}

    data: [DONE]
"""

from __future__ import annotations

import io
import ipaddress
import itertools
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from valley.errors import BackendError, ConfigError, EngineUnavailableError, MissingExtraError
from valley.inference.backends._server_errors import (
    UNAVAILABLE,
    BusyError,
    LostError,
    RefusedError,
    seconds_of,
    told,
)

try:
    import httpx
except ImportError as error:
    raise MissingExtraError(wanted_by="asking a server", package="httpx", extra="serve") from error

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_TRIES_OF_A_FAILURE = 3
_MOST_ERROR_BYTES = 2**16
_MOST_LINE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        connect_s: until a connection stands.
        silence_s: between two signs of life; five minutes: a queue may be long, and a prompt too.
        retry_s: how long a request is sent again that the server could not take now.
    """

    connect_s: float | int = 10.0
    silence_s: float | int = 300.0
    retry_s: float | int = 120.0


class Server:
    """One server; many threads may use it at once."""

    def __init__(self, base_url: str, *, api_key: str | None, patience: Patience) -> None:
        """Name it, such as "http://localhost:8000/v1".

        Raises:
            ConfigError: this is no such address.
        """
        url, api_key = _checked(base_url), _checked_key(api_key)
        host = url.hostname or ""
        shown_host = f"[{host}]" if ":" in host else host
        port = "" if url.port is None else f":{url.port}"
        self.url = f"{url.scheme}://{shown_host}{port}{url.path.rstrip('/')}"
        """The address without credentials."""
        self.patience = patience
        self._secrets = [s for s in (api_key, url.password) if s]
        self._closing = threading.Event()
        self._jitter = random.Random()  # many that were turned away together come back apart
        self._client = httpx.Client(
            base_url=base_url,
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(patience.silence_s, connect=patience.connect_s, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            trust_env=not _is_this_machine(host),  # no proxy stands between this machine and itself
        )

    def get(self, path: str) -> Any:  # noqa: ANN401
        """Ask for a JSON value; raises as `send` does, and at once where nobody listens."""
        return self._value(self.send("GET", path, reconnect=False))

    def upload(self, path: str, file: Path | bytes, kind: str) -> Any:  # noqa: ANN401
        """Send a file as a form; give the JSON value that comes back; raises as `send` does."""
        name = "upload" if isinstance(file, bytes) else file.name

        def once() -> httpx.Response:
            with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as opened:
                form = {"data": {"purpose": "user_data"}, "files": {"file": (name, opened, kind)}}
                return self._taken("POST", path, **form)

        return self._value(self._patiently(once))

    def delete(self, path: str) -> bool:
        """Ask once to delete something; give whether the server can be reached."""
        try:
            self._client.delete(path, timeout=self.patience.connect_s)
        except httpx.TransportError:
            return False
        return True

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, reconnect: bool = True
    ) -> httpx.Response:
        """Send a request until it is taken or `patience.retry_s` are over; give the response, unread.

        Raises:
            RefusedError: the server will not have it.
            LostError: the server cannot be reached, or breaks off.
            EngineUnavailableError: it has no room, for too long.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        return self._patiently(
            lambda: self._taken(method, path, content=content, headers=headers), reconnect=reconnect
        )

    def events(self, response: httpx.Response) -> Iterator[dict[str, Any]]:
        """Yield the events of a stream, up to its end or the server's own; one object where it is no stream.

        Raises:
            BackendError: this is no stream of events, or it holds an error.
            LostError: it breaks off.
        """
        if "json" in response.headers.get("content-type", ""):
            yield self._event(self._value(response))
            return
        for line in self._lines(response):
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            yield self._event(self._parsed(data))

    def close(self) -> None:
        """Close every connection; who waits for a retry gives up."""
        self._closing.set()
        self._client.close()

    def _patiently(self, once: Callable[[], httpx.Response], *, reconnect: bool = True) -> httpx.Response:
        until_s = time.monotonic() + self.patience.retry_s
        pause_s = _FIRST_PAUSE_S
        for tried in itertools.count(1):
            try:
                return once()
            except (LostError, BusyError, RefusedError) as error:
                if not _may_go_away(error, tried, reconnect=reconnect):
                    raise
                failure = error
            asked_s = failure.after_s if isinstance(failure, BusyError) else 0.0
            wait_s = max(asked_s, pause_s * (0.5 + self._jitter.random()))
            if time.monotonic() + wait_s > until_s:
                raise failure
            if self._closing.wait(wait_s):
                raise EngineUnavailableError(f"{self.url}: the engine was closed") from failure
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        raise AssertionError("counting has no end")

    def _taken(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401
        """Send once; give the response if the server took the request."""
        if self._closing.is_set():
            raise EngineUnavailableError(f"{self.url}: the engine was closed")
        try:
            response = self._client.send(self._client.build_request(method, path, **request), stream=True)
            if response.is_success:
                return response
            with closing(response):
                said = _beginning(response)
        except httpx.TransportError as error:
            raise self._lost(error) from error
        raise self._refusal(response, said)

    def _value(self, response: httpx.Response) -> Any:  # noqa: ANN401
        with closing(response):
            said = bytearray()
            try:
                for piece in response.iter_bytes():
                    said += piece
                    if len(said) > _MOST_LINE_BYTES:
                        raise BackendError(f"{self.url}: answers with more than {_MOST_LINE_BYTES} bytes")
            except (httpx.TransportError, httpx.DecodingError) as error:
                raise self._lost(error) from error
        return self._parsed(bytes(said))

    def _lines(self, response: httpx.Response) -> Iterator[bytes]:
        """Split at line feeds alone: other ends of lines may stand in a text."""
        rest = b""
        try:
            for piece in response.iter_bytes():
                *lines, rest = (rest + piece).split(b"\n")
                yield from lines
                if len(rest) > _MOST_LINE_BYTES:
                    raise BackendError(f"{self.url}: a line has more than {_MOST_LINE_BYTES} bytes")
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self._lost(error) from error
        yield rest

    def _parsed(self, data: bytes) -> Any:  # noqa: ANN401
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._nonsense(data) from error

    def _event(self, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._nonsense(json.dumps(value).encode())
        if value.get("error"):
            message, code = told(value)
            raise RefusedError(self._clean(f"{self.url} broke off: {message}"), status=200, code=code)
        return value

    def _nonsense(self, data: bytes) -> BackendError:
        words = " ".join(data[:200].decode("utf-8", "replace").split())
        return BackendError(
            self._clean(f"{self.url}: want the answer of an OpenAI-compatible server, got {words!r}")
            + "; does the address end in /v1?"
        )

    def _lost(self, error: Exception) -> LostError:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return LostError(f"{self.url}: no server answers ({error or 'in time'}); is it running?")
        if isinstance(error, httpx.TimeoutException):
            return LostError(f"{self.url}: the server said nothing for {self.patience.silence_s:g} s")
        words = self._clean(f"{error or type(error).__name__}")
        return LostError(f"{self.url}: the connection broke ({words})")

    def _refusal(self, response: httpx.Response, said: bytes) -> BackendError:
        status = response.status_code
        try:
            message, code = told(json.loads(said))
        except (ValueError, RecursionError):
            message, code = " ".join(said[:300].decode("utf-8", "replace").split()), ""
        cure = {401: "; is the key right?", 403: "; is the key right?", 404: "; does the address end in /v1?"}
        hint = cure.get(status, "") if not code else ""
        if response.is_redirect:
            hint = f"; it points to {response.headers.get('location', 'nowhere')}"
        sentence = self._clean(f"{self.url} answers {status}: {message or response.reason_phrase}{hint}")
        if status in UNAVAILABLE and code != "insufficient_quota":
            return BusyError(sentence, after_s=seconds_of(response.headers.get("retry-after", "")))
        return RefusedError(sentence, status=status, code=code)

    def _clean(self, words: str) -> str:
        for secret in self._secrets:
            words = words.replace(secret, "***")
        return words


def _checked(base_url: str) -> SplitResult:
    shown = re.sub(r"//[^/]*@", "//", base_url)  # no credentials in messages
    try:
        url = urlsplit(base_url)
        _ = url.port, httpx.URL(base_url)
    except (ValueError, httpx.InvalidURL) as error:
        raise ConfigError(f"{shown!r} is no address: {error}") from error
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"want a server's address such as http://localhost:8000/v1, got {shown!r}")
    return url


def _checked_key(api_key: str | None) -> str:
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("the key for the server has characters that no header can hold; copy it again")
    return key


def _may_go_away(failure: BackendError, tried: int, *, reconnect: bool) -> bool:
    """Whether the same request may be taken later."""
    if isinstance(failure, LostError):  # who waited for silence has waited long enough
        return reconnect and not isinstance(failure.__cause__, httpx.ReadTimeout)
    # A server that fails may fail at this very request: it gets three of them.
    return not isinstance(failure, RefusedError) or (failure.status == 500 and tried < _TRIES_OF_A_FAILURE)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _beginning(response: httpx.Response) -> bytes:
    said = b""
    try:
        for piece in response.iter_bytes():
            said += piece
            if len(said) > _MOST_ERROR_BYTES:
                break
    except httpx.DecodingError:
        return b""
    return said[:_MOST_ERROR_BYTES]
