"""Connections to addresses that were checked; each ends by its deadline, and all of them when told so.

httpx's client resolves names itself and cannot be told the address. Its engine, httpcore, can: it takes the
part that opens connections from outside. The name stays in the Host header and in the TLS handshake.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from valley.fetching.addresses import Resolver, checked_addresses, import_httpx

if TYPE_CHECKING:
    import httpcore

_KEEP_ALIVE_S = 10.0

Connect: TypeAlias = Callable[[str, int, float | int | None], Any]
"""Connects to an address and port within so many seconds; gives a network stream of httpcore's."""

Clock: TypeAlias = Callable[[], float | int]


def connect(address: str, port: int, timeout_s: float | int | None) -> Any:  # noqa: ANN401
    """Open a connection; see `Connect`."""
    import httpcore

    return httpcore.SyncBackend().connect_tcp(address, port, timeout_s)


class Connections:
    """What httpcore calls a network backend."""

    def __init__(self, *, resolver: Resolver, connect: Connect, clock: Clock, allow_private: bool) -> None:
        self._resolver = resolver
        self._connect = connect
        self._clock = clock
        self._allow_private = allow_private
        self._thread = threading.local()  # a connection serves one thread at a time, which has the deadline
        self._open: set[_Stream] = set()
        self._lock = threading.Lock()
        self._is_cut = False

    @contextmanager
    def until(self, deadline_s: float | int) -> Iterator[None]:
        """Let this thread's connections end by a time of the clock."""
        self._thread.deadline_s = deadline_s
        try:
            yield
        finally:
            del self._thread.deadline_s

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | int | None = None,
        local_address: str | None = None,
        socket_options: Any = None,  # noqa: ANN401
    ) -> _Stream:
        """Connect to the first address of a host that answers.

        Raises:
            FetchError: the host is none of the public network, or its name is unknown.
            httpcore.ConnectError: no address answers.
        """
        import httpcore

        addresses = checked_addresses(host, port, resolver=self._resolver, allow_private=self._allow_private)
        *others, last = addresses
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return self._opened(address, port, timeout)
        return self._opened(last, port, timeout)

    def _opened(self, address: str, port: int, timeout: float | int | None) -> _Stream:
        import httpcore

        return self.watched(self._connect(address, port, self.bounded(timeout, httpcore.ConnectTimeout)))

    def connect_unix_socket(self, path: str, timeout: float | int | None = None, **_: object) -> _Stream:
        """Refuse: no medium is fetched from there."""
        raise NotImplementedError(path, timeout)

    def sleep(self, seconds: float) -> None:
        """Refuse: httpcore is told not to try again by itself."""
        raise NotImplementedError(seconds)

    def bounded(self, timeout: float | int | None, error: type[Exception]) -> float:
        """Give the time that is left for the next step, at most `timeout`.

        Raises:
            error: none is left.
        """
        left_s = float(self._thread.deadline_s - self._clock())
        if left_s <= 0:
            raise error("the time of this try is over")
        return left_s if timeout is None else min(float(timeout), left_s)

    def watched(self, stream: Any) -> _Stream:  # noqa: ANN401
        """Keep an eye on a stream that was opened."""
        made = _Stream(stream, self)
        with self._lock:
            self._open.add(made)
            is_cut = self._is_cut
        if is_cut:
            made.cut()
        return made

    def forget(self, stream: _Stream) -> None:
        """Take a closed stream off the list."""
        with self._lock:
            self._open.discard(stream)

    def cut(self) -> None:
        """End all connections, now and from now on: threads that wait for one of them go on with an error."""
        with self._lock:
            self._is_cut = True
            streams = list(self._open)
        for stream in streams:
            stream.cut()


class _Stream:
    """A network stream of httpcore's that knows when its time is over."""

    def __init__(self, stream: Any, owner: Connections) -> None:  # noqa: ANN401
        self._stream = stream
        self._owner = owner

    def read(self, max_bytes: int, timeout: float | int | None = None) -> bytes:
        import httpcore

        return self._stream.read(max_bytes, self._owner.bounded(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | int | None = None) -> None:
        import httpcore

        self._stream.write(buffer, self._owner.bounded(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._owner.forget(self)
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | int | None = None,
    ) -> _Stream:
        import httpcore

        self._owner.forget(self)
        bounded_s = self._owner.bounded(timeout, httpcore.ConnectTimeout)
        return self._owner.watched(self._stream.start_tls(ssl_context, server_hostname, bounded_s))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401
        return self._stream.get_extra_info(info)

    def cut(self) -> None:
        """Wake whoever reads from it."""
        with suppress(OSError):  # it has ended by itself
            socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)


def make_pool(
    connections: Connections, *, num_connections: int, ssl_context: ssl.SSLContext | None = None
) -> httpcore.ConnectionPool:
    """Make what asks through these connections; the environment's proxies and certificates do not count.

    Args:
        connections: check addresses and keep time.
        num_connections: at once.
        ssl_context: whom to trust; None: the authorities of the package certifi.
    """
    httpx = import_httpx()
    import httpcore

    return httpcore.ConnectionPool(
        ssl_context=ssl_context or httpx.create_ssl_context(trust_env=False),
        max_connections=num_connections,
        max_keepalive_connections=num_connections,
        keepalive_expiry=_KEEP_ALIVE_S,
        network_backend=cast(Any, connections),  # does what its class does, without importing it
    )
