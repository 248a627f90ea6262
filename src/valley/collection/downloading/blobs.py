"""Media by the SHA-256 of their bytes: `blobs/ab/<sha256>.<suffix>` below a collection's folder."""

from __future__ import annotations

import os
import threading
from pathlib import Path

BLOBS_FOLDER = "blobs"


class Blobs:
    """The fetched media of one collection."""

    def __init__(self, corpus: Path) -> None:
        self._corpus = corpus
        self._lock = threading.Lock()

    def place(self, sha256: str, *, suffix: str, other_suffix: str) -> str:
        """Say where bytes belong, relative to the collection's folder.

        Args:
            sha256: of the bytes.
            suffix: told from them, with the dot; "" where they do not tell.
            other_suffix: for that case. Equal bytes that are there under any other one stay there.
        """
        folder = self._corpus / BLOBS_FOLDER / sha256[:2]
        target = folder / f"{sha256}{suffix or other_suffix}"
        if not suffix:
            target = min(folder.glob(f"{sha256}.*"), default=target)
        return target.relative_to(self._corpus).as_posix()

    def holds(self, place: str, size_bytes: int) -> bool:
        """Whether a file of this size is there."""
        path = self._corpus / place
        return path.is_file() and path.stat().st_size == size_bytes

    def adopt(self, file: Path, place: str) -> None:
        """Move a file that is on the disk to its place; equal bytes that are there already stay.

        Args:
            file: on the same disk as the collection; it is gone afterwards.
            place: as `place` gave it.
        """
        target = self._corpus / place
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            if self.holds(place, file.stat().st_size):
                file.unlink()
            else:
                file.replace(target)
                _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Have a new name on the disk; Windows has no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
