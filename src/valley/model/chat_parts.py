"""Typed parts of messages: read the media they name, and keep user text apart from control tokens."""

from __future__ import annotations

import base64
import importlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .errors_valley import PromptError
from .prompt_encoding import neutralise
from .video_processing_valley import Clip

IMAGE_KEYS = ("image", "path", "url", "base64")
VIDEO_KEYS = ("video", "path", "url")


@dataclass
class ChatMedia:
    """The media of several conversations, in the order of their placeholders."""

    images: list[Any] = field(default_factory=list)
    videos: list[Clip] = field(default_factory=list)


def as_messages(conversation: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Take a list of messages, or a `valley.conversation.Conversation`; text alone becomes a text part.

    Raises:
        PromptError: a message is no object with role and content.
    """
    if not isinstance(conversation, (list, tuple)):
        conversation = _from_record(conversation)
    messages = []
    for message in conversation:
        if not isinstance(message, Mapping) or "role" not in message:
            raise PromptError(f"want messages with 'role' and 'content', got {message!r:.80}")
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
        messages.append({**message, "content": texts_joined([_normalised(part) for part in parts])})
    return messages


def _from_record(conversation: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    record = importlib.import_module("valley.conversation")
    if not isinstance(conversation, record.Conversation):
        raise PromptError(f"want messages or a Conversation, got {type(conversation).__name__}")

    def part(p: Any) -> dict[str, Any]:  # noqa: ANN401
        if isinstance(p, record.Text):
            return {"type": "text", "text": p.text}
        if isinstance(p, record.Image):
            return {"type": "image", "image": p.source}
        times = {"start_s": p.start_s, "end_s": p.end_s, "subtitles": p.subtitles}
        return {"type": "video", "video": p.source, **times}

    return [{"role": m.role, "content": [part(p) for p in m.parts]} for m in conversation.messages]


def _normalised(part: Any) -> dict[str, Any]:  # noqa: ANN401
    """Turn OpenAI's `image_url` and `video_url` blocks into ours."""
    if not isinstance(part, Mapping) or "type" not in part:
        raise PromptError(f"want a part with a 'type' of text, image or video, got {part!r:.80}")
    kind = part["type"]
    if kind in ("image_url", "video_url"):
        address = part[kind]
        address = address["url"] if isinstance(address, Mapping) else address
        return {"type": kind.removesuffix("_url"), "url": address}
    if kind == "text" and not isinstance(part.get("text"), str):
        raise PromptError(f"want a text part with a 'text', got {part!r:.80}")
    return dict(part)


def texts_joined(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join neighbouring texts, so that two of them cannot spell a special token together unseen."""
    joined: list[dict[str, Any]] = []
    for part in parts:
        if part["type"] == "text" and joined and joined[-1]["type"] == "text":
            joined[-1] = {"type": "text", "text": joined[-1]["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


def load_media(
    messages: Sequence[dict[str, Any]], media: ChatMedia, fetch: Callable[[Any, dict[str, Any]], Clip]
) -> None:
    """Read the media that parts name into `media`, and put subtitles into the parts that ask for them.

    Args:
        messages: from `as_messages`; video parts are completed in place.
        media: receives the media, in order.
        fetch: reads one clip with the options of its part.

    Raises:
        MediaError: a file cannot be read.
        PromptError: a part names no medium, or an address on the net.
    """
    for message in messages:
        for part in message["content"]:
            if part["type"] == "image":
                media.images.append(read_picture(_source(part, IMAGE_KEYS)))
            elif part["type"] == "video":
                source = _source(part, VIDEO_KEYS)
                options = {k: part[k] for k in ("start_s", "end_s") if part.get(k) is not None}
                media.videos.append(fetch(source, options))
                part["subtitles_text"] = part.get("subtitles_text") or _subtitles(part, source)


def _source(part: Mapping[str, Any], keys: Sequence[str]) -> Any:  # noqa: ANN401
    given = [key for key in keys if part.get(key) is not None]
    if len(given) != 1:
        raise PromptError(
            f"want a {part['type']} part with exactly one of {', '.join(keys)}, got {given or 'none'}"
        )
    source = part[given[0]]
    if given[0] == "base64":
        return base64.b64decode(source)
    if isinstance(source, str) and re.match(r"(?i)(https?|ftp)://", source):
        raise PromptError(f"{source}: want a file, got an address; download it first")
    return source.removeprefix("file://") if isinstance(source, str) else source


def _subtitles(part: Mapping[str, Any], source: Any) -> str:  # noqa: ANN401
    which = part.get("subtitles") or "off"
    if which == "off" or not isinstance(source, (str, Path, bytes)):
        return ""
    subtitles = importlib.import_module("valley.video.subtitles")
    cues = subtitles.read_subtitles(source, which)
    return subtitles.as_prompt(cues, part.get("start_s"), part.get("end_s"))


def read_picture(source: Any) -> Any:  # noqa: ANN401
    """Read a picture's file or bytes; what is in memory already passes through.

    Raises:
        MediaError: the file is no picture.
    """
    if not isinstance(source, (str, Path, bytes)):
        return source
    try:
        decoding = importlib.import_module("valley.video.decoding")
    except ImportError:  # these files came with a checkpoint to a machine without the package
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    return decoding.read_image(source)


def neutral(messages: Sequence[dict[str, Any]], control: re.Pattern[str], mark: str) -> list[dict[str, Any]]:
    """Break every special token in what people wrote: text parts and subtitles."""

    def part(p: dict[str, Any]) -> dict[str, Any]:
        texts = {k: neutralise(p[k], control, mark) for k in ("text", "subtitles_text") if p.get(k)}
        return {**p, **texts}

    return [{**m, "content": [part(p) for p in m["content"]]} for m in messages]


def texts_of(messages: Sequence[dict[str, Any]]) -> list[str]:
    """List what people wrote: text parts and subtitles."""
    return [
        p[key] for m in messages for p in m["content"] for key in ("text", "subtitles_text") if p.get(key)
    ]


def flat(media: Any, is_one: Callable[[Any], bool]) -> list[Any]:  # noqa: ANN401
    """Take one medium, several, or a list for each prompt."""
    if media is None:
        return []
    if is_one(media) or not isinstance(media, (list, tuple)):
        return [media]
    return [medium for group in media for medium in flat(group, is_one)]


def is_clip(media: Any) -> bool:  # noqa: ANN401
    """Tell one clip from several: pictures in a list are its frames, frames and metadata are a pair."""
    if isinstance(media, tuple) and len(media) == 2 and isinstance(media[1], Mapping):
        return True
    first = media[0] if isinstance(media, (list, tuple)) and media else None
    return isinstance(first, Image.Image) or (isinstance(first, np.ndarray) and first.ndim == 3)
