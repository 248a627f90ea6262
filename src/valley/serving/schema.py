"""The body of a chat request, as OpenAI has it, and what of it the model is asked.

    {"model": "valley-mini", "num_frames": 8, "messages": [{"role": "user", "content": [
      {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA...", "start": 2.0}},
      {"type": "text", "text": "What happens?"}]}]}

What would change the answer and is not supported is refused; what changes nothing is let through. Media are
only named here: nothing is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    Tag,
    ValidationError,
    model_validator,
)

from valley.serving.asking import ChatRequest, Medium, Turn
from valley.serving.bodies import refuse_bad_text
from valley.serving.errors import RequestError

# Fields that would change the answer: only the values that ask for nothing are taken.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "audio": (None,),
    "best_of": (None, 1),
    "frequency_penalty": (None, 0),
    "function_call": (None, "none"),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "min_p": (None, 0),
    "modalities": (None, ["text"]),
    "moderation": (None,),
    "n": (None, 1),
    "prediction": (None,),
    "presence_penalty": (None, 0),
    "reasoning_effort": (None, "none"),
    "repetition_penalty": (None, 1),
    "tool_choice": (None, "none", "auto"),
    "tools": (None, []),
    "top_k": (None, 0, -1),
    "top_logprobs": (None, 0),
    "verbosity": (None, "medium"),
    "web_search_options": (None,),
}
_IGNORED = (
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
)
# Of a message that another answer gave back.
_EMPTY_IN_MESSAGES: dict[str, tuple[object, ...]] = {
    "annotations": (None, []),
    "audio": (None,),
    "function_call": (None,),
    "reasoning": (None, ""),
    "reasoning_content": (None, ""),
    "refusal": (None,),
    "tool_calls": (None, []),
}
PARTS = ("text", "image_url", "video_url", "input_text", "input_image", "input_video", "file")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ImageAddress(_Strict):
    """Where a picture is."""

    url: str = Field(description="data:image/...;base64, or an uploaded id, or http(s) where it is allowed")
    detail: Literal["auto", "low", "high", "original"] | None = Field(None, description="changes nothing")


class VideoAddress(_Strict):
    """Where a clip is, and which stretch of it is meant."""

    url: str = Field(
        description="data:video/...;base64, or data:video/jpeg;base64,f1,f2,... (frames), or an uploaded id, "
        "or http(s), or file:, where they are allowed"
    )
    start: FiniteFloat | None = Field(None, description="only from this second on")
    end: FiniteFloat | None = Field(None, description="only up to this second")
    timestamps_s: Annotated[list[FiniteFloat], Field(min_length=1)] | None = Field(
        None, description="of frames: when each is shown, in seconds of their clip"
    )


class FileName(_Strict):
    """An uploaded file."""

    file_id: str


class TextPart(_Strict):
    """Words."""

    type: Literal["text", "input_text"]
    text: str


class ImagePart(_Strict):
    """A picture."""

    type: Literal["image_url", "input_image"]
    image_url: ImageAddress | str | None = None
    file_id: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None


class VideoPart(_Strict):
    """A clip."""

    type: Literal["video_url", "input_video"]
    video_url: VideoAddress | str | None = None
    file_id: str | None = None


class FilePart(_Strict):
    """An uploaded picture or clip."""

    type: Literal["file"]
    file: FileName | None = None
    file_id: str | None = None


def _kind(part: object) -> str | None:
    """Name a part by its type; none is no part."""
    kind = part.get("type") if isinstance(part, Mapping) else getattr(part, "type", None)
    return {"input_text": "text", "input_image": "image_url", "input_video": "video_url"}.get(
        str(kind), str(kind)
    )


Part: TypeAlias = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ImagePart, Tag("image_url")]
    | Annotated[VideoPart, Tag("video_url")]
    | Annotated[FilePart, Tag("file")],
    Discriminator(
        _kind, custom_error_type="part", custom_error_message=f"want a part of type {', '.join(PARTS)}"
    ),
]


def _form(content: object) -> str:
    return "words" if isinstance(content, str) else "parts"


class ChatMessage(_Strict):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[str, Tag("words")] | Annotated[list[Part], Tag("parts")], Discriminator(_form)
    ]
    name: str | None = Field(None, description="changes nothing")

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, message: object) -> object:
        return _without(message, _EMPTY_IN_MESSAGES)


class StreamOptions(_Strict):
    """What a stream tells besides words."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = Field(None, description="changes nothing")


class FrameOptions(_Strict):
    """Which frames, as vLLM spells it."""

    num_frames: Annotated[int, Field(ge=1)] | None = None
    fps: Annotated[FiniteFloat, Field(gt=0)] | None = None


class MediaOptions(_Strict):
    """Which frames, as vLLM spells it, by kind of medium."""

    video: FrameOptions | None = None


class JsonSchema(_Strict):
    """A named JSON schema."""

    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(_Strict):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatCompletionRequest(_Strict):
    """A conversation whose next turn is the assistant's, and how it is to be made."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    model: str | None = Field(None, description="as /v1/models lists it")
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[FiniteFloat, Field(ge=0)] | None = Field(
        None, description="0, the default, takes the likeliest token each time"
    )
    top_p: Annotated[FiniteFloat, Field(gt=0, le=1)] | None = None
    seed: int | None = None
    stop: (
        Annotated[
            Annotated[str, Tag("words")] | Annotated[list[str], Field(max_length=16), Tag("parts")],
            Discriminator(_form),
        ]
        | None
    ) = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    num_frames: Annotated[int, Field(ge=1)] | None = Field(
        None, description="frames of every clip; with fps the most of them"
    )
    fps: Annotated[FiniteFloat, Field(gt=0)] | None = Field(None, description="frames a second of clip")
    start: FiniteFloat | None = Field(None, description="for every clip that says nothing itself, in seconds")
    end: FiniteFloat | None = Field(None, description="for every clip that says nothing itself, in seconds")
    language: str | None = Field(None, description="the language to answer in, a tag such as en or pt-BR")
    mm_processor_kwargs: FrameOptions | None = None
    media_io_kwargs: MediaOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_neutral(cls, body: object) -> object:
        if isinstance(body, Mapping):
            body = {name: value for name, value in body.items() if name not in _IGNORED}
        return _without(body, _NEUTRAL)


def _without(fields: object, neutral: Mapping[str, tuple[object, ...]]) -> object:
    """Leave out fields that ask for nothing; refuse them where they ask for something."""
    if not isinstance(fields, Mapping):
        return fields
    for name in fields.keys() & neutral.keys():
        if fields[name] not in neutral[name]:
            raise RequestError(f"{name} is not supported; leave it out", code="unsupported", param=name)
    return {name: value for name, value in fields.items() if name not in neutral}


def read_request(body: object) -> ChatRequest:
    """Read the body of a chat request.

    Raises:
        RequestError: it does not fit; `param` names the field.
    """
    if not isinstance(body, Mapping):
        raise RequestError(f"want a JSON object with messages, got {type(body).__name__}")
    refuse_bad_text(body)
    try:
        asked = ChatCompletionRequest.model_validate(body)
    except ValidationError as error:
        raise _refusal(error, body) from error
    if asked.max_tokens and asked.max_completion_tokens not in (None, asked.max_tokens):
        raise RequestError("max_tokens and max_completion_tokens differ: give one", param="max_tokens")
    stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
    num_frames, fps = _frames(asked)
    return ChatRequest(
        turns=_turns(asked),
        model=asked.model or None,
        max_tokens=asked.max_completion_tokens or asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        seed=asked.seed,
        stop=tuple(stop),
        stream=bool(asked.stream),
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        num_frames=num_frames,
        fps=fps,
        language=asked.language or None,
        response_schema=_schema(asked.response_format),
    )


def _frames(asked: ChatCompletionRequest) -> tuple[int | None, float | None]:
    """Take the nearest wish for frames whole: a number at the top is not mixed with a rate from below."""
    places = (asked, asked.media_io_kwargs and asked.media_io_kwargs.video, asked.mm_processor_kwargs)
    for place in places:
        if place is not None and (place.num_frames is not None or place.fps is not None):
            return place.num_frames, None if place.fps is None else float(place.fps)
    return None, None


def _schema(wish: ResponseFormat | None) -> Mapping[str, Any] | None:
    if wish is None or wish.type == "text":
        return None
    if wish.type == "json_object":
        return {"type": "object"}
    if wish.json_schema is None or wish.json_schema.schema_ is None:
        raise RequestError("want json_schema.schema beside the type", param="response_format.json_schema")
    return wish.json_schema.schema_


def _turns(asked: ChatCompletionRequest) -> tuple[Turn, ...]:
    turns = []
    for number, message in enumerate(asked.messages):
        where = f"messages.{number}.content"
        parts: Sequence[Part] = (
            [TextPart(type="text", text=message.content)]
            if isinstance(message.content, str)
            else message.content
        )
        read = tuple(_part(p, asked, f"{where}.{i}") for i, p in enumerate(parts))
        role = "system" if message.role == "developer" else message.role
        if role != "user" and any(isinstance(p, Medium) for p in read):
            raise RequestError(f"media belong into user messages, not into {message.role}'s", param=where)
        turns.append(Turn(role, read))
    if turns[-1].role != "user":
        raise RequestError(
            "the last message must be the user's: what is there to answer?",
            param=f"messages.{len(turns) - 1}",
        )
    return tuple(turns)


def _part(part: Part, asked: ChatCompletionRequest, where: str) -> str | Medium:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, FilePart):
        return Medium(None, _one_of(part.file and part.file.file_id, part.file_id, where), where)
    if isinstance(part, ImagePart):
        given = part.image_url
        url = given.url if isinstance(given, ImageAddress) else given
        return Medium("image", _one_of(url, part.file_id, where), where)
    address = part.video_url
    own = address if isinstance(address, VideoAddress) else None
    window = own if own is not None and (own.start, own.end) != (None, None) else asked
    start_s, end_s = (None if t is None else float(t) for t in (window.start, window.end))
    url = own.url if own is not None else address
    source = _one_of(str(url) if url else None, part.file_id, where)
    told_s = None if own is None else own.timestamps_s
    times_s = None if told_s is None else tuple(float(t) for t in told_s)
    return Medium("video", source, where, start_s, end_s, times_s)


def _one_of(url: str | None, file_id: str | None, where: str) -> str:
    if (url is None) == (file_id is None):
        raise RequestError("want either an address (url) or a file_id", param=where)
    return url or file_id or ""


def _refusal(error: ValidationError, body: Mapping[str, Any]) -> RequestError:
    """Give the first thing that does not fit, where the client finds it."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    param = _path(found["loc"], body)
    words = found["msg"][:1].lower() + found["msg"][1:]
    if found["type"] == "extra_forbidden":
        words = "no such field is known; leave it out"
    code = "unsupported" if found["type"] == "part" else "invalid"
    return RequestError(f"{param}: {words}" if param else words, code=code, param=param or None)


def _path(steps: Sequence[int | str], body: object) -> str:
    """Give the steps that lead through the body; the names of alternatives lead nowhere and are left out."""
    here, path = body, []
    for number, step in enumerate(steps):
        inside = isinstance(here, list | tuple) and isinstance(step, int) and step < len(here)
        if inside or (isinstance(here, Mapping) and step in here):
            here = here[step]  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType]
            path.append(str(step))
        elif number == len(steps) - 1 and isinstance(here, Mapping):
            path.append(str(step)[:80])
    return ".".join(path)
