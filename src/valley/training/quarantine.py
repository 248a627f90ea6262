"""The record of a medium that cannot be read, the same from a run as from a scan before it."""

from __future__ import annotations


def quarantine_record(path: str, kind: str, reason: str, *, sample_id: str) -> dict[str, str]:
    """Make the record of a bad medium: the conversation's id, the path, the error's class and its reason."""
    return {"sample": sample_id, "path": path, "kind": kind, "reason": reason}
