"""What a chat request asks: turns with named media, and how the answer is to be made. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from valley.conversation import Conversation, Image, Message, Role, Text, Video
from valley.errors import ConversationError
from valley.inference.backend import GenerationParams
from valley.inference.options import sampling_from


@dataclass(frozen=True)
class Medium:
    """A picture or clip by its address.

    Attributes:
        kind: None where only the content tells.
        url: data:, http(s):, file:, or the id of an uploaded file.
        param: where in the request it stands.
        start_s: beginning of the window.
        end_s: its end.
        timestamps_s: of a list of frames, when each is shown.
    """

    kind: Literal["image", "video"] | None
    url: str
    param: str
    start_s: float | None = None
    end_s: float | None = None
    timestamps_s: tuple[float, ...] | None = None

    def at(self, source: str | Path | bytes, kind: Literal["image", "video"] | None = None) -> Image | Video:
        """Give the medium with its content in this place."""
        if (self.kind or kind) == "image":
            return Image(source)
        return Video(source, self.start_s, self.end_s)


@dataclass(frozen=True)
class Turn:
    """One message: words and media in order."""

    role: Role
    parts: tuple[str | Medium, ...]


@dataclass(frozen=True)
class ChatRequest:
    """One question with its history; None leaves a choice to the server.

    Attributes:
        turns: the last is the user's.
        model: the name asked for.
        max_tokens: of the answer.
        temperature, top_p, seed, stop, response_schema: as in `GenerationParams`.
        stream: piece by piece.
        include_usage: whether a stream ends with the tokens counted.
        num_frames: of every clip; with `fps` the most of them.
        fps: frames a second of clip.
        language: of the answer.
    """

    turns: tuple[Turn, ...]
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | int | None = None
    top_p: float | int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    num_frames: int | None = None
    fps: float | None = None
    language: str | None = None
    response_schema: Mapping[str, Any] | None = None

    @property
    def media(self) -> tuple[Medium, ...]:
        """All media, in the order in which the model meets them."""
        return tuple(p for turn in self.turns for p in turn.parts if isinstance(p, Medium))

    @property
    def num_characters(self) -> int:
        """Count the words' characters."""
        return sum(len(p) for turn in self.turns for p in turn.parts if isinstance(p, str))

    def conversation(self, media: Sequence[Image | Video]) -> Conversation:
        """Put media in the places where they are named, in order.

        Raises:
            ConversationError: there are more or fewer media than places.
        """
        if len(media) != len(self.media):
            raise ConversationError(f"want {len(self.media)} media, got {len(media)}")
        remaining = iter(media)
        messages = tuple(
            Message(turn.role, tuple(Text(p) if isinstance(p, str) else next(remaining) for p in turn.parts))
            for turn in self.turns
        )
        return Conversation(messages, self.language or "en")

    def params(self, *, max_tokens: int = 256, **others: Any) -> GenerationParams:  # noqa: ANN401
        """Say how the answer is made.

        Args:
            max_tokens: where the request does not say.
            others: further fields of `GenerationParams`.

        Raises:
            ConfigError: a value is out of range.
            SamplingError: the wish for frames contradicts itself.
        """
        given = {"seed": self.seed, "response_schema": self.response_schema, "stop": self.stop}
        if self.temperature is not None:
            given["temperature"] = float(self.temperature)
        if self.top_p is not None:
            given["top_p"] = float(self.top_p)
        sampling = sampling_from(num_frames=self.num_frames, fps=self.fps)
        fields = {
            "max_new_tokens": self.max_tokens or max_tokens,
            "answer_language": self.language,
            "sampling": sampling,
        }
        return GenerationParams(**{**fields, **given, **others})
