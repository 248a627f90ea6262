"""What was fetched last, in case nobody had the time to write it down: a kill costs no byte then.

Between the moment in which a medium is complete and the one in which its outcome is on the disk as well, a
process may be killed. One line a medium stands here before it is moved to its place::

    {"name": "<hash of the key>", "record": {"sha256": "...", "path": "blobs/ab/...", ...}}

Only the last some thousand lines are kept: what is older has been written down long ago.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

MOST_LINES = 10_000
"""Kept when it is opened; a caller that has as many outcomes in its memory alone loses some to a kill."""


class Journal:
    """The last records by name."""

    def __init__(self, path: Path) -> None:
        """Read what is there; the last line of a name holds, and a torn one is none."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        is_torn = bool(lines) and not lines[-1].endswith(b"\n")
        if is_torn or len(lines) > 2 * MOST_LINES:
            lines = lines[: -1 if is_torn else None][-MOST_LINES:]
            beside = path.with_suffix(".tmp")
            beside.write_bytes(b"".join(lines))
            beside.replace(path)
        self._records = dict(entry for line in lines if (entry := _parsed(line)) is not None)

    def get(self, name: str) -> dict[str, Any] | None:
        """Give the record of this name; None where there is none, or where it has been too long."""
        return self._records.get(name)

    def append(self, name: str, record: dict[str, Any]) -> None:
        """Note a record; afterwards a kill of this process does not lose it."""
        line = json.dumps({"name": name, "record": record}).encode() + b"\n"
        with self._lock:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)


def _parsed(line: bytes) -> tuple[str, dict[str, Any]] | None:
    try:
        entry = json.loads(line)
        name, record = entry["name"], entry["record"]
        is_sound = isinstance(record["path"], str) and isinstance(record["size_bytes"], int)
    except (ValueError, KeyError, TypeError):
        return None
    return (name, record) if is_sound and isinstance(name, str) else None
