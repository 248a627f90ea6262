"""What every inference engine offers: a conversation in, pieces of text out.

A backend knows neither the command line nor HTTP; it is given conversations and parameters, and yields text.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from valley.conversation import Conversation, Image, Video
from valley.errors import ConfigError
from valley.registry import Registry
from valley.video.frames import Frames
from valley.video.limits import DecodeLimits
from valley.video.sampling import FrameSampling

BACKENDS = Registry("valley.inference.backends", attribute="BACKEND", kind="inference backend")

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")

FinishReason: TypeAlias = Literal["stop", "length"]


@dataclass(frozen=True)
class GenerationParams:
    """How one answer is made.

    Attributes:
        max_new_tokens: the most tokens of an answer; 256 is a long paragraph.
        temperature: 0 takes the likeliest token each time, so that the same question gets the same words.
        top_p: keep the likeliest tokens whose probabilities sum to this; only used above temperature 0.
        seed: starts the random choice; only used above temperature 0. None draws a new one each time.
        stop: texts that end the answer; they are not part of it.
        answer_language: BCP-47 tag of the language to answer in; None leaves it to the model.
        sampling: which frames of each clip; None is what the checkpoint was trained with.
        isolated: decode files in a killable process of their own (untrusted uploads).
        on_damage: what to do when wanted frames of a clip cannot be decoded: "raise", or "warn" and go on
            with the others.
        limits: on the reading of each file; None takes those for files of one's own.
        cache_scope: for whom work is kept (frames, visual tokens, keys and values); what is kept for one is
            never used for another.
        response_schema: JSON schema that the answer has to fit, where the engine can hold the model to it
            (`Capabilities.structured_output`); elsewhere it changes nothing.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    answer_language: str | None = None
    sampling: FrameSampling | None = None
    isolated: bool = False
    on_damage: Literal["raise", "warn"] = "raise"
    limits: DecodeLimits | None = None
    cache_scope: str = ""
    response_schema: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what no engine can do."""
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if not 0 <= self.temperature <= 100:
            raise ConfigError(f"temperature must lie between 0 and 100, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must lie above 0 and at most at 1, got {self.top_p}")
        if self.answer_language is not None and not _LANGUAGE_TAG.fullmatch(self.answer_language):
            raise ConfigError(f"language {self.answer_language!r}: want a tag such as en, zh or pt-BR")
        if self.seed is not None and not -(2**63) <= self.seed < 2**64:
            raise ConfigError(f"seed must fit into 64 bits, got {self.seed}")
        if any(not text for text in self.stop):
            raise ConfigError("a stop text must not be empty")


@dataclass(frozen=True)
class MediaUse:
    """What of one medium the model saw.

    Attributes:
        path: the file as it was named, or a description of the bytes.
        kind: "image" or "video".
        duration_s: length of the clip in seconds; 0 for an image.
        timestamps_s: when each sampled frame is shown, in seconds from the first frame.
        missing_s: wanted times whose frames could not be decoded.
    """

    path: str
    kind: Literal["image", "video"]
    duration_s: float
    timestamps_s: tuple[float, ...]
    missing_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Usage:
    """Tokens counted.

    Attributes:
        prompt: all of the prompt.
        visual: those of them that stand for pictures.
        completion: the answer's.
        cached: those of the prompt whose keys and values an earlier question left.
    """

    prompt: int
    visual: int
    completion: int
    cached: int = 0


@dataclass(frozen=True)
class Timing:
    """Seconds spent: reading media and building the prompt, until the first token, and in all."""

    prepare: float
    first_token: float
    total: float


@dataclass(frozen=True)
class Finish:
    """What is known when an answer has ended.

    Attributes:
        reason: "stop" where the model ended by itself, "length" where the limit did.
        usage: tokens.
        timing_s: seconds.
        media: what was seen, in the order of the conversation.
        prompt_ids: every token of the prompt, placeholders of visual tokens among them; None where the
            engine does not say (a server).
    """

    reason: FinishReason
    usage: Usage
    timing_s: Timing
    media: tuple[MediaUse, ...] = ()
    prompt_ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Piece:
    """Some words of an answer; the last piece carries `finish` (and may carry no words)."""

    text: str
    finish: Finish | None = None


@dataclass(frozen=True)
class Capabilities:
    """What an engine with its model can do.

    Attributes:
        model: the name answers are signed with.
        media: the kinds of parts it understands besides text.
        max_context_tokens: prompt and answer together; None where there is no limit.
        default_sampling: the frames it takes when nobody asks otherwise.
        reuses_prefix: whether a second question about the same video costs no second vision pass.
        question_first: whether it was trained on questions before media, with a new line between.
        max_concurrency: how many streams it answers together; more wait their turn.
        structured_output: whether it holds answers to `GenerationParams.response_schema`.
    """

    model: str
    media: tuple[Literal["image", "video"], ...]
    max_context_tokens: int | None
    default_sampling: FrameSampling = field(default_factory=FrameSampling)
    reuses_prefix: bool = False
    question_first: bool = False
    max_concurrency: int = 1
    structured_output: bool = False


@dataclass(frozen=True)
class CacheUse:
    """What one kind of kept work has saved: how often it was there, how often not, and its bytes now."""

    hits: int
    misses: int
    num_bytes: int


@dataclass(frozen=True)
class CacheStats:
    """What an engine keeps: decoded frames, visual tokens, and keys and values of earlier prompts."""

    frames: CacheUse
    features: CacheUse
    prefixes: CacheUse


@runtime_checkable
class KeepsWork(Protocol):
    """An engine that can say what its caches have saved."""

    def cache_stats(self) -> CacheStats:
        """Count since the engine was made."""
        ...


@runtime_checkable
class Backend(Protocol):
    """An inference engine with a model in it."""

    @property
    def capabilities(self) -> Capabilities:
        """Say what this engine can do."""
        ...

    def look(self, medium: Image | Video, params: GenerationParams) -> Frames:
        """Give the frames that the model is shown of a medium.

        Raises:
            MediaError: it cannot be read.
        """
        ...

    def stream(self, conversation: Conversation, params: GenerationParams) -> Generator[Piece, None, None]:
        """Yield the answer to the last user turn, piece by piece, whole characters only.

        Exactly one piece, the last, carries `finish`. Closing the generator stops the work.

        May be called from several threads; streams that run at the same time do not change each other's
        answers.

        Raises:
            MediaError: a medium cannot be read.
            BackendError: the prompt does not fit the model, memory ran out, or a server does not answer.
        """
        ...

    def identity(self) -> dict[str, Any]:
        """Say what decides an answer beside conversation and parameters, JSON-ready.

        At least `engine`, `model`, and, where the engine knows them, `weights` (a hash of their content),
        `processor` (its settings), `chat_template` (a hash), `dtype` and `device`.
        """
        ...

    def close(self) -> None:
        """End what runs, and give back threads, connections and what is kept; it answers nothing after."""
        ...
