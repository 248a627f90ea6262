r"""Turns with tags in their words become typed parts: `<video>\nWho is it?` is a clip and a text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from valley.conversation import Image, Message, Part, Role, Text, Video
from valley.errors import ConversationError
from valley.importers.fields import Fields

Turn: TypeAlias = tuple[Role, str]

_TAG = re.compile(r"<(image|video|audio|ImageHere|VideoHere)>")
_KIND = {"image": "image", "ImageHere": "image", "video": "video", "VideoHere": "video"}
_ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}


class MediaQueue:
    """The media of an item, in the order in which its tags take them."""

    def __init__(
        self,
        images: Iterable[Image],
        videos: Iterable[Video],
        where: str,
        *,
        image_tag_for_video: bool = False,
    ) -> None:
        """Line the media up.

        Args:
            images: what `<image>` stands for.
            videos: what `<video>` stands for.
            where: how to name the item in errors.
            image_tag_for_video: `<image>` stands for a clip in items without pictures.
        """
        self._left: dict[str, deque[Image | Video]] = {"image": deque(images), "video": deque(videos)}
        self._counts = {kind: len(media) for kind, media in self._left.items()}
        self._where = where
        self._only_video = image_tag_for_video and not self._counts["image"] and self._counts["video"] > 0

    def parts(self, text: str) -> tuple[Part, ...]:
        """Put the media where their tags stand, and trim the white space beside those.

        Beside a tag within a line of words it stays: "left <image> or right" keeps its two spaces.

        Raises:
            ConversationError: a tag too many.
        """
        pieces = _TAG.split(text)
        words, tags = pieces[::2], pieces[1::2]
        if not tags:
            return (Text(text),)
        first = next((i for i, w in enumerate(words) if w.strip()), len(words))
        last = next((i for i in reversed(range(len(words))) if words[i].strip()), -1)
        parts: list[Part] = []
        for number, piece in enumerate(words):
            word = piece
            if number and (number == first or "\n" in _space_before(word)):
                word = word.lstrip()
            if number < len(tags) and (number == last or "\n" in _space_behind(word)):
                word = word.rstrip()
            if word.strip():
                parts.append(Text(word))
            if number < len(tags):
                parts.append(self._next(tags[number]))
        return tuple(parts)

    def _next(self, tag: str) -> Image | Video:
        kind = "video" if self._only_video and tag in _KIND else _KIND.get(tag)
        if kind is None:
            raise ConversationError(
                f"{self._where}: <{tag}> stands for sound, which is not learned: leave it out"
            )
        if not self._left[kind]:
            raise ConversationError(
                f"{self._where}: more <{tag}> tags than media, {self._counts[kind]} {kind}s are named: take "
                f"the tag out of the text, or name the {kind}"
            )
        return self._left[kind].popleft()

    def close(self) -> None:
        """Raise where a medium was not shown.

        Raises:
            ConversationError: fewer tags than media.
        """
        for kind, left in self._left.items():
            if left:
                raise ConversationError(
                    f"{self._where}: {len(left)} of {self._counts[kind]} {kind}s have no <{kind}> tag in the "
                    f"text: put one where the {kind} belongs, or leave the {kind} out"
                )


def _space_before(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _space_behind(text: str) -> str:
    return text[len(text.rstrip()) :]


def read_turns(value: Sequence[object], where: str, *, role: str, words: str) -> list[Turn]:
    r"""Read turns that are objects of two texts, such as ``{"from": "human", "value": "<video>\nWho?"}``.

    Args:
        value: the list.
        where: how to name the item in errors.
        role: the field that says who speaks: human or user, gpt or assistant, system.
        words: the field with the words.

    Raises:
        ConversationError: a turn has other fields, or another speaks.
    """
    turns: list[Turn] = []
    for number, turn in enumerate(value, 1):
        fields = Fields(turn, f"{where}, turn {number}")
        speaker = fields.text(role)
        if speaker not in _ROLES:
            fields.fail(
                f"want {role!r} to be one of {', '.join(_ROLES)}, got {speaker!r}: leave out what tools and "
                "others say"
            )
        turns.append((_ROLES[speaker], fields.text(words)))
        fields.kept(())
    return turns


def with_system(turns: list[Turn], words: str, where: str) -> list[Turn]:
    """Put system words that stand apart before the turns.

    Raises:
        ConversationError: the turns begin with such words themselves.
    """
    if not words:
        return turns
    if turns and turns[0][0] == "system":
        raise ConversationError(
            f"{where}: a field and the first turn both have system words: leave one of them"
        )
    return [("system", words), *turns]


def tagged_messages(turns: Iterable[Turn], media: MediaQueue, where: str) -> tuple[Message, ...]:
    """Make messages of turns, and put every medium where its tag stands.

    Raises:
        ConversationError: more or fewer tags than media, or one in the assistant's words.
    """
    messages: list[Message] = []
    for number, (role, words) in enumerate(turns, 1):
        if role == "assistant" and (tag := _TAG.search(words)):
            raise ConversationError(
                f"{where}, turn {number}: {tag[0]} stands in the assistant's words, which are learned: move "
                "it to the user's"
            )
        messages.append(Message(role, media.parts(words)))
    media.close()
    return tuple(messages)
