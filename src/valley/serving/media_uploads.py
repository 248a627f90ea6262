"""Files that clients have uploaded: which id stands for which medium, and whose it is."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from valley.serving.errors import MediaRefusedError
from valley.serving.media_spool import Entry

_MOST_NAME_CHARACTERS = 255


@dataclass(frozen=True, eq=False)
class StoredFile:
    """One upload.

    Attributes:
        id: "file-" and random digits.
        name: as the client called it, without what no name holds; shown, never used as a path.
        size_bytes: as it came.
        created_at: seconds since 1970.
        kind: "image" or "video", told from the content.
        entry: the medium on the disk.
    """

    id: str
    name: str
    size_bytes: int
    created_at: int
    kind: str
    entry: Entry


class Uploads:
    """All uploads of one server; its methods may be called from any thread."""

    def __init__(self, max_files_per_owner: int, *, clock: Callable[[], float] = time.time) -> None:
        self._most = max_files_per_owner
        self._clock = clock
        self._lock = threading.Lock()
        self._files: dict[str, dict[str, StoredFile]] = {}

    def refuse_more(self, owner: str) -> None:
        """Check that an owner may keep one more.

        Raises:
            MediaRefusedError: there are too many.
        """
        if len(self.of(owner)) >= self._most:
            raise MediaRefusedError(
                400, "too_many_files", f"a key may keep {self._most} files: delete some (DELETE /v1/files/ID)"
            )

    def add(self, entry: Entry, *, name: str, size_bytes: int, kind: str) -> StoredFile:
        """Give a medium an id; the medium is in use by the caller, so that it stays until this is done."""
        made = StoredFile(
            f"file-{secrets.token_hex(16)}", plain_name(name), size_bytes, int(self._clock()), kind, entry
        )
        with self._lock:
            entry.file_ids.add(made.id)
            self._files.setdefault(entry.owner, {})[made.id] = made
        return made

    def of(self, owner: str) -> list[StoredFile]:
        """Give the files of an owner, the oldest first."""
        with self._lock:
            mine = self._files.get(owner, {})
            for gone in [id_ for id_, file in mine.items() if id_ not in file.entry.file_ids]:
                del mine[gone]  # there was no room for it any more
            return list(mine.values())

    def find(self, file_id: str, owner: str) -> StoredFile:
        """Give a file by its id.

        Raises:
            MediaRefusedError: this owner has none of that name; whether another one has is not told.
        """
        with self._lock:
            found = self._files.get(owner, {}).get(file_id)
        if found is None or file_id not in found.entry.file_ids:
            raise MediaRefusedError(
                404, "file_not_found", "there is no such file; one that was not used for long may be gone"
            )
        return found

    def delete(self, file_id: str, owner: str) -> None:
        """Forget a file; the medium goes when there is no room for it.

        Raises:
            MediaRefusedError: see `find`.
        """
        found = self.find(file_id, owner)
        with self._lock:
            self._files[owner].pop(file_id, None)
            found.entry.file_ids.discard(file_id)


def plain_name(name: str) -> str:
    """Leave out of a name what no name holds: folders, control characters, half characters."""
    whole = name.encode("utf-8", "replace").decode()
    last = whole.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:_MOST_NAME_CHARACTERS] or "file"
