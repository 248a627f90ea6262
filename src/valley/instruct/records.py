"""From an accepted draft to a conversation with its history; from a refused one to a quarantine line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from valley.conversation import Conversation, Image, Message, Text, Video, assistant, user
from valley.errors import ConversationError
from valley.instruct.check import Check
from valley.instruct.gateway.budget import PICO
from valley.instruct.task import Prompt
from valley.instruct.writing import Written

PROVENANCE = (
    "task",
    "task_version",
    "writer",
    "prompt_sha256",
    "request_keys",
    "evidence",
    "facts_used",
    "checks",
    "source",
    "source_item_id",
    "licence",
    "licence_evidence",
    "media_id",
    "clip_id",
    "split",
)
"""What every record has in its metadata."""


def to_conversation(written: Written, checks: Sequence[Check]) -> Conversation:
    """Make the record of an accepted draft; the medium stands in the first turn."""
    wanted, draft = written.wanted, written.draft
    assert draft is not None
    clip = wanted.evidence.clip
    medium: Image | Video = Image(clip.path)
    if clip.kind == "video":
        medium = Video(clip.path, start_s=clip.start_s, end_s=clip.end_s)
    messages: list[Message] = []
    for number, turn in enumerate(draft.turns):
        messages.append(user(medium, turn.question) if number == 0 else user(turn.question))
        messages.append(assistant(turn.answer))
    metadata: dict[str, Any] = {
        "task": draft.task,
        "task_version": wanted.task.version,
        "writer": written.model,
        "prompt_sha256": prompt_hash(wanted.task.prompt(wanted.evidence, wanted.language, draw=wanted.draw)),
        "request_keys": [t.key for t in written.tries],
        "evidence": [fact.line for fact in wanted.evidence.facts],
        "facts_used": list(draft.facts_used),
        "checks": {check.name: check.version for check in checks},
        "source": clip.source,
        "source_item_id": clip.source_item_id,
        "licence": clip.licence,
        "licence_evidence": clip.licence_evidence,
        "attribution": clip.attribution,
        "media_id": clip.media_id,
        "clip_id": clip.id,
        "split": clip.split,
        "num_tries": len(written.tries),
        "mended": written.mended,
        "cost_usd": written.cost_pico / PICO,
    }
    if draft.choices:
        metadata["choices"], metadata["right_choice"] = list(draft.choices), draft.right_choice
    if draft.details:
        metadata["details"] = dict(draft.details)
    return Conversation(tuple(messages), draft.language, wanted.id, metadata)


def require_provenance(conversations: Iterable[Conversation]) -> None:
    """Refuse to let a record out that does not say where it comes from.

    Raises:
        ConversationError: which, and what it lacks.
    """
    for conversation in conversations:
        lacking = [name for name in PROVENANCE if name not in conversation.metadata]
        if lacking or not conversation.metadata["request_keys"]:
            what = ", ".join(lacking) or "request_keys"
            raise ConversationError(f"{conversation.id}: want a record with its provenance, it lacks {what}")


def prompt_hash(prompt: Prompt) -> str:
    """Name a prompt by what it says."""
    said = {"messages": [dict(m) for m in prompt.messages], "schema": dict(prompt.schema)}
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def quarantined(written: Written) -> dict[str, Any]:
    """Make the line of a conversation that was given up: every raw reply, and why it was refused."""
    wanted = written.wanted
    last = written.tries[-1]
    return {
        "id": wanted.id,
        "task": wanted.task.name,
        "language": wanted.language,
        "clip_id": wanted.evidence.clip.id,
        "media_id": wanted.evidence.clip.media_id,
        "reason": last.reason,
        "check": last.check,
        "detail": last.detail,
        "number": last.number,
        "tries": [vars(t) for t in written.tries],
        "evidence": [fact.line for fact in wanted.evidence.facts],
        "cost_usd": written.cost_pico / PICO,
    }


def failed(wanted_id: str, task: str, language: str, clip_id: str, detail: str) -> Mapping[str, Any]:
    """Make the line of a conversation for which the server gave no reply."""
    return {
        "id": wanted_id,
        "task": task,
        "language": language,
        "clip_id": clip_id,
        "reason": "no_reply",
        "check": "server",
        "detail": detail,
        "tries": [],
    }


def words_of(conversation: Conversation) -> list[tuple[str, str]]:
    """Give the questions and answers of a record."""
    texts = ["".join(p.text for p in m.parts if isinstance(p, Text)) for m in conversation.messages]
    return list(zip(texts[::2], texts[1::2], strict=True))
