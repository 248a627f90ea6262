"""What a server answers when it will not, or cannot now: as errors that tell these apart."""

from __future__ import annotations

import email.utils
import json
import math
import time

from valley.errors import BackendError, EngineUnavailableError

UNAVAILABLE = frozenset({408, 425, 429, 502, 503, 504, 529})


class RefusedError(BackendError):
    """The server will not have this request; another one may do.

    Attributes:
        status: of the HTTP response.
        code: the server's word for it, or an empty string.
    """

    def __init__(self, message: str, *, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class LostError(EngineUnavailableError):
    """The connection broke, or the server said nothing for too long."""


class BusyError(EngineUnavailableError):
    """The server has no room now; it may have said when to come again."""

    def __init__(self, message: str, *, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


def told(value: object) -> tuple[str, str]:
    """Give message and code of an error, as OpenAI's servers and some others write it."""
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or json.dumps(error)
        code = error.get("code")
        return " ".join(str(message).split())[:1000], code if isinstance(code, str) else ""
    return " ".join(str(error).split())[:1000], ""


def seconds_of(retry_after: str) -> float:
    """Read a Retry-After: seconds, or a date; 0 where it is neither."""
    try:
        given_s = float(retry_after)
        return max(given_s, 0.0) if math.isfinite(given_s) else 0.0
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return 0.0
