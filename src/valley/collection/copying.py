"""Copy local media into a collection, under the hash of their bytes; a file is there whole or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path, PurePath

from valley.collection.gathering import Owner
from valley.errors import MediaError

_CHUNK_BYTES = 2**22


def copy_into(corpus: Path, media_id: str, owner: Owner) -> Owner:
    """Copy a medium's file where it is not there yet, and give its owner with the new place.

    Raises:
        MediaError: the file is another than the one that was looked at.
        OSError: it cannot be read, or the disk is full.
    """
    source = PurePath(owner.uri)
    if not source.is_absolute():
        return owner
    uri = f"blobs/{media_id[:2]}/{media_id}{source.suffix.lower()}"
    target = corpus / uri
    if not (target.is_file() and target.stat().st_size == owner.size_bytes):
        _copy(Path(source), target, media_id)
    return dataclasses.replace(owner, uri=uri)


def _copy(source: Path, target: Path, media_id: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")  # one that a kill left is written over
    digest = hashlib.sha256()
    try:
        with source.open("rb") as read, part.open("wb") as written:
            while chunk := read.read(_CHUNK_BYTES):
                digest.update(chunk)
                written.write(chunk)
            written.flush()
            os.fsync(written.fileno())
        if digest.hexdigest() != media_id:
            raise MediaError(source, "has changed since it was looked at", "start the command again")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
