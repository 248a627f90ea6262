"""What the chunks of a streamed chat completion, or one whole completion, say together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from valley.inference.backend import FinishReason, MediaUse, Usage


class Reply:
    """Takes chunks; everything in them is untrusted.

    Attributes:
        reason: why the answer ended; None before it has.
        usage: tokens; 0 where the server does not count.
        media: what the server says that it saw, in the order of the prompt.
        num_characters: of the words so far.
    """

    def __init__(self) -> None:
        self.reason: FinishReason | None = None
        self.usage = Usage(0, 0, 0)
        self.media: tuple[MediaUse, ...] = ()
        self.num_characters = 0

    def take(self, event: Mapping[str, Any]) -> str:
        """Take one chunk; give its words."""
        if isinstance(event.get("usage"), dict):
            self.usage = _usage(event["usage"])
        if isinstance(event.get("media"), list):
            self.media = tuple(_media_use(m) for m in event["media"] if isinstance(m, dict))
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return ""
        if isinstance(choice.get("finish_reason"), str):
            self.reason = "length" if choice["finish_reason"] == "length" else "stop"
        said = choice.get("delta") or choice.get("message")
        words = (said.get("content") or said.get("refusal")) if isinstance(said, dict) else None
        text = words if isinstance(words, str) else ""
        self.num_characters += len(text)
        return text


def _usage(told: Mapping[str, Any]) -> Usage:
    details = told.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    visual = details.get("visual_tokens")
    by_kind = details.get("multimodal_tokens")  # vLLM's, with --enable-prompt-tokens-details
    if visual is None and isinstance(by_kind, dict):
        visual = sum(_count(n) for n in by_kind.values())
    return Usage(
        prompt=_count(told.get("prompt_tokens")),
        visual=_count(visual),
        completion=_count(told.get("completion_tokens")),
        cached=_count(details.get("cached_tokens")),
    )


def _media_use(told: Mapping[str, Any]) -> MediaUse:
    kind = "image" if told.get("kind") == "image" else "video"
    duration_s = (_times([told.get("duration_s")]) or (0.0,))[0]
    return MediaUse("", kind, duration_s, _times(told.get("timestamps_s")), _times(told.get("missing_s")))


def _times(told: object) -> tuple[float, ...]:
    given = told if isinstance(told, list) else []
    return tuple(
        float(t) for t in given if isinstance(t, int | float) and not isinstance(t, bool) and math.isfinite(t)
    )


def _count(told: object) -> int:
    return told if isinstance(told, int) and not isinstance(told, bool) and told > 0 else 0
