r"""Conversations as other programs read them: LLaVA's list, and ShareGPT as LLaMA-Factory takes it.

LLaVA, and ShareGPT, of the same conversation::

    {"id": "7", "video": "a.mp4", "conversations": [{"from": "human", "value": "<video>\nWho is it?"}, ...]}
    {"id": "7", "videos": ["a.mp4"], "images": [], "conversations": [{"from": "human", ...}, ...]}

Neither has a place for a stretch of a clip, nor for subtitles. A conversation about them would be trained on
with something else to see, so it is left out and counted, as is one whose turns are in no order that they
take.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from valley.conversation import Conversation, Message, Text, Video
from valley.errors import UnknownNameError

IsWhole: TypeAlias = Callable[[Video], bool]
"""Tells whether a clip's window leaves nothing of the medium out."""

# What other loaders take for a medium, wherever it stands.
_TOKEN = re.compile(r"<(?=(?:image|video|audio|ImageHere|VideoHere)>)")
_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system"}


@dataclass
class Exported:
    """What came of it.

    Attributes:
        num_written: conversations.
        left_out: why others were not, and how many.
    """

    num_written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def has_no_window(video: Video) -> bool:
    """Take a clip for whole where it names no window at all."""
    return video.start_s is None and video.end_s is None


def export(
    conversations: Iterable[Conversation], out: Path, *, to: str, is_whole: IsWhole = has_no_window
) -> Exported:
    """Write conversations in another form; the file appears whole or not at all.

    Args:
        conversations: with the paths of media as they are to be written.
        out: the file; a list, or one object a line where it ends in .jsonl.
        to: "llava" or "sharegpt".
        is_whole: tells which windows leave nothing out.

    Raises:
        UnknownNameError: there is no such format.
    """
    if to not in EXPORTS:
        raise UnknownNameError(f"no format {to!r} to export to: want one of {', '.join(EXPORTS)}")
    done = Exported()
    write_items(out, _items(conversations, EXPORTS[to], is_whole, done))
    return done


def _items(
    conversations: Iterable[Conversation],
    convert: Callable[[Conversation], dict[str, Any]],
    is_whole: IsWhole,
    done: Exported,
) -> Iterator[dict[str, Any]]:
    for conversation in conversations:
        reason = why_not(conversation, is_whole)
        if reason:
            done.left_out[reason] += 1
        else:
            done.num_written += 1
            yield convert(conversation)


def why_not(conversation: Conversation, is_whole: IsWhole = has_no_window) -> str:
    """Say what of a conversation the formats have no place for; nothing where they have."""
    roles = [message.role for message in conversation.messages]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        return "turns that are not question and answer by turns"
    if any(message.media for message in conversation.messages if message.role == "assistant"):
        return "a medium in an answer"
    if any(isinstance(medium.source, bytes) for medium in conversation.media):
        return "a medium that is no file"
    videos = [medium for medium in conversation.media if isinstance(medium, Video)]
    if any(str(video.subtitles) != "off" for video in videos):
        return "subtitles"
    return "" if all(map(is_whole, videos)) else "about a part of a clip"


def llava_item(conversation: Conversation) -> dict[str, Any]:
    """Make an item of LLaVA's list; a single medium is a path, several are a list."""
    facts = dict(conversation.metadata)
    item: dict[str, Any] = {"id": conversation.id}
    for kind, paths in _paths(conversation).items():
        if paths:
            item[kind] = paths[0] if len(paths) == 1 else paths
    item["conversations"] = _turns(conversation)
    item["language"] = conversation.language
    if "source" in facts:
        item["data_source"] = facts.pop("source")  # "source" is a folder to Valley's loader of 2023
    return item | {name: value for name, value in facts.items() if name not in item}


def sharegpt_item(conversation: Conversation) -> dict[str, Any]:
    """Make an item of ShareGPT's kind.

    All items have the same columns of the same types, because the library datasets wants that of JSON: what
    is remembered of a conversation is one text, `metadata`, which is JSON again.
    """
    paths = _paths(conversation)
    facts = json.dumps(dict(conversation.metadata), ensure_ascii=False, sort_keys=True)
    return {
        "id": conversation.id,
        "conversations": _turns(conversation),
        "videos": paths["video"],
        "images": paths["image"],
        "language": conversation.language,
        "metadata": facts,
    }


EXPORTS: Mapping[str, Callable[[Conversation], dict[str, Any]]] = {
    "llava": llava_item,
    "sharegpt": sharegpt_item,
}


def _paths(conversation: Conversation) -> dict[str, list[str]]:
    paths: dict[str, list[str]] = {"video": [], "image": []}
    for medium in conversation.media:
        paths["video" if isinstance(medium, Video) else "image"].append(str(medium.source))
    return paths


def _turns(conversation: Conversation) -> list[dict[str, str]]:
    return [{"from": _SPEAKERS[m.role], "value": _words(m)} for m in conversation.messages]


def _words(message: Message) -> str:
    """Write a turn's media as tokens in its words; words that spell one get a space into it.

    A medium before all words stands on a line of its own, as these formats have it.
    """
    written, has_words = "", False
    for part in message.parts:
        if isinstance(part, Text):
            words = _TOKEN.sub("< ", part.text)
            written += words
            has_words = has_words or bool(words)
        else:
            token = "<video>" if isinstance(part, Video) else "<image>"
            written += token if has_words else f"{token}\n"
    return written


def write_items(out: Path, items: Iterable[Mapping[str, Any]]) -> int:
    """Write a JSON list, an item a line; or only the lines where the file ends in .jsonl. Say how many."""
    first, between, last = ("", "\n", "\n") if out.suffix == ".jsonl" else ("[\n", ",\n", "\n]\n")
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    count = 0
    try:
        with part.open("w", encoding="utf-8") as file:
            for count, item in enumerate(items, 1):
                file.write((first if count == 1 else between) + json.dumps(item, ensure_ascii=False))
            file.write(last if count else "[\n]\n" if first else "")
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return count
