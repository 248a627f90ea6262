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
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from valley.errors import ConversationError

Role: TypeAlias = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")
_LANGUAGE_TAG = re.compile(r"(?:[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*|[xX](?:-[A-Za-z0-9]{1,8})+)")


def is_language_tag(tag: str) -> bool:
    """Whether this has the form of a BCP-47 tag, such as en or zh-Hans; not whether anybody speaks it."""
    return _LANGUAGE_TAG.fullmatch(tag) is not None


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
    stream) or the path of an .srt or .vtt file, which in a file of conversations begins where media do.
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
    if not isinstance(fields.get("metadata", {}), dict):
        raise ConversationError(f"{where}: want 'metadata' to be an object, got {_short(fields['metadata'])}")
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
    times = [fields.get("start_s"), fields.get("end_s")]
    if not all(map(is_seconds, times)):
        raise ConversationError(f"{where}: want start_s and end_s in seconds, got {_short(record)}")
    subtitles = fields.get("subtitles", "off")
    if not isinstance(subtitles, str):
        raise ConversationError(f"{where}: want subtitles to be off, auto or a path, got {_short(subtitles)}")
    start_s, end_s = (None if t is None else float(t) for t in times)
    return Video(fields["path"], start_s, end_s, subtitles)


def is_seconds(value: object) -> bool:
    """Whether this is a number that a float can hold, or none."""
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        return False
    return not isinstance(value, int) or value.bit_length() < 64


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def write_jsonl(path: Path, conversations: Iterable[Conversation]) -> int:
    """Write conversations, one JSON object a line, through a temporary name; return how many."""
    part = path.with_name(path.name + ".part")
    count = 0
    try:
        with part.open("w", encoding="utf-8") as file:
            for count, conversation in enumerate(conversations, 1):  # noqa: B007
                file.write(json.dumps(to_record(conversation), ensure_ascii=False) + "\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def read_jsonl(path: Path, *, media_root: Path | None = None) -> Iterator[Conversation]:
    """Yield the conversations of a JSONL file; relative paths are resolved against its folder.

    Args:
        path: the file.
        media_root: resolve against this folder instead.

    Raises:
        ConversationError: a line is no JSON or no conversation; the message names file and line.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield resolved(from_line(line, where=f"{path}:{number}"), media_root or path.parent)


def from_line(line: bytes, *, where: str) -> Conversation:
    """Read a conversation from a line of a file, or raise a ConversationError that begins with `where`."""
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConversationError(f"{where}: no text in UTF-8 ({error.reason}): convert the file") from error
    except json.JSONDecodeError as error:
        reason = f"not JSON ({error.msg} at column {error.colno}): write one object on one line"
        raise ConversationError(f"{where}: {reason}") from error
    except RecursionError as error:
        raise ConversationError(f"{where}: is nested too deeply: write one conversation") from error
    return from_record(record, where=where)


def resolved(conversation: Conversation, folder: Path) -> Conversation:
    """Take relative paths of media and subtitles from this folder."""
    return with_sources(
        conversation, lambda source: source if Path(source).is_absolute() else str(folder / source)
    )


def with_sources(conversation: Conversation, change: Callable[[str | Path], str | Path]) -> Conversation:
    """Give the same conversation with every path changed, of media and of subtitles; encoded bytes stay."""

    def part(p: Part) -> Part:
        if isinstance(p, Text):
            return p
        source = p.source if isinstance(p.source, bytes) else change(p.source)
        if isinstance(p, Image) or str(p.subtitles) in ("off", "auto"):
            return replace(p, source=source)
        return replace(p, source=source, subtitles=change(p.subtitles))

    messages = tuple(Message(m.role, tuple(part(p) for p in m.parts)) for m in conversation.messages)
    return replace(conversation, messages=messages)
