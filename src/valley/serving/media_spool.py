"""Media on the disk for as long as they are of use: named by owner and content, bounded in bytes.

The folder looks like this, with owner "" as `_`, and is gone once the spool is closed::

    valley-media-9f3c.lock
    valley-media-9f3c/_/5c1e...(sha256)/clip.mp4
    valley-media-9f3c/_/77ab...(sha256)/000000.jpg 000001.jpg timestamps.txt     (a list of pictures)

Where there is no room, what nobody uses goes: of the owner who takes most, first what was not uploaded, then
what was used longest ago. So no owner drives out what another one keeps as long as that one has less.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import threading
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from valley.errors import ConfigError
from valley.fetching.content import HEAD_BYTES
from valley.locking import locked
from valley.serving.errors import MediaRefusedError

LEAST_BYTES = 2**16
"""What a small medium counts for: names and entries cost something, too."""

_PREFIX = "valley-media-"


@dataclass(eq=False)
class Entry:
    """One medium on the disk.

    Attributes:
        owner: whose it is.
        digest: names its content.
        path: to read: a file, or a folder of pictures.
        size_bytes: it counts for so many.
        suffix: tells its container, with the dot; "" for a folder.
        num_users: requests that read it now.
        file_ids: uploads that are this.
    """

    owner: str
    digest: str
    path: Path
    size_bytes: int
    suffix: str
    num_users: int = 0
    file_ids: set[str] = field(default_factory=set)


@dataclass
class _Share:
    """What one owner has, the longest unused first."""

    size_bytes: int = 0
    entries: OrderedDict[str, Entry] = field(default_factory=OrderedDict)

    def first_free(self) -> Entry | None:
        """Give what may go first, or None while everything is in use."""
        free = (entry for entry in self.entries.values() if not entry.num_users)
        uploaded: Entry | None = None
        for entry in free:
            if not entry.file_ids:
                return entry
            uploaded = uploaded or entry
        return uploaded


class Draft:
    """A medium that is still coming; a context manager, which leaves nothing of one that was not kept."""

    def __init__(self, spool: Spool, folder: Path) -> None:
        self.folder = folder
        self.num_bytes = 0
        self.reserved_bytes = 0
        self.is_over = False
        self.head = b""
        self._spool = spool
        self._sum = hashlib.sha256()
        self._file: IO[bytes] | None = None
        folder.mkdir(mode=0o700)

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_file()
        self._spool.abandon(self)

    @property
    def digest(self) -> str:
        """Name all bytes so far."""
        return self._sum.hexdigest()

    def begin_file(self, name: str) -> None:
        """Start a file of this medium; `head` begins anew."""
        self.end_file()
        self._file = (self.folder / name).open("xb")
        self.head = b""

    def write(self, data: bytes) -> None:
        """Add bytes to the file that was begun.

        Raises:
            MediaRefusedError: there is no room for them.
        """
        assert self._file is not None
        self.num_bytes += len(data)
        self._spool.reserve(self, max(LEAST_BYTES, self.num_bytes))
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        self._sum.update(data)
        self._file.write(data)

    def mark(self, words: str) -> None:
        """Let something else than bytes be part of the digest."""
        self._sum.update(b"\0" + words.encode())

    def end_file(self) -> None:
        """Close the file that was begun."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Spool:
    """All media of one running server; its methods may be called from any thread."""

    def __init__(self, parent: Path, *, most_bytes: int, keep_free_bytes: int = 0) -> None:
        """Make a folder of its own below `parent`, and remove those of servers that died.

        Raises:
            ConfigError: it cannot be made.
        """
        self._most_bytes = most_bytes
        self._keep_free_bytes = keep_free_bytes
        self._lock = threading.RLock()
        self._shares: dict[str, _Share] = {}
        self._used_bytes = 0
        self._is_closed = False
        self._held = ExitStack()
        self.folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
        self._lock_path = self.folder.with_suffix(".lock")
        try:
            parent.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(locked(self._lock_path, taken="two servers started at once: try again"))
            self.folder.mkdir(mode=0o700)
        except OSError as error:
            raise ConfigError(f"cannot keep media in {parent}: {error.strerror}") from error
        _sweep(parent, but=self._lock_path)

    @property
    def used_bytes(self) -> int:
        """What all media count for, those that are coming too."""
        return self._used_bytes

    @property
    def num_in_use(self) -> int:
        """How many media somebody uses, each counted once for every user."""
        with self._lock:
            entries = [entry for share in self._shares.values() for entry in share.entries.values()]
            return sum(entry.num_users for entry in entries)

    def draft(self) -> Draft:
        """Begin a medium.

        Raises:
            MediaRefusedError: the spool is closed, or the disk full.
        """
        with self._lock:
            self._refuse_closed()
            return Draft(self, self.folder / f"draft-{secrets.token_hex(8)}")

    def reserve(self, draft: Draft, size_bytes: int) -> None:
        """Have room for a draft of this size in all.

        Raises:
            MediaRefusedError: everything is in use.
        """
        with self._lock:
            self._refuse_closed()
            assert not draft.is_over  # whoever waited for it has left: this thread is on its own
            more = size_bytes - draft.reserved_bytes
            while self._used_bytes + more > self._most_bytes:
                self._evict_one()
            self._used_bytes += more
            draft.reserved_bytes = size_bytes

    def keep(self, draft: Draft, owner: str, name: str, suffix: str) -> Entry:
        """Take a whole draft; the entry counts as in use by the caller, who has to `release` it.

        Args:
            draft: its files are written; it is of no use afterwards.
            owner: whose it is.
            name: of the file to read in it; "" for the folder itself.
            suffix: tells the container.
        """
        draft.end_file()
        for (
            file
        ) in draft.folder.iterdir():  # equal content is the same file, also for caches that ask its time
            os.utime(file, (0, 0))
        with self._lock:
            self._refuse_closed()
            known = self.use(owner, draft.digest)
            if known is not None:
                return known
            folder = self.folder / (owner or "_") / draft.digest
            folder.parent.mkdir(mode=0o700, exist_ok=True)
            draft.folder.replace(folder)
            entry = Entry(owner, draft.digest, folder / name, draft.reserved_bytes, suffix, num_users=1)
            draft.reserved_bytes = 0
            share = self._shares.setdefault(owner, _Share())
            share.entries[entry.digest] = entry
            share.size_bytes += entry.size_bytes
            return entry

    def abandon(self, draft: Draft) -> None:
        """Leave nothing of a draft that was not kept."""
        with self._lock:
            draft.is_over = True
            shutil.rmtree(draft.folder, ignore_errors=True)
            self._used_bytes -= draft.reserved_bytes
            draft.reserved_bytes = 0

    def use(self, owner: str, digest: str) -> Entry | None:
        """Give an owner's medium by its content, and count one more user; None where it is not there."""
        with self._lock:
            share = self._shares.get(owner)
            entry = None if share is None else share.entries.get(digest)
            if share is not None and entry is not None:
                entry.num_users += 1
                share.entries.move_to_end(digest)
            return entry

    def release(self, entry: Entry) -> None:
        """Count one user less."""
        with self._lock:
            entry.num_users -= 1

    def close(self) -> None:
        """Remove everything."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._shares.clear()
            shutil.rmtree(self.folder, ignore_errors=True)
            self._held.close()
            self._lock_path.unlink(missing_ok=True)

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise MediaRefusedError(503, "shutting_down", "the server is shutting down: ask again later")
        if self._keep_free_bytes and shutil.disk_usage(self.folder).free < self._keep_free_bytes:
            raise MediaRefusedError(503, "media_storage_full", "the server's disk is full: ask again later")

    def _evict_one(self) -> None:
        by_size = sorted(self._shares.values(), key=lambda share: share.size_bytes, reverse=True)
        for share in by_size:
            entry = share.first_free()
            if entry is not None:
                shutil.rmtree(self.folder / (entry.owner or "_") / entry.digest, ignore_errors=True)
                del share.entries[entry.digest]
                share.size_bytes -= entry.size_bytes
                self._used_bytes -= entry.size_bytes
                entry.file_ids.clear()
                return
        raise MediaRefusedError(
            503, "media_storage_full", "all room for media is in use by other requests: ask again later"
        )


def _sweep(parent: Path, *, but: Path) -> None:
    """Remove the folders of servers that ended without removing them: nobody holds their locks."""
    for lock in parent.glob(f"{_PREFIX}*.lock"):
        if lock == but:
            continue
        try:
            with locked(lock, taken="is running"):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
        except ConfigError:
            continue
