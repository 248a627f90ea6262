"""The conversation record: typed parts, messages, a language tag; one JSON object a line.

The first of the two places where answering and training meet. A record looks like this::

    {"id": "push-1", "language": "en", "messages": [
      {"role": "user", "content": [{"type": "video", "path": "push.mp4", "start_s": 0.0, "end_s": 4.0},
                                   {"type": "text", "text": "Which way does the red circle move?"}]},
      {"role": "assistant", "content": [{"type": "text", "text": "To the right."}]}]}

Media are attached by type; a text that spells `<video>` is only text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from valley.errors import ConversationError

Role: TypeAlias = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")


@dataclass(frozen=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True)
class Image:
    """A still picture: a path, or the encoded bytes."""

    source: str | Path | bytes


@dataclass(frozen=True)
class Video:
    """A clip: a path to a file or a folder of frames, or the encoded bytes; optionally only a stretch of it.

    Times are seconds from the first shown frame. `subtitles` is "off", "auto" (sidecar file, then embedded
    stream) or the path of an .srt or .vtt file.
    """

    source: str | Path | bytes
    start_s: float | None = None
    end_s: float | None = None
    subtitles: str | Path = "off"


Part: TypeAlias = Text | Image | Video


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """All words of the turn, joined."""
        return "".join(p.text for p in self.parts if isinstance(p, Text))

    @property
    def media(self) -> tuple[Image | Video, ...]:
        """All pictures and clips of the turn, in order."""
        return tuple(p for p in self.parts if not isinstance(p, Text))


@dataclass(frozen=True)
class Conversation:
    """Messages in order, with the language (BCP-47 tag) and whatever a data set wants to remember."""

    messages: tuple[Message, ...]
    language: str = "en"
    id: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def media(self) -> tuple[Image | Video, ...]:
        """All pictures and clips, in the order in which the model meets them."""
        return tuple(m for message in self.messages for m in message.media)


def user(*parts: Part | str) -> Message:
    """Make a user turn; plain strings become text."""
    return Message("user", _as_parts(parts))


def assistant(*parts: Part | str) -> Message:
    """Make an assistant turn; plain strings become text."""
    return Message("assistant", _as_parts(parts))


def system(*parts: Part | str) -> Message:
    """Make a system turn; plain strings become text."""
    return Message("system", _as_parts(parts))


def _as_parts(parts: Sequence[Part | str]) -> tuple[Part, ...]:
    return tuple(Text(p) if isinstance(p, str) else p for p in parts)


def to_record(conversation: Conversation) -> dict[str, Any]:
    """Turn a conversation into a JSON-ready object.

    Raises:
        ConversationError: a medium is bytes, which a JSON line cannot hold.
    """
    messages = [
        {"role": m.role, "content": [_part_record(p) for p in m.parts]} for m in conversation.messages
    ]
    record: dict[str, Any] = {"id": conversation.id, "language": conversation.language, "messages": messages}
    if conversation.metadata:
        record["metadata"] = conversation.metadata
    return record


def _part_record(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part.source, bytes):
        raise ConversationError(
            "a record can hold a path but not the bytes of a medium; write them to a file first"
        )
    if isinstance(part, Image):
        return {"type": "image", "path": str(part.source)}
    record: dict[str, Any] = {"type": "video", "path": str(part.source)}
    record |= {k: v for k, v in (("start_s", part.start_s), ("end_s", part.end_s)) if v is not None}
    if part.subtitles != "off":
        record["subtitles"] = str(part.subtitles)
    return record


_PART_FIELDS = {
    "text": {"text"},
    "image": {"path"},
    "video": {"path", "start_s", "end_s", "subtitles"},
}


def from_record(record: object, *, where: str = "record") -> Conversation:
    """Read a conversation from a JSON object.

    Args:
        record: the parsed object.
        where: how to name it in errors, such as ``train.jsonl:12``.

    Raises:
        ConversationError: a field is missing, misspelt or of the wrong type.
    """
    if not isinstance(record, dict) or not isinstance(record.get("messages"), list):
        raise ConversationError(f"{where}: want an object with a list 'messages', got {_short(record)}")
    fields = cast("dict[str, Any]", record)
    unknown = set(fields) - {"id", "language", "messages", "metadata"}
    if unknown:
        raise ConversationError(f"{where}: unknown fields {sorted(unknown)}")
    messages = tuple(_message(m, where=f"{where}, message {i}") for i, m in enumerate(fields["messages"], 1))
    return Conversation(
        messages,
        str(fields.get("language", "en")),
        str(fields.get("id", "")),
        dict(fields.get("metadata", {})),
    )


def _message(record: object, *, where: str) -> Message:
    if not isinstance(record, dict) or record.get("role") not in ROLES:
        raise ConversationError(f"{where}: want a role of {', '.join(ROLES)}, got {_short(record)}")
    fields = cast("dict[str, Any]", record)
    content = fields.get("content")
    if isinstance(content, str):
        return Message(fields["role"], (Text(content),))
    if not isinstance(content, list):
        raise ConversationError(
            f"{where}: want 'content' to be a text or a list of parts, got {_short(content)}"
        )
    return Message(
        fields["role"], tuple(_part(p, where=f"{where}, part {i}") for i, p in enumerate(content, 1))
    )


def _part(record: object, *, where: str) -> Part:
    if not isinstance(record, dict) or record.get("type") not in _PART_FIELDS:
        raise ConversationError(f"{where}: want a part of type text, image or video, got {_short(record)}")
    fields = cast("dict[str, Any]", record)
    kind = fields["type"]
    unknown = set(fields) - _PART_FIELDS[kind] - {"type"}
    needed = "text" if kind == "text" else "path"
    if unknown or not isinstance(fields.get(needed), str):
        raise ConversationError(
            f"{where}: want {sorted(_PART_FIELDS[kind])} with a string {needed!r}, got {_short(record)}"
        )
    if kind == "text":
        return Text(fields["text"])
    if kind == "image":
        return Image(fields["path"])
    return Video(fields["path"], fields.get("start_s"), fields.get("end_s"), fields.get("subtitles", "off"))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def write_jsonl(path: Path, conversations: Iterable[Conversation]) -> int:
    """Write conversations, one JSON object a line, through a temporary name; return how many."""
    part = path.with_name(path.name + ".part")
    count = 0
    with part.open("w", encoding="utf-8") as file:
        for count, conversation in enumerate(conversations, 1):  # noqa: B007
            file.write(json.dumps(to_record(conversation), ensure_ascii=False) + "\n")
    part.replace(path)
    return count


def read_jsonl(path: Path) -> Iterator[Conversation]:
    """Yield the conversations of a JSONL file; relative media paths are resolved against its folder.

    Raises:
        ConversationError: a line is no JSON or no conversation; the message names file and line.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ConversationError(f"{where}: not JSON ({error.msg})") from error
            yield _resolved(from_record(record, where=where), path.parent)


def _resolved(conversation: Conversation, folder: Path) -> Conversation:
    def part(p: Part) -> Part:
        if isinstance(p, Text) or isinstance(p.source, bytes) or Path(p.source).is_absolute():
            return p
        path = str(folder / p.source)
        return Image(path) if isinstance(p, Image) else Video(path, p.start_s, p.end_s, p.subtitles)

    messages = tuple(Message(m.role, tuple(part(p) for p in m.parts)) for m in conversation.messages)
    return Conversation(messages, conversation.language, conversation.id, conversation.metadata)
