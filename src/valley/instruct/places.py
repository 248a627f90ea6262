"""What lies beside a file of conversations, and what it is called."""

from __future__ import annotations

from pathlib import Path


def quarantine_path(conversations: Path) -> Path:
    """Say where what was given up lies, with the raw replies."""
    return conversations.with_name(conversations.stem + ".quarantine.jsonl")


def store_path(conversations: Path) -> Path:
    """Say where raw replies are kept."""
    return conversations.with_name(conversations.stem + "_calls")


def decisions_path(conversations: Path) -> Path:
    """Say where what people decided lies."""
    return conversations.with_name(conversations.stem + ".review.jsonl")
