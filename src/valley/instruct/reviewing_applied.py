"""What people accepted and mended, written as conversations that say who looked at them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from valley.conversation import Conversation, read_jsonl, write_jsonl
from valley.errors import ConfigError
from valley.importers.placing import place_media
from valley.instruct.places import decisions_path
from valley.instruct.reviewing import Decision, Decisions, fingerprint, with_turns


@dataclass
class Applied:
    """What came of it.

    Attributes:
        num_written: accepted conversations.
        num_edited: of these, those whose words were changed.
        num_refused: left out.
        num_open: left out, because nobody decided.
        num_stale: of these, those that were decided upon before their words changed.
    """

    num_written: int = 0
    num_edited: int = 0
    num_refused: int = 0
    num_open: int = 0
    num_stale: int = 0


def write_reviewed(conversations: Path, out: Path) -> Applied:
    """Write the accepted conversations, mended where they were mended.

    Each says in its metadata under `review` who looked at it, when, and whether its words were changed.

    Raises:
        ConfigError: nothing has been decided, or `out` is the file itself.
        ConversationError: a line does not fit.
    """
    path = decisions_path(conversations)
    if not path.is_file():
        raise ConfigError(f"{path}: nothing has been decided: `valley instruct review {conversations}` first")
    if out.resolve() == conversations.resolve():
        raise ConfigError(f"{out}: is the file that is read: give another name to write to")
    out.parent.mkdir(parents=True, exist_ok=True)
    done, decisions = Applied(), Decisions(path)
    kept = _accepted(conversations, decisions, done)
    write_jsonl(out, place_media(kept, media_root=conversations.parent, folder=out.parent))
    return done


def _accepted(path: Path, decisions: Decisions, done: Applied) -> Iterator[Conversation]:
    for conversation in read_jsonl(path, media_root=Path()):  # as they stand there
        words = fingerprint(conversation)
        found = decisions.about(conversation.id, words)
        if found is None or found.state == "open":
            done.num_open += 1
            done.num_stale += decisions.stale(conversation.id, words)
        elif found.state == "refused":
            done.num_refused += 1
        else:
            done.num_written += 1
            done.num_edited += bool(found.turns)
            yield _reviewed(conversation, found)


def _reviewed(conversation: Conversation, decision: Decision) -> Conversation:
    said = {"by": decision.by, "at": decision.at, "edited": bool(decision.turns)}
    mended = with_turns(conversation, decision.turns) if decision.turns else conversation
    return replace(mended, metadata={**conversation.metadata, "review": said})
