"""Check a file of conversations before a run: every fault with its line and how to mend it.

Media are looked for on disk but not opened; `valley.training.scanning` does that.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valley.conversation import Conversation, Image, Message, Text, Video, from_line, is_language_tag
from valley.errors import ConversationError

_PLACEHOLDER = re.compile(
    r"(?i)<\|?(?:image|video|audio|img|imagehere|videohere|(?:im|vi|vision)_(?:start|end|patch|frame)"
    r"|(?:image|video|vision)_pad)\|?>"
)
_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]+://")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (a fault) or looks wrong (a warning), with the file and the line."""

    place: str
    text: str
    is_fault: bool = True

    def __str__(self) -> str:
        return f"{self.place}: {'' if self.is_fault else 'warning: '}{self.text}"


@dataclass
class Summary:
    """What a file holds; a medium counts as often as it is shown."""

    num_conversations: int = 0
    num_turns: int = 0
    num_images: int = 0
    num_videos: int = 0
    num_faults: int = 0
    num_warnings: int = 0
    languages: Counter[str] = field(default_factory=Counter)

    def add(self, conversation: Conversation) -> None:
        """Count one conversation."""
        media = conversation.media
        self.num_conversations += 1
        self.num_turns += len(conversation.messages)
        self.num_images += sum(isinstance(m, Image) for m in media)
        self.num_videos += sum(isinstance(m, Video) for m in media)
        self.languages[conversation.language] += 1

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {**vars(self), "languages": dict(self.languages.most_common())}


def validate(path: Path, on_finding: Callable[[Finding], None], *, media_root: Path | None = None) -> Summary:
    """Check every line of a JSONL file, and tell what is found as it is found.

    Of a line that is no conversation the first fault is told, of others all.

    Args:
        path: the file.
        on_finding: is given each fault and each warning, in the order of the lines.
        media_root: where relative paths of media begin; the file's folder by default.
    """
    summary = Summary()
    check = _Checker(media_root or path.parent)

    def tell(finding: Finding) -> None:
        summary.num_faults += finding.is_fault
        summary.num_warnings += not finding.is_fault
        on_finding(finding)

    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            try:
                conversation = from_line(line, where=place)
            except ConversationError as error:
                tell(Finding(place, str(error).removeprefix(place).lstrip(":, ")))
                continue
            summary.add(conversation)
            for text, is_fault in check.conversation(conversation, number):
                tell(Finding(place, text, is_fault))
    if not summary.num_conversations and not summary.num_faults:
        tell(Finding(str(path), "holds no conversation: write one JSON object a line"))
    return summary


class _Checker:
    """The checks, with what has to be remembered from line to line."""

    def __init__(self, media_root: Path) -> None:
        self._root = media_root
        self._lines: dict[str, int] = {}
        self._exists: dict[str, bool] = {}

    def conversation(self, conversation: Conversation, line: int) -> Iterator[tuple[str, bool]]:
        """Yield what is wrong, and whether it is a fault."""
        for text in self._faults(conversation, line):
            yield text, True
        yield from ((text, False) for text in _warnings(conversation))

    def _faults(self, conversation: Conversation, line: int) -> Iterator[str]:
        if not is_language_tag(conversation.language):
            yield f"the language {conversation.language!r} is no BCP-47 tag: write one such as en or zh-Hans"
        first = self._lines.setdefault(conversation.id, line) if conversation.id else line
        if first != line:
            yield f"the id {conversation.id!r} is that of line {first} too: give each conversation its own"
        yield from _turn_faults(conversation.messages)
        for number, message in enumerate(conversation.messages, 1):
            for part in message.media:
                yield from (f"message {number}: {text}" for text in self._medium_faults(part))

    def _medium_faults(self, part: Image | Video) -> Iterator[str]:
        if not isinstance(part.source, bytes):
            yield from self._path_faults(str(part.source))
        if isinstance(part, Image):
            return
        yield from _window_faults(part)
        words = self._root / part.subtitles
        if str(part.subtitles) not in ("off", "auto") and not words.is_file():
            yield f"there is no file {words} with subtitles: check the path, or write auto or off"

    def _path_faults(self, source: str) -> Iterator[str]:
        if _ADDRESS.match(source):
            yield f"{source} is an address: fetch the file and write its path"
            return
        path = self._root / source
        if source not in self._exists:
            self._exists[source] = path.exists()
        if not source or not self._exists[source]:
            yield f"there is no file {path}: check the path, or say where the media are (--media-root)"


def _turn_faults(messages: tuple[Message, ...]) -> Iterator[str]:
    if not any(message.role == "assistant" for message in messages):
        yield "no turn of the assistant's: there is nothing to learn, write its answer"
    numbered = list(enumerate(messages, 1))
    yield from _order_faults(numbered[1:] if messages and messages[0].role == "system" else numbered)
    for number, message in numbered:
        if message.role == "assistant":
            if not message.text.strip():
                yield f"message {number}: the assistant says nothing: write its answer, or leave the turn out"
            if message.media:
                yield f"message {number}: a medium stands in the assistant's turn: move it to the user's"
        elif not message.text.strip() and not message.media:
            yield f"message {number}: the {message.role}'s turn is empty: write it, or leave it out"


def _order_faults(turns: list[tuple[int, Message]]) -> Iterator[str]:
    """Yield the first turn that is out of order; all behind it would follow from that."""
    for place, (number, message) in enumerate(turns):
        expected = "assistant" if place % 2 else "user"
        if message.role != expected:
            yield (
                f"message {number}: want the {expected}'s turn, got the {message.role}'s: the user begins, "
                "perhaps behind one system turn, and then the two alternate"
            )
            return


def _window_faults(part: Video) -> Iterator[str]:
    for name, value in (("start_s", part.start_s), ("end_s", part.end_s)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            yield f"{name} is {value}: write seconds from the first frame, 0 or more"
    if part.start_s is not None and part.end_s is not None and part.end_s < part.start_s:
        yield f"end_s {part.end_s:g} lies before start_s {part.start_s:g}: exchange or correct them"


def _warnings(conversation: Conversation) -> Iterator[str]:
    for number, message in enumerate(conversation.messages, 1):
        for part in message.parts:
            if isinstance(part, Text) and (found := _PLACEHOLDER.search(part.text)):
                yield (
                    f"message {number}: {found[0]} stands in the text and is only text there: if it meant a "
                    "medium, write a part of its type"
                )
    if conversation.messages and conversation.messages[-1].role == "user":
        yield "the last turn is the user's: nothing is learned from it"
