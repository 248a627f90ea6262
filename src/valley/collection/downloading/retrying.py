"""When to try again: faults that may pass, pauses that grow, and what a host asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from valley.collection.downloading.limits import FetchLimits
from valley.collection.executor import RefusedError
from valley.fetching.errors import FetchError, NetworkError, NoAddressError

# Enough to believe it; what is not here is tried as often as the limits allow.
_MOST_ATTEMPTS = {"unresolvable": 2, "bad_certificate": 1}


class AgainError(RefusedError):
    """A fault that may pass; with the last try it is final.

    Attributes:
        after_s: how long the host asks to be left alone; None: it does not say.
        most_attempts: so many tries are enough to believe it; None: as many as the limits allow.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        number: float | int | None = None,
        *,
        after_s: float | int | None = None,
        most_attempts: int | None = None,
    ) -> None:
        super().__init__(reason, detail, number)
        self.after_s = after_s
        self.most_attempts = most_attempts

    def is_final(self, attempts: int, limits: FetchLimits) -> bool:
        """Whether these many tries are enough."""
        return attempts >= min(limits.max_attempts, self.most_attempts or limits.max_attempts)


@contextmanager
def as_outcomes() -> Iterator[None]:
    """Let the errors of asking be outcomes of a task.

    Raises:
        AgainError: the fault may pass.
        RefusedError: it does not.
    """
    try:
        yield
    except (NetworkError, NoAddressError) as error:
        most = _MOST_ATTEMPTS.get(error.reason)
        raise AgainError(error.reason, error.detail, error.number, most_attempts=most) from error
    except FetchError as error:
        raise RefusedError(error.reason, error.detail, error.number) from error


def pause_s(attempts: int, fault: AgainError, limits: FetchLimits, *, jitter: float) -> float:
    """Say how long to wait before the next try.

    Args:
        attempts: made so far, at least 1.
        fault: of the last one.
        limits: the bounds of a pause.
        jitter: in [0, 1): which part of the longest pause to take, so that many do not come back at once.
    """
    longest_s = min(limits.max_backoff_s, limits.first_backoff_s * 2.0 ** min(attempts - 1, 30))
    own_s = longest_s * (0.5 + 0.5 * jitter)
    return max(own_s, min(fault.after_s or 0.0, limits.max_retry_after_s))


def retry_after_s(value: str | None, *, date: str | None = None) -> float | None:
    """Read a Retry-After header: seconds, or a date.

    Args:
        value: of the header.
        date: the answer's own Date header, by whose clock the other date is meant; without it, by ours.

    Returns:
        Seconds from now, at least 0; None where it says nothing that can be understood.
    """
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    until = _parse_date(value)
    if until is None:
        return None
    now = _parse_date(date) or datetime.now(timezone.utc)
    return max(0.0, (until - now).total_seconds())


def _parse_date(value: str | None) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=timezone.utc)
