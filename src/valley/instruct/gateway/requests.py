"""The name of a request: a hash of everything that changes the answer, and of nothing else."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from valley.errors import ConfigError

ANSWER_FIELDS = (
    "model",
    "messages",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "response_format",
    "tools",
    "tool_choice",
    "reasoning_effort",
    "chat_template_kwargs",
    "mm_processor_kwargs",
)
"""What goes into the key and to the server. Not in it: who asks, where, how long one waits."""

IGNORED_FIELDS = ("user", "metadata", "store", "service_tier", "n", "stream", "stream_options")

CHARACTERS_PER_TOKEN = 2.5
"""On the safe side for any script; a reservation made of it is settled by the true usage."""

TOKENS_PER_PICTURE = 1600


def canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give the part of a request's body that changes the answer, texts in NFC.

    Raises:
        ConfigError: the request wants what a stored reply cannot be, or has a field nobody knows, which might
            change the answer.
    """
    if body.get("stream"):
        raise ConfigError("stream: want false: a stored reply comes whole")
    if body.get("n", 1) != 1:
        raise ConfigError("n: want 1; for other draws of the same request, send other samples")
    unknown = sorted(set(body) - set(ANSWER_FIELDS) - set(IGNORED_FIELDS))
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown)}: want the fields of a chat completion: {', '.join(ANSWER_FIELDS)}"
        )
    lacking = [name for name in ("model", "messages") if not body.get(name)]
    if lacking:
        raise ConfigError(f"want {' and '.join(lacking)} in the request")
    return {name: _composed(body[name]) for name in ANSWER_FIELDS if body.get(name) is not None}


def request_key(asked: Mapping[str, Any], *, sample: int = 0) -> str:
    """Name a canonical request; `sample` tells apart several draws of it."""
    text = json.dumps(
        {**asked, "sample": sample},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def estimated_tokens(asked: Mapping[str, Any]) -> int:
    """Estimate the tokens of the prompt, rather too many."""
    characters, pictures = _measure(asked["messages"])
    tools, _ = _measure([asked.get("tools", ()), asked.get("response_format", ())])
    return int((characters + tools) / CHARACTERS_PER_TOKEN) + pictures * TOKENS_PER_PICTURE + 8


def most_reply_tokens(asked: Mapping[str, Any], *, default: int = 4096) -> int:
    """Give how many tokens the reply may have."""
    return int(asked.get("max_completion_tokens") or asked.get("max_tokens") or default)


def _composed(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return {key: _composed(item) for key, item in value.items()}
    return [_composed(item) for item in value] if isinstance(value, list | tuple) else value


def _measure(value: Any) -> tuple[int, int]:  # noqa: ANN401
    """Count characters of text and pictures; a data URL is a picture and not a long text."""
    if isinstance(value, str):
        return (0, 1) if value.startswith("data:") else (len(value), 0)
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return (4, 0)
    parts = [_measure(item) for item in value]
    return sum(p[0] for p in parts), sum(p[1] for p in parts)
