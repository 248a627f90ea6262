"""One question to the web: redirects are followed by hand, each checked like the first address."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from valley.fetching.addresses import host_of, parse_url
from valley.fetching.errors import FetchError

if TYPE_CHECKING:
    import httpcore
    import httpx

_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Manner:
    """How a server is asked.

    Attributes:
        user_agent: says who asks.
        max_redirects: of one question.
        connect_timeout_s: until an address answers.
        read_timeout_s: between two arrivals.
    """

    user_agent: str
    max_redirects: int
    connect_timeout_s: float | int
    read_timeout_s: float | int


@dataclass(frozen=True)
class Answer:
    """The head of an answer that is no redirect, and where it came from."""

    response: httpcore.Response
    headers: httpx.Headers
    url: httpx.URL

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    @property
    def length(self) -> int | None:
        """How many bytes the server promises; None where it does not say."""
        given = self.headers.get("content-length", "")
        return int(given) if given.isascii() and given.isdigit() and len(given) < 16 else None

    def refuse_encoding(self) -> None:
        """Check that the body comes as it is: a few kilobytes can unfold to any size.

        Raises:
            FetchError: it is compressed ("content_encoding").
        """
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise FetchError("content_encoding", f"want the bytes as they are, got them in {encoding[:40]}")


@contextmanager
def asked(
    pool: httpcore.ConnectionPool,
    url: str,
    manner: Manner,
    *,
    more_headers: dict[str, str] | None = None,
    check: Callable[[httpx.URL], None] = lambda url: None,
) -> Iterator[Answer]:
    """Ask for a medium, uncompressed; the answer's body is there as long as the block runs.

    Args:
        pool: asks through `valley.fetching.connecting.Connections`.
        url: a web address; a name and password in it are sent as basic authorisation.
        manner: who asks, and how patiently.
        more_headers: beside the usual ones.
        check: is shown every address before it is asked, those of redirects too; refuses by raising.

    Raises:
        FetchError: an address is none ("bad_url", "unsupported_scheme"), or "too_many_redirects".
    """
    import httpcore
    import httpx

    target = parse_url(url)
    timeouts = {"connect": manner.connect_timeout_s, "read": manner.read_timeout_s}
    extensions = {"timeout": timeouts | {"write": manner.read_timeout_s}}
    for _ in range(manner.max_redirects + 1):
        check(target)
        core_url = httpcore.URL(
            scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path
        )
        headers = _headers(target, manner.user_agent, more_headers or {})
        with pool.stream("GET", core_url, headers=headers, extensions=extensions) as response:
            answer = Answer(response, httpx.Headers(response.headers), target)
            if answer.status not in _REDIRECTS or "location" not in answer.headers:
                yield answer
                return
        try:
            joined = target.join(answer.headers["location"])
        except (httpx.InvalidURL, ValueError) as error:
            raise FetchError("bad_url", "is redirected to no web address") from error
        target = parse_url(str(joined))
    raise FetchError("too_many_redirects", f"the last led to {host_of(target)}", manner.max_redirects)


def _headers(url: httpx.URL, user_agent: str, more: dict[str, str]) -> list[tuple[str | bytes, str | bytes]]:
    headers = {"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "identity"} | more
    if url.userinfo:
        words = unquote(url.userinfo.decode("ascii")).encode()
        headers["Authorization"] = f"Basic {base64.b64encode(words).decode('ascii')}"
    return list(headers.items())
