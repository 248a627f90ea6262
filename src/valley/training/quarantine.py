"""The record of a medium that cannot be read, the same from a run as from a scan before it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from valley.whole_files import write_whole


def quarantine_record(path: str, kind: str, reason: str, *, sample_id: str) -> dict[str, str]:
    """Make the record of a bad medium: the conversation's id, the path, the error's class and its reason."""
    return {"sample": sample_id, "path": path, "kind": kind, "reason": reason}


def append_record(path: Path, record: dict[str, str]) -> None:
    """Add a record to a list to which several processes write."""
    line = json.dumps(record, ensure_ascii=False) + "\n"
    # One write to a file opened for appending is not torn by other processes.
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def keep_each_once(path: Path) -> None:
    """Leave one line of those that are equal: later epochs, and a run that went on, meet a medium again."""
    if not path.is_file():
        return
    lines = dict.fromkeys(path.read_text(encoding="utf-8").splitlines(keepends=True))
    write_whole(path, "".join(lines))
