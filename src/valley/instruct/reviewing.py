"""What people decided about conversations: a file that only grows; the last line about one holds.

A line looks like this::

    {"id": "0045", "words": "9f1c...", "state": "refused", "number": 1, "reason": "not seen", "turns": [],
     "by": "ann", "at": "2026-01-02T03:04:05+00:00"}

A decision is on the disk before anybody is told that it was taken. It is about words: where a conversation
was written anew under the same name, what was decided about the old words does not hold.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from valley.conversation import Conversation, Message, Text
from valley.errors import ConversationError, ValleyError

State: TypeAlias = Literal["open", "accepted", "refused"]
STATES: tuple[State, ...] = get_args(State)
Turn: TypeAlias = tuple[str, str]

_logger = logging.getLogger(__name__)


class DecidedMeanwhileError(ValleyError):
    """Somebody else decided since this one was looked at."""


@dataclass(frozen=True)
class Decision:
    """What somebody decided about a conversation.

    Attributes:
        id: the conversation's.
        words: the fingerprint of what was looked at.
        state: "open" takes an earlier decision back.
        number: how many there are about this conversation, with this one.
        reason: why it is refused.
        turns: questions and answers as they were mended; empty: they stay as they are.
        by: who.
        at: when, in UTC.
    """

    id: str
    words: str
    state: State
    number: int = 0
    reason: str = ""
    turns: tuple[Turn, ...] = ()
    by: str = ""
    at: str = ""


class Decisions:
    """The file of decisions about one file of conversations; several threads may add."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a line that was torn by a kill is passed over and counted."""
        self.path = path
        self.num_torn = 0
        self._last: dict[str, Decision] = {}
        self._lock = threading.Lock()
        self._file: int | None = None
        self._is_torn = False
        if path.is_file():
            self._read(path.read_bytes())

    def _read(self, content: bytes) -> None:
        self._is_torn = bool(content) and not content.endswith(b"\n")
        for line in content.splitlines():
            if not line.strip():
                continue
            try:
                found = _decision(line)
            except (ValueError, TypeError, KeyError, RecursionError):
                self.num_torn += 1
                continue
            self._last[found.id] = found
        if self.num_torn:
            _logger.warning("%s: %d lines are torn and are passed over", self.path, self.num_torn)

    def about(self, conversation_id: str, words: str) -> Decision | None:
        """Give the decision that holds; None where there is none about these words."""
        found = self._last.get(conversation_id)
        return found if found is not None and found.words == words else None

    def number(self, conversation_id: str) -> int:
        """Say how many decisions there are about a conversation."""
        found = self._last.get(conversation_id)
        return 0 if found is None else found.number

    def stale(self, conversation_id: str, words: str) -> bool:
        """Whether the last decision is about other words than these."""
        found = self._last.get(conversation_id)
        return found is not None and found.words != words and found.state != "open"

    def add(self, decision: Decision, *, seen: int) -> Decision:
        """Add a decision, and return when it is on the disk.

        Args:
            decision: its number is given here.
            seen: how many decisions about the conversation its maker knew of.

        Raises:
            DecidedMeanwhileError: there are others by now.
            OSError: the disk is full, or gone; nothing was decided.
        """
        with self._lock:
            number = self.number(decision.id)
            if seen != number:
                raise DecidedMeanwhileError(f"{decision.id}: want one who saw {number} decisions, got {seen}")
            numbered = replace(decision, number=number + 1)
            self._write(json.dumps(asdict(numbered), ensure_ascii=False).encode() + b"\n")
            self._last[decision.id] = numbered
            return numbered

    def _write(self, line: bytes) -> None:
        if self._file is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.path, flags, 0o644)
        whole = b"\n" + line if self._is_torn else line
        self._is_torn = True  # until all of it is written
        if os.write(self._file, whole) != len(whole):
            raise OSError(f"{self.path}: want {len(whole)} bytes written, got fewer; make room")
        os.fsync(self._file)
        self._is_torn = False

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
        self._file = None


def _decision(line: bytes) -> Decision:
    record = json.loads(line)
    turns = tuple((str(question), str(answer)) for question, answer in record.pop("turns"))
    found = Decision(**record, turns=turns)
    if found.state not in STATES or not isinstance(found.number, int):
        raise ValueError(found.state)
    return found


def fingerprint(conversation: Conversation) -> str:
    """Name the words of a conversation."""
    words = json.dumps([(m.role, m.text) for m in conversation.messages], ensure_ascii=False)
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def turns_of(conversation: Conversation) -> tuple[Turn, ...]:
    """Give the questions and answers; system words are none.

    Raises:
        ConversationError: they do not follow each other by turns.
    """
    spoken = [m for m in conversation.messages if m.role != "system"]
    if not spoken or [m.role for m in spoken] != ["user", "assistant"] * (len(spoken) // 2):
        raise ConversationError(
            f"{conversation.id}: want questions and answers by turns, got "
            f"{', '.join(m.role for m in conversation.messages) or 'none'}: see `valley data validate`"
        )
    return tuple((q.text, a.text) for q, a in zip(spoken[::2], spoken[1::2], strict=True))


def with_turns(conversation: Conversation, turns: Sequence[Turn]) -> Conversation:
    """Put other words into a conversation; media stay where they are."""
    words = [text for turn in turns for text in turn]
    spoken = iter(words)
    messages = tuple(m if m.role == "system" else _with_words(m, next(spoken)) for m in conversation.messages)
    return replace(conversation, messages=messages)


def _with_words(message: Message, words: str) -> Message:
    if message.text == words:
        return message
    first = next((n for n, part in enumerate(message.parts) if isinstance(part, Text)), len(message.parts))
    before = message.parts[:first]
    behind = tuple(part for part in message.parts[first:] if not isinstance(part, Text))
    return Message(message.role, (*before, Text(words), *behind))
