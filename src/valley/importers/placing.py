"""Where the media of an imported conversation lie as seen from the new file, and ids that occur once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from valley.conversation import Conversation, with_sources


def place_media(
    conversations: Iterable[Conversation], *, media_root: Path, folder: Path
) -> Iterator[Conversation]:
    """Write the paths of media as seen from another folder; nothing is looked up.

    Args:
        conversations: as an importer gives them.
        media_root: where their relative paths begin.
        folder: where the new file will lie. Relative paths are relative to it afterwards; absolute ones stay,
            unless they lead into it.
    """
    root, target = media_root.resolve(), folder.resolve()

    def place(source: str | Path) -> str:
        path = Path(source)
        if path.is_absolute():
            return path.relative_to(target).as_posix() if path.is_relative_to(target) else str(path)
        if root.drive != target.drive:  # Windows: no relative path leads to another drive
            return str(root / path)
        return Path(os.path.relpath(root / path, target)).as_posix()

    for conversation in conversations:
        yield with_sources(conversation, place)


def unique_ids(conversations: Iterable[Conversation]) -> Iterator[Conversation]:
    """Give each conversation an id of its own: the second `a` becomes `a-2`."""
    seen: set[str] = set()
    counts: dict[str, int] = {}
    for conversation in conversations:
        name = conversation.id
        while name in seen:
            counts[conversation.id] = counts.get(conversation.id, 1) + 1
            name = f"{conversation.id}-{counts[conversation.id]}"
        seen.add(name)
        yield conversation if name == conversation.id else replace(conversation, id=name)
