r"""A file that is being fetched: its bytes so far, and beside them what is needed to fetch the rest.

The notes are a small JSON file, written before the first byte of the body::

    {"validator": "\"5f3a\"", "length": 4711, "content_type": "video/mp4", "final_url": "http://..."}
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from valley.fetching.content import HEAD_BYTES

_BLOCK_BYTES = 2**20
_MOST_NOTES_BYTES = 2**16


@dataclass(frozen=True)
class Notes:
    """What the server said.

    Attributes:
        validator: a strong ETag, or else the time of the last change; "" where it said neither, and the rest
            cannot be told from that of another version.
        length: of the whole; None where it did not say.
        content_type: as it stands.
        final_url: where it came from in the end, without a name and password.
    """

    validator: str = ""
    length: int | None = None
    content_type: str = ""
    final_url: str = ""


class Partial:
    """The part of one medium that is there; a context manager, which leaves a file that holds anything."""

    def __init__(self, folder: Path, key: str) -> None:
        """Look what is there.

        Args:
            folder: of all parts; it is made.
            key: the medium's; names the file.
        """
        folder.mkdir(parents=True, exist_ok=True)
        name = name_of(key)
        self.path = folder / f"{name}.part"
        self._notes_path = folder / f"{name}.json"
        self.notes = _read_notes(self._notes_path)
        self.head = b""
        self.num_bytes = 0
        self._sum = hashlib.sha256()
        self._file: IO[bytes] = self.path.open("ab")  # closed by __exit__
        if self.notes is None:
            self._file.truncate(0)
        else:
            self._read_again()

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self.num_bytes:
            self.path.unlink(missing_ok=True)
            self.forget_notes()

    @property
    def sha256(self) -> str:
        """Of the bytes so far."""
        return self._sum.hexdigest()

    @property
    def is_whole(self) -> bool:
        """Whether all that the server promised is there."""
        return self.notes is not None and self.num_bytes > 0 and self.num_bytes == self.notes.length

    def begin(self, notes: Notes) -> None:
        """Throw the bytes away, and note what the server says about those to come."""
        self._file.truncate(0)
        self._forget()
        beside = self._notes_path.with_suffix(".tmp")
        beside.write_text(json.dumps(asdict(notes)), encoding="utf-8")
        beside.replace(self._notes_path)
        self.notes = notes

    def append(self, data: bytes) -> None:
        """Add bytes."""
        self._file.write(data)
        self._sum.update(data)
        self.num_bytes += len(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]

    def finish(self) -> None:
        """Have all of it on the disk, and close the file."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Leave nothing behind; the medium is fetched from its beginning next time."""
        self._file.close()
        self._forget()
        self.path.unlink(missing_ok=True)
        self.forget_notes()

    def forget_notes(self) -> None:
        """Remove what stands beside the bytes, once these have been moved."""
        self._notes_path.unlink(missing_ok=True)

    def _forget(self) -> None:
        self.notes = None
        self.head = b""
        self.num_bytes = 0
        self._sum = hashlib.sha256()

    def _read_again(self) -> None:
        """Take up the bytes that an earlier process, or an earlier try, left there."""
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                self._sum.update(block)
                self.num_bytes += len(block)
                if len(self.head) < HEAD_BYTES:
                    self.head += block[: HEAD_BYTES - len(self.head)]


def name_of(key: str) -> str:
    """Name the files of a medium; an address itself may be too long, and may hold a password."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _read_notes(path: Path) -> Notes | None:
    try:
        with path.open("rb") as file:
            fields = json.loads(file.read(_MOST_NOTES_BYTES))
        notes = Notes(**fields)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # torn, or of another version: the bytes beside are worth nothing
        return None
    is_length = notes.length is None or type(notes.length) is int
    texts = (notes.validator, notes.content_type, notes.final_url)
    return notes if is_length and all(isinstance(text, str) for text in texts) else None
