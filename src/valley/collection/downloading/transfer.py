"""One try to fetch a medium over HTTP into its partial file, going on where an earlier try ended.

Bodies are taken as they are: a server is asked not to compress them, and one that does it all the same is
refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from valley.collection.downloading.limits import FetchLimits
from valley.collection.downloading.partial import Notes, Partial
from valley.collection.downloading.retrying import AgainError, as_outcomes, retry_after_s
from valley.collection.downloading.room import need_room
from valley.collection.executor import RefusedError
from valley.fetching.addresses import without_credentials
from valley.fetching.asking import Answer, Manner, asked
from valley.fetching.connecting import Clock, Connections
from valley.fetching.content import HEAD_BYTES, page_kind
from valley.fetching.errors import network_error

if TYPE_CHECKING:
    import httpcore

_FORBIDDEN = (401, 402, 403, 407, 451)
_PASSING = (408, 425, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")


class HttpTransfer:
    """Tries to fetch; one object serves all threads."""

    def __init__(
        self, pool: httpcore.ConnectionPool, connections: Connections, limits: FetchLimits, clock: Clock
    ) -> None:
        """Take what it works with.

        Args:
            pool: asks through `connections`.
            connections: are told the deadline of each try.
            limits: the bounds.
            clock: the one that `connections` goes by.
        """
        self._pool = pool
        self._connections = connections
        self._limits = limits
        self._clock = clock
        self._manner = Manner(
            limits.user_agent, limits.max_redirects, limits.connect_timeout_s, limits.read_timeout_s
        )

    def fetch(self, url: str, part: Partial, *, expected_bytes: int | None = None) -> None:
        """Fetch a medium, or the rest of it; afterwards the partial file is whole.

        Raises:
            RefusedError: there is nothing to be had; nothing is left of the part.
            AgainError: it may be had another time; what came stays in the part.
            OSError: the disk is full, or cannot be written.
        """
        import httpcore

        deadline_s = self._clock() + self._limits.timeout_s
        more = self._rest_of(part)
        with as_outcomes(), self._connections.until(deadline_s):
            try:
                with asked(self._pool, url, self._manner, more_headers=more) as answer:
                    self._check(answer, part, expected_bytes)
                    self._take_body(answer, part, deadline_s)
            except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
                raise network_error(error, part.num_bytes) from error

    def _rest_of(self, part: Partial) -> dict[str, str]:
        """Ask for the rest of what is there, if it is still of this version."""
        if not part.num_bytes or part.notes is None or not part.notes.validator:
            return {}
        return {"Range": f"bytes={part.num_bytes}-", "If-Range": part.notes.validator}

    def _check(self, answer: Answer, part: Partial, expected_bytes: int | None) -> None:
        """Refuse what is no medium, and make the part ready for the body."""
        if answer.status not in (200, 206):
            _refuse_status(answer, part)
        answer.refuse_encoding()
        length = _range_length(answer, part) if answer.status == 206 else answer.length
        if length is not None and length > self._limits.max_bytes:
            raise RefusedError("too_large", f"want at most {self._limits.max_bytes} bytes", length)
        if expected_bytes is not None and length not in (None, expected_bytes):
            raise AgainError(
                "wrong_length",
                f"want {expected_bytes} bytes, the server has {length}",
                length,
                most_attempts=2,
            )
        need_room(part.path.parent, (length or 0) - part.num_bytes, self._limits.keep_free_bytes)
        if answer.status == 200:
            part.begin(
                Notes(
                    _validator(answer),
                    length,
                    answer.headers.get("content-type", "")[:200],
                    without_credentials(str(answer.url)),
                )
            )

    def _take_body(self, answer: Answer, part: Partial, deadline_s: float | int) -> None:
        limits = self._limits
        since_s, since_bytes = self._clock(), part.num_bytes
        is_seen = part.num_bytes >= HEAD_BYTES
        for data in answer.response.iter_stream():
            part.append(data)
            if part.num_bytes > limits.max_bytes:
                raise RefusedError("too_large", f"want at most {limits.max_bytes} bytes", part.num_bytes)
            if not is_seen and len(part.head) >= HEAD_BYTES:
                refuse_page(part)
                is_seen = True
            now_s = self._clock()
            if now_s >= deadline_s:
                raise AgainError("timeout", f"not there after {limits.timeout_s:g} s", limits.timeout_s)
            if now_s - since_s >= limits.rate_window_s:
                rate = (part.num_bytes - since_bytes) / (now_s - since_s)
                if rate < limits.least_bytes_per_s:
                    raise AgainError("too_slow", f"came at {rate:.0f} bytes a second", rate, most_attempts=3)
                since_s, since_bytes = now_s, part.num_bytes


def refuse_page(part: Partial) -> None:
    """Check that what came, so far or in all, may be a medium.

    Raises:
        RefusedError: it is a page, as a server sends it that says "not found" with a status of 200.
    """
    kind = page_kind(part.head, part.notes.content_type if part.notes is not None else "")
    if kind:
        raise RefusedError("html", f"want a medium, got a page of {kind}", part.num_bytes)


def _refuse_status(answer: Answer, part: Partial) -> NoReturn:
    status = answer.status
    said = f"the server says {status}"
    if status == 429 or status in _PASSING or status >= 500:
        headers = answer.headers
        after_s = retry_after_s(headers.get("retry-after"), date=headers.get("date"))
        raise AgainError("rate_limited" if status == 429 else "server_error", said, status, after_s=after_s)
    if status == 416:  # the medium has changed since the first part of it came
        part.discard()
        raise AgainError("changed", f"{said}: the rest of an earlier version is gone", status)
    reason = {404: "not_found", 410: "gone"}.get(
        status, "forbidden" if status in _FORBIDDEN else "http_error"
    )
    raise RefusedError(reason, said, status)


def _range_length(answer: Answer, part: Partial) -> int | None:
    """Read how long the whole is of which this is the rest.

    Raises:
        AgainError: it is another part than was asked for, or one of another version.
    """
    given = _RANGE.fullmatch(answer.headers.get("content-range", "").strip())
    known = part.notes.length if part.notes is not None else None
    fits = given is not None and int(given[1]) == part.num_bytes > 0
    length = None if given is None or given[3] == "*" else int(given[3])
    if not fits or (length is not None and known is not None and length != known):
        said = answer.headers.get("content-range", "nothing")[:80]
        part.discard()
        raise AgainError("changed", f"want the bytes from {part.num_bytes} on, got {said}", 206)
    return known if length is None else length


def _validator(answer: Answer) -> str:
    """Give what tells this version from another, as If-Range takes it."""
    etag = answer.headers.get("etag", "").strip()
    found = etag or answer.headers.get("last-modified", "").strip()
    is_weak = etag.startswith("W/")  # may be said of other bytes that look alike
    return "" if is_weak or len(found) > 1000 or not (found.isascii() and found.isprintable()) else found
