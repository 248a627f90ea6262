"""Why a request is refused, in the shape of OpenAI's errors.

{"error": {"message": "...", "type": "invalid_request_error", "param": "messages.0", "code": "invalid"}}
"""

from __future__ import annotations

import re
from typing import Any

from valley.errors import (
    BackendError,
    ConfigError,
    ContextLengthError,
    DecodeTimeoutError,
    EngineUnavailableError,
    MediaError,
    SamplingError,
    TooLargeError,
    TooLongError,
    ValleyError,
)

_ADDRESS = re.compile(r"https?://[^\s'\"()]+[^\s'\"().,:;]")
_PATH = re.compile(r"(file:)?(?<![\w.<])([A-Za-z]:\\|\\\\|~?/+)[^\s'\":;,()/\\]+[/\\][^\s'\":;,()]*")
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class RequestError(ValleyError):
    """A request is refused.

    Attributes:
        status: of the HTTP response.
        code: a word for programs and for the metrics.
        param: the field that does not fit, such as "messages.0.content.1.video_url".
        retry_after_s: when it may be worth another try.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "invalid",
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """Give the headers that belong to the response."""
        headers = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        return headers | ({"www-authenticate": "Bearer"} if self.status == 401 else {})

    def to_record(self) -> dict[str, Any]:
        """Give the body of the response."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        message = str(self).encode("utf-8", "replace").decode()
        return {"error": {"message": message, "type": kind, "param": self.param, "code": self.code}}


class MediaRefusedError(RequestError):
    """A medium is not taken: its address is not allowed, it is too large, it is none, or it is not there."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message, status=status, code=code)


# The first kind that fits says status and code.
_KINDS: tuple[tuple[type[ValleyError], int, str], ...] = (
    (DecodeTimeoutError, 400, "media_timeout"),
    (TooLargeError, 400, "media_too_large"),
    (TooLongError, 400, "media_too_long"),
    (MediaError, 400, "media_unreadable"),
    (SamplingError, 400, "sampling"),
    (ConfigError, 400, "invalid"),
    (ContextLengthError, 400, "context_length_exceeded"),
    (EngineUnavailableError, 503, "engine_unavailable"),
    (BackendError, 400, "engine_refused"),
)


def refusal(error: ValleyError, *, param: str | None = None) -> RequestError:
    """Give the refusal that an error of the floors below becomes."""
    if isinstance(error, RequestError):
        return error
    status, code = next(((s, c) for kind, s, c in _KINDS if isinstance(error, kind)), (400, "invalid"))
    return RequestError(words_for_client(error), status=status, code=code, param=param)


def words_for_client(error: ValleyError) -> str:
    """Say what is wrong, and nothing of where things lie here: no path, no address behind this server."""
    if isinstance(error, MediaError):
        words = error.reason + (f"; {error.cure}" if error.cure else "")
    else:
        words = error.reason if isinstance(error, SamplingError) else str(error)
    # What libraries and other servers say may name a place, too.
    return _PATH.sub("the file", _ADDRESS.sub("the server behind this one", words))
