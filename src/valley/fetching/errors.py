"""Why a medium was not fetched, each in a word that a program can count."""

from __future__ import annotations

from valley.errors import ValleyError


class FetchError(ValleyError):
    """A medium cannot be had.

    Attributes:
        reason: in a word, such as "private_address".
        detail: the same for a person.
        number: of bytes, or the status, where there is one.
    """

    def __init__(self, reason: str, detail: str = "", number: float | int | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.number = number
        super().__init__(reason, detail, number)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class NoAddressError(FetchError):
    """A name has no address, now at least."""


class NetworkError(FetchError):
    """A connection failed on the way; it may go better another time."""


def network_error(error: Exception, num_bytes: int) -> NetworkError:
    """Say what a fault of httpcore's means.

    Args:
        error: a TimeoutException, NetworkError or ProtocolError.
        num_bytes: came before it.
    """
    import ssl

    import httpcore

    said = str(error)[:200] or type(error).__name__
    if isinstance(error, httpcore.TimeoutException):
        return NetworkError("timeout", said, num_bytes)
    if isinstance(error, httpcore.ConnectError):
        is_certificate = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in error.args)
        return NetworkError("bad_certificate" if is_certificate else "unreachable", said)
    if isinstance(error, httpcore.ProtocolError) and "complete message body" in said:
        return NetworkError("wrong_length", f"the body ended too soon: {said}", num_bytes)
    return NetworkError("connection_lost", said, num_bytes)
