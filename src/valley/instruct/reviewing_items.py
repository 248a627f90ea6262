"""A file of conversations that is looked at one by one: where each stands, and what a page shows of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valley.conversation import Conversation, Image, Video, from_line, resolved
from valley.errors import ConfigError, ConversationError
from valley.instruct.reviewing import Decision, Decisions, fingerprint, turns_of

_SHOWN_FACTS = (
    *("source", "source_item_id", "licence", "licence_evidence", "attribution"),
    *("writer", "num_tries", "mended", "split"),
)


@dataclass(frozen=True)
class Entry:
    """Where a conversation stands in its file.

    Attributes:
        id: its name.
        task: of which kind it is; empty where nobody said.
        language: BCP-47 tag.
        words: the fingerprint of its words.
        offset: where its line begins, in bytes.
    """

    id: str
    task: str
    language: str
    words: str
    offset: int


class ReviewItems:
    """The conversations of a file, as it was when it was opened, whatever is put in its place."""

    def __init__(self, path: Path) -> None:
        """Read through the file once.

        Raises:
            ConfigError: there is no such file, or nothing in it.
            ConversationError: a line does not fit, or a name occurs twice.
        """
        if not path.is_file():
            raise ConfigError(f"{path}: want a file of conversations, there is none")
        self.path = path
        self._file = path.open("rb")
        self._lock = threading.Lock()
        try:
            self.entries = self._index()
        except BaseException:
            self._file.close()
            raise

    def _index(self) -> list[Entry]:
        entries: list[Entry] = []
        seen: set[str] = set()
        offset = 0
        for number, line in enumerate(self._file, 1):
            if line.strip():
                where = f"{self.path}:{number}"
                found = from_line(line, where=where)
                turns_of(found)
                if not found.id or found.id in seen:
                    raise ConversationError(f"{where}: want an id that occurs once, got {found.id!r}")
                seen.add(found.id)
                task = str(found.metadata.get("task", ""))
                entries.append(Entry(found.id, task, found.language, fingerprint(found), offset))
            offset += len(line)
        if not entries:
            raise ConfigError(f"{self.path}: there is no conversation in it")
        return entries

    def read(self, number: int) -> Conversation:
        """Read a conversation by its place, from 0; its media are where they lie."""
        with self._lock:
            self._file.seek(self.entries[number].offset)
            line = self._file.readline()
        return resolved(from_line(line, where=f"{self.path}"), self.path.parent)

    def medium(self, number: int, which: int) -> Path | None:
        """Say where a medium of a conversation lies; None where there is none of this number."""
        media = self.read(number).media
        source = media[which].source if which < len(media) else None
        return None if source is None or isinstance(source, bytes) else Path(source)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def overview(items: ReviewItems, decisions: Decisions) -> list[dict[str, Any]]:
    """Give all conversations, each with its state, as a page lists them."""
    shown = []
    for entry in items.entries:
        found = decisions.about(entry.id, entry.words)
        shown.append(
            {
                "id": entry.id,
                "task": entry.task,
                "language": entry.language,
                "state": found.state if found else "open",
                "edited": bool(found and found.turns),
            }
        )
    return shown


def shown(items: ReviewItems, number: int, decisions: Decisions) -> dict[str, Any]:
    """Give all that a page shows of one conversation."""
    entry, conversation = items.entries[number], items.read(number)
    facts = conversation.metadata
    used = set(facts.get("facts_used", ()))
    written = turns_of(conversation)
    decision = decisions.about(entry.id, entry.words)
    return {
        "id": entry.id,
        "task": entry.task,
        "language": entry.language,
        "written": _as_objects(written),
        "turns": _as_objects(decision.turns if decision and decision.turns else written),
        "media": [_medium(medium) for medium in conversation.media],
        "evidence": [
            {"line": str(line), "used": str(line).partition(" ")[0] in used}
            for line in facts.get("evidence", ())
        ],
        "facts": {name: facts[name] for name in _SHOWN_FACTS if facts.get(name) not in (None, "")},
        "decision": state_of(decision, number=decisions.number(entry.id)),
    }


def state_of(decision: Decision | None, *, number: int) -> dict[str, Any]:
    """Give what a page has to know of the decision that holds."""
    if decision is None:
        return {"state": "open", "reason": "", "by": "", "at": "", "edited": False, "number": number}
    kept = {name: getattr(decision, name) for name in ("state", "reason", "by", "at")}
    return {**kept, "edited": bool(decision.turns), "number": number}


def _as_objects(turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"question": question, "answer": answer} for question, answer in turns]


def _medium(medium: Image | Video) -> dict[str, Any]:
    name = "" if isinstance(medium.source, bytes) else Path(medium.source).name
    if isinstance(medium, Image):
        return {"kind": "image", "name": name}
    return {"kind": "video", "name": name, "start_s": medium.start_s, "end_s": medium.end_s}
