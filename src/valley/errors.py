"""The errors a user of Valley can meet; each message says what was wanted, what came, and what to do."""

from __future__ import annotations


class ValleyError(Exception):
    """Base of every error a user can cause; the command line prints it as one sentence and exits with 1."""


class ConfigError(ValleyError):
    """A setting, recipe or checkpoint does not fit."""


class UnknownNameError(ValleyError):
    """A name is not registered; the message lists the nearest ones."""


class BackendError(ValleyError):
    """An inference backend could not do what was asked."""


class ContextLengthError(BackendError):
    """The prompt leaves no room for an answer."""


class EngineUnavailableError(BackendError):
    """The engine cannot answer now: memory ran out, its server is away, it was closed. Later it may."""


class ConversationError(ValleyError):
    """A conversation record does not fit its schema."""


class MissingExtraError(ValleyError):
    """An optional dependency is absent; the message carries the pip line, or two where either will do."""

    def __init__(self, *, wanted_by: str, package: str, extra: str, or_extra: str | None = None) -> None:
        lines = [f"pip install 'valley-vl[{name}]'" for name in (extra, or_extra) if name is not None]
        super().__init__(f"{wanted_by} needs {package}: {' or '.join(lines)}")


class MediaError(ValleyError):
    """A file, folder or byte string could not be read as images or video.

    Attributes:
        source: path or description of the medium.
        reason: what was found.
        cure: what the user can do, or an empty string.
    """

    def __init__(self, source: object, reason: str, cure: str = "") -> None:
        self.source = str(source)
        self.reason = reason
        self.cure = cure
        super().__init__(f"{self.source}: {reason}" + (f"; {cure}" if cure else ""))

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """Keep the three parts when the error crosses a process boundary."""
        return type(self), (self.source, self.reason, self.cure)


class MediaNotFoundError(MediaError):
    """There is no such file or folder."""


class EmptyMediaError(MediaError):
    """The file or folder holds nothing."""


class NotAVideoError(MediaError):
    """The bytes are no container or picture that FFmpeg knows."""


class TruncatedError(MediaError):
    """The file ends before its index (an mp4 without its moov box, an interrupted download)."""


class NoVideoStreamError(MediaError):
    """The container is sound but holds no picture stream (audio only, subtitles only)."""


class DamagedError(MediaError):
    """Some wanted frames cannot be decoded."""


class TooLargeError(MediaError):
    """The file or its pictures exceed a byte, pixel or memory limit."""


class TooLongError(MediaError):
    """The clip lasts longer, or holds more frames, than the limit."""


class DecodeTimeoutError(MediaError):
    """Decoding did not end within its time limit."""


class SamplingError(ValleyError):
    """A request for frames contradicts itself or the clip (a window outside it, fps and times together).

    Attributes:
        reason: what was found.
        source: path or description of the clip, where the request is about one.
    """

    def __init__(self, reason: str, *, source: str | None = None) -> None:
        super().__init__(reason if source is None else f"{source}: {reason}")
        self.reason = reason
        self.source = source
