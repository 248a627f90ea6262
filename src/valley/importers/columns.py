"""Items whose turns and media are columns side by side: with tags in the words, or with typed parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from valley.conversation import Image, Message, Part, Role, Text, Video
from valley.importers.fields import Fields
from valley.importers.turns import MediaQueue, read_turns, tagged_messages, with_system

_OTHER_TASKS = {
    "audios": "which is not learned: leave the item out",
    "tools": "which a conversation has no place for: leave the item out",
    "objects": "boxes that the words only point at: write them into the words, or leave the item out",
    "chosen": "which belongs to preference training: leave the item out",
    "rejected": "which belongs to preference training: leave the item out",
    "rejected_response": "which belongs to preference training: leave the item out",
    "kto_tag": "which belongs to preference training: leave the item out",
    "label": "which belongs to preference or classification training: leave the item out",
}
_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
# How parts name their medium: transformers, then Qwen's own processing, then OpenAI.
_PATH_NAMES = {
    "image": ("path", "url", "image"),
    "video": ("path", "url", "video"),
    "image_url": ("image_url",),
    "video_url": ("video_url",),
}


def refuse_other_tasks(fields: Fields) -> None:
    """Raise where an item has what only other kinds of training understand.

    Raises:
        ConversationError: such a column is there and not empty.
    """
    for name, reason in _OTHER_TASKS.items():
        fields.refuse(name, reason)


def tagged_columns(fields: Fields) -> tuple[Message, ...]:
    """Read turns with tags, and the media in the columns `images` and `videos`.

    Raises:
        ConversationError: see `tagged_turns`.
    """
    return tagged_turns(fields, fields.paths("images", "image"), fields.paths("videos", "video"))


def tagged_turns(fields: Fields, images: Iterable[str], videos: Iterable[str]) -> tuple[Message, ...]:
    """Read turns with tags: `conversations` (from, value) or `messages` (role, content), and `system`.

    Raises:
        ConversationError: see `tagged_messages`; both kinds of turns are there, or another task's columns.
    """
    refuse_other_tasks(fields)
    if "conversations" in fields and "messages" in fields:
        fields.fail("conversations and messages contradict each other: leave one of them")
    if "conversations" in fields:
        turns = read_turns(fields.listed("conversations"), fields.where, role="from", words="value")
    else:
        turns = read_turns(fields.listed("messages"), fields.where, role="role", words="content")
    turns = with_system(turns, fields.text("system", default=""), fields.where)
    queue = MediaQueue(map(Image, images), map(Video, videos), fields.where)
    return tagged_messages(turns, queue, fields.where)


def typed_columns(fields: Fields) -> tuple[Message, ...]:
    """Read messages with typed parts, whose media are named in place or in the columns beside.

    Raises:
        ConversationError: a part is of no known kind, or there are more or fewer parts than media.
    """
    refuse_other_tasks(fields)
    images = [Image(path) for path in fields.paths("images", "image")]
    videos = [Video(path) for path in fields.paths("videos", "video")]
    if "messages" in fields and ("prompt" in fields or "completion" in fields):
        fields.fail("messages and prompt contradict each other: leave one of them")
    names = ("prompt", "completion") if "prompt" in fields else ("messages",)
    turns = [turn for name in names for turn in fields.listed(name)]
    media = MediaQueue(images, videos, fields.where)
    messages = tuple(_message(turn, media, f"{fields.where}, turn {n}") for n, turn in enumerate(turns, 1))
    media.close()
    return messages


def _message(value: object, media: MediaQueue, where: str) -> Message:
    fields = Fields(value, where)
    role = fields.text("role")
    if role not in _ROLES:
        fields.fail(f"want a role of {', '.join(_ROLES)}, got {role!r}: leave out what tools and others say")
    content = fields.take("content")
    fields.kept(())
    if isinstance(content, str):
        return Message(_ROLES[role], (Text(content),))
    if not isinstance(content, list):
        fields.fail("want 'content' to be a text or a list of parts")
    parts = tuple(_parts(content, media, where))
    if role == "assistant" and any(not isinstance(part, Text) for part in parts):
        fields.fail("a medium stands in the assistant's words, which are learned: move it to the user's")
    return Message(_ROLES[role], parts)


def _parts(content: Iterable[Any], media: MediaQueue, where: str) -> Iterable[Part]:
    for number, value in enumerate(content, 1):
        fields = Fields(value, f"{where}, part {number}")
        kind = fields.text("type")
        if kind == "text":
            yield Text(fields.text("text"))
        elif kind in _PATH_NAMES:
            yield _medium(fields, kind, media)
        else:
            fields.fail(f"want a part of type text, image or video, got {kind!r}: leave it out")
        fields.kept(())


def _medium(fields: Fields, kind: str, media: MediaQueue) -> Part:
    names = _PATH_NAMES[kind]
    is_image = kind.startswith("image")
    if not any(name in fields for name in names):
        return media.parts("<image>" if is_image else "<video>")[0]
    paths = fields.paths(*names)
    if len(paths) != 1:
        fields.fail(f"want one path, got {len(paths)}: put frames into a folder and give that")
    if is_image:
        return Image(paths[0])
    return Video(paths[0], fields.seconds("video_start"), fields.seconds("video_end"))
