"""How much one request, and all of them together, may ask of the server; each default with its reason."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from valley.errors import ConfigError
from valley.serving.asking import ChatRequest
from valley.serving.errors import RequestError
from valley.serving.media_settings import MediaSettings
from valley.video.limits import UNTRUSTED, DecodeLimits

Settings = TypeVar("Settings", DecodeLimits, "ServeSettings", "MediaSettings")

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MOST_STOP_CHARACTERS = 256  # the end of an answer is compared with each of them at every token


@dataclass(frozen=True)
class ServeSettings:
    """What a server is started with.

    Attributes:
        host: where it listens.
        port: 0 takes a free one.
        allowed_hosts: further names by which a browser may ask a server that listens on this machine alone.
        cors_origins: web pages elsewhere that may use the server; none.
        queue_size: requests that wait beside those that run. 32: twice a full batch; who comes behind them
            would wait longer than people do, and is told so at once.
        max_body_bytes: of a request's JSON. 64 MiB: a clip of 48 MB in base64; larger ones are uploaded.
        max_held_bytes: of all requests' JSON at once. 512 MiB: eight of the largest.
        body_timeout_s: for a request to arrive. 60 s: 64 MiB at 9 Mbit/s.
        upload_timeout_s: for an upload to arrive. 600 s: 512 MiB at 7 Mbit/s.
        max_messages: of a conversation. 1,000: five hundred questions and answers; each is rendered again.
        max_characters: of all words. 1 million: 250,000 tokens, more than most models take.
        max_media: pictures and clips of a request. 32.
        max_tokens: the most that a request may ask of an answer. 4,096: ten pages.
        default_max_tokens: where it does not say. 1,024: two pages; a model that knows its end is not cut.
        max_frames: that may be asked of one clip. 256: four minutes at one a second.
        max_decodes: files decoded at once. 2: each takes a core, and up to `decode.max_memory_bytes`.
        decode: on each file.
        request_timeout_s: for one answer, waiting included. 300 s: clients give up about then.
        grace_s: for what runs when the server is told to stop. 30 s: what process managers allow.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    queue_size: int = 32
    max_body_bytes: int = 64 * 2**20
    max_held_bytes: int = 512 * 2**20
    body_timeout_s: float | int = 60.0
    upload_timeout_s: float | int = 600.0
    max_messages: int = 1000
    max_characters: int = 1_000_000
    max_media: int = 32
    max_tokens: int = 4096
    default_max_tokens: int = 1024
    max_frames: int = 256
    max_decodes: int = 2
    decode: DecodeLimits = field(default=UNTRUSTED)
    request_timeout_s: float | int = 300.0
    grace_s: float | int = 30.0

    def __post_init__(self) -> None:
        """Refuse limits that let nothing through."""
        for name, value in vars(self).items():
            least = 0 if name in ("port", "queue_size", "grace_s") else 1
            if isinstance(value, int | float) and value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value}")

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine can ask."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host in LOOPBACK

    @property
    def known_hosts(self) -> tuple[str, ...] | None:
        """Give the names by which the server may be asked; None where any will do."""
        if not self.is_local and not self.allowed_hosts:
            return None
        return (*LOOPBACK, self.host, *self.allowed_hosts)

    def public(self) -> dict[str, int | float]:
        """Give the limits that a client can meet, for /v1/models."""
        names = (
            "max_body_bytes",
            "max_messages",
            "max_characters",
            "max_media",
            "max_tokens",
            "default_max_tokens",
            "max_frames",
            "request_timeout_s",
        )
        decode = {
            "max_clip_s": self.decode.max_duration_s,
            "max_pixels": self.decode.max_pixels,
        }
        return {name: getattr(self, name) for name in names} | decode

    def check(self, request: ChatRequest) -> None:
        """Refuse what asks for too much.

        Raises:
            RequestError: the message says what, and the limit.
        """
        asked = (
            ("messages", "messages", len(request.turns), self.max_messages),
            ("messages", "characters", request.num_characters, self.max_characters),
            ("messages", "pictures and clips", len(request.media), self.max_media),
            ("max_tokens", "tokens of an answer", request.max_tokens or 0, self.max_tokens),
            ("num_frames", "frames of a clip", request.num_frames or 0, self.max_frames),
            (
                "stop",
                "characters of a stop text",
                max(map(len, request.stop), default=0),
                _MOST_STOP_CHARACTERS,
            ),
        )
        for param, what, number, most in asked:
            if number > most:
                raise RequestError(
                    f"want at most {most} {what}, got {number}", code="limit_exceeded", param=param
                )


def with_given(settings: Settings, **given: Any) -> Settings:  # noqa: ANN401
    """Give the same settings with what is not None; the rest keeps its default.

    Raises:
        ConfigError: a value is out of range.
    """
    try:
        return replace(settings, **{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        raise ConfigError(str(error)) from error
