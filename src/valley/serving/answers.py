"""Answers in the shape of OpenAI's: whole, or in chunks; pydantic models of them for the OpenAPI page."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from valley.inference.backend import Finish, MediaUse, Usage
from valley.video.sampling import FrameSampling


class TokenDetails(BaseModel):
    """Tokens of the prompt: those that an earlier question left, and those that stand for pictures."""

    cached_tokens: int
    visual_tokens: int


class TokensUsed(BaseModel):
    """Tokens counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: TokenDetails


class ShownMedium(BaseModel):
    """What the model saw of a picture or clip, in the order of the prompt; times in seconds of the clip."""

    kind: str
    duration_s: float
    timestamps_s: list[float]
    missing_s: list[float]


class AnswerMessage(BaseModel):
    """The answer."""

    role: str
    content: str
    refusal: str | None


class Choice(BaseModel):
    """The only answer, and why it ended: "stop" or "length"."""

    index: int
    message: AnswerMessage
    finish_reason: str
    logprobs: None


class ChatCompletion(BaseModel):
    """A whole answer; a stream tells the same in chunks."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: TokensUsed
    media: list[ShownMedium]


class ErrorDetails(BaseModel):
    """Why a request is refused."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(BaseModel):
    """An error, as OpenAI has it."""

    error: ErrorDetails


class AnswerForm:
    """Gives the pieces of one answer their form."""

    def __init__(self, model: str) -> None:
        self._head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}

    def whole(self, text: str, finish: Finish) -> dict[str, Any]:
        """Give the answer in one piece."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": finish.reason, "logprobs": None}
        told = {
            "choices": [choice],
            "usage": usage_record(finish.usage),
            "media": media_records(finish.media),
        }
        return {**self._head, "object": "chat.completion", **told}

    def chunk(self, delta: dict[str, Any], finish: Finish | None = None) -> dict[str, Any]:
        """Give a piece of the answer; the last says why it ended, and what the model saw."""
        reason = None if finish is None else finish.reason
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        told = {} if finish is None else {"media": media_records(finish.media)}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice], **told}

    def count(self, usage: Usage) -> dict[str, Any]:
        """Give the chunk behind the last, with the tokens counted."""
        told = {"choices": [], "usage": usage_record(usage)}
        return {**self._head, "object": "chat.completion.chunk", **told}


def usage_record(usage: Usage) -> dict[str, Any]:
    """Count tokens as OpenAI does."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "visual_tokens": usage.visual},
    }


def media_records(media: Sequence[MediaUse]) -> list[dict[str, Any]]:
    """Say what was seen; where it lay is the server's own."""
    return [
        {
            "kind": use.kind,
            "duration_s": use.duration_s,
            "timestamps_s": list(use.timestamps_s),
            "missing_s": list(use.missing_s),
        }
        for use in media
    ]


def sampling_record(sampling: FrameSampling) -> dict[str, Any]:
    """Say which frames are taken when nobody asks otherwise."""
    return {name: value for name, value in asdict(sampling).items() if value not in (None, False, 0)}
