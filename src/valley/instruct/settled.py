"""What an earlier run came to an end with: no more is paid for it because a check has changed since."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from valley.instruct.places import quarantine_path


def settled(conversations: Path) -> dict[str, str]:
    """Give the conversations that stand in the files of an earlier run, each with its first request's name.

    A conversation whose prompt has changed since has another first request, and is written anew.
    """
    found: dict[str, str] = {}
    for record in _records(conversations):
        keys = record.get("metadata", {}).get("request_keys") or ()
        if keys:
            found[record["id"]] = keys[0]
    for record in _records(quarantine_path(conversations)):
        if record.get("tries"):
            found[record["id"]] = record["tries"][0]["key"]
    return found


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.is_file():
        return
    with path.open("rb") as lines:
        yield from (json.loads(line) for line in lines if line.strip())
