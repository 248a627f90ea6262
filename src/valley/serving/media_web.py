"""Media from the web: from hosts that were allowed, at public addresses, within so many bytes and seconds."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from valley.fetching.addresses import Resolver, host_of, parse_url, resolve
from valley.fetching.asking import Answer, Manner, asked
from valley.fetching.connecting import Clock, Connect, Connections, connect, make_pool
from valley.fetching.errors import FetchError, network_error
from valley.serving.errors import MediaRefusedError
from valley.serving.media_data import too_large
from valley.serving.media_kinds import PICTURES, refuse_early, suffix_for
from valley.serving.media_settings import USUAL_PORTS, MediaSettings
from valley.serving.media_spool import Draft, Entry, Spool

if TYPE_CHECKING:
    import httpx

_USER_AGENT = "valley-vl (a server that was given this address in a question)"
_REFUSED = {"private_address": 403}


@dataclass(frozen=True)
class Network:
    """The way to the network; another one makes a test.

    Attributes:
        resolver: gives the addresses of a name.
        connect: opens a connection to an address.
        clock: seconds, which only grow.
        ssl_context: whom to trust; None: the authorities of the package certifi.
    """

    resolver: Resolver = resolve
    connect: Connect = connect
    clock: Clock = time.monotonic
    ssl_context: ssl.SSLContext | None = None


class WebMedia:
    """Fetches; one object serves all threads."""

    def __init__(self, settings: MediaSettings, network: Network) -> None:
        self._settings = settings
        self._network = network
        self._allowed = frozenset(_host_and_port(entry) for entry in settings.allow_hosts)
        self._manner = Manner(
            _USER_AGENT, settings.max_redirects, settings.connect_timeout_s, settings.read_timeout_s
        )
        self._connections = Connections(
            resolver=network.resolver, connect=network.connect, clock=network.clock, allow_private=False
        )
        self._pool: Any = None
        if settings.fetches:
            self._pool = make_pool(
                self._connections, num_connections=settings.max_fetches, ssl_context=network.ssl_context
            )

    def store(self, url: str, kind: str, owner: str, spool: Spool) -> Entry:
        """Bring a medium to the disk; see `Spool.keep` for what the caller owes.

        Raises:
            MediaRefusedError: it may not be fetched, cannot be, or is none.
        """
        if not self._settings.fetches:
            raise MediaRefusedError(
                403,
                "host_not_allowed",
                "this server fetches nothing from the web: upload the medium (/v1/files) or send a data URL",
            )
        try:
            with spool.draft() as draft:
                draft.begin_file("clip")
                suffix = self._fetch(url, kind, draft)
                draft.end_file()
                name = f"clip{suffix}"
                (draft.folder / "clip").rename(draft.folder / name)
                return spool.keep(draft, owner, name, suffix)
        except FetchError as error:
            raise _refusal(error) from error

    def close(self) -> None:
        """End all connections; threads that wait for one go on with an error."""
        self._connections.cut()
        if self._pool is not None:
            self._pool.close()

    def _fetch(self, url: str, kind: str, draft: Draft) -> str:
        """Fetch into the draft's file, and tell the container."""
        import httpcore

        deadline_s = self._network.clock() + self._settings.timeout_s
        try:
            with (
                self._connections.until(deadline_s),
                asked(self._pool, url, self._manner, check=self._check) as answer,
            ):
                self._check_answer(answer, kind)
                content_type = answer.headers.get("content-type", "")[:200]
                for data in answer.response.iter_stream():
                    draft.write(data)
                    refuse_early(draft.head, kind, content_type)
                    if draft.num_bytes > self._settings.max_bytes(kind):
                        raise too_large(self._settings.max_bytes(kind))
                    if self._network.clock() >= deadline_s:
                        raise FetchError("timeout", f"not there after {self._settings.timeout_s:g} s")
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise network_error(error, draft.num_bytes) from error
        suffix = suffix_for(draft.head, kind, content_type=content_type)
        if suffix in PICTURES and draft.num_bytes > self._settings.max_image_bytes:
            raise too_large(self._settings.max_image_bytes)
        return suffix

    def _check(self, url: httpx.URL) -> None:
        """Refuse an address before anything is resolved."""
        host, port = host_of(url), url.port or USUAL_PORTS[url.scheme]
        if url.userinfo:
            raise MediaRefusedError(400, "bad_url", "an address with a name or password in it is not taken")
        if (host, port) in self._allowed or ((host, None) in self._allowed and _is_usual(url)):
            return
        if self._settings.allow_any_public_host and _is_usual(url):
            return
        raise MediaRefusedError(
            403, "host_not_allowed", f"this server fetches nothing from {host} at port {port}"
        )

    def _check_answer(self, answer: Answer, kind: str) -> None:
        if answer.status != 200:
            reason = "not_found" if answer.status in (404, 410) else "http_error"
            raise FetchError(reason, f"the host says {answer.status}", answer.status)
        answer.refuse_encoding()
        most_bytes = self._settings.max_bytes(kind)
        if answer.length is not None and answer.length > most_bytes:
            raise too_large(most_bytes)


def _is_usual(url: httpx.URL) -> bool:
    return (url.port or USUAL_PORTS[url.scheme]) == USUAL_PORTS[url.scheme]


def _host_and_port(entry: str) -> tuple[str, int | None]:
    """Read "HOST" or "HOST:PORT".

    Raises:
        FetchError: it is neither.
    """
    url = parse_url(f"http://{entry}/")
    if url.path != "/" or url.query or url.userinfo:
        raise FetchError("bad_url", f"want HOST or HOST:PORT, got {entry!r}")
    is_given = entry.rstrip("]").rpartition(":")[2].isdigit() and not entry.endswith("]")
    return host_of(url), (url.port or 80) if is_given else None


def _refusal(error: FetchError) -> MediaRefusedError:
    """Say it to a client; what a name stands for in this network is none of their business."""
    status = _REFUSED.get(error.reason, 400)
    detail = "its host is not on the public network" if status == 403 else error.detail
    return MediaRefusedError(status, f"media_{error.reason}", f"the medium cannot be fetched: {detail}")
