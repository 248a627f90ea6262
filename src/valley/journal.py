"""Keep what was found out, one line a key, so that a kill at any byte loses no more than the last line.

Each line is a checksum, a key without blanks, and JSON::

    9ad1f7c3 8f1d...e0 {"duration_s":12.5,"width":640}
    47e2b001 1c77...9b {"fault":{"reason":"timeout","detail":"took longer than 60 s","attempts":2}}

A writer has a file of its own, so that writers on one folder need no lock. The first result of a key holds.
A fault holds as long as its key has no result, and then the last of them, so that a later try can mend it.
Lines that a kill tore or a disk spoilt are passed over and counted: their keys are simply not there. This
module does not know what the records mean.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import time
import zlib
from collections.abc import Iterator, KeysView
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, cast
from urllib.parse import quote, unquote

MOST_UNSYNCED_RECORDS = 256
SYNC_EVERY_S = 0.05  # a disk syncs some 300 times a second: one in twenty costs little and risks little

_MOST_READERS = 64
_FAULT = b'{"fault":'
_CRC_DIGITS = 8
_KEY_AT = _CRC_DIGITS + 1
_PLAIN_KEY = re.compile(r"[!-$&-~]+")  # printable ASCII but the blank and the percent sign
_SAFE = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"
_UTF8 = ("utf-8", "surrogatepass")  # names of files may hold lone surrogates


class _Place(NamedTuple):
    """Where a line stands."""

    segment: Path
    offset: int


class Journal:
    """The lines of one name at one version, of all writers; and a file of our own once something is added.

    What other writers add later is seen when the folder is opened again.

    Attributes:
        folder: where the files of this journal lie.
        num_torn: how many lines were passed over, torn or with a wrong checksum.

    Example:
        ``with Journal(corpus / "stages", "look", 1) as store: store.append(key, {"width": 640})``
    """

    def __init__(self, folder: Path, name: str, version: int) -> None:
        """Read the keys of what is there.

        Args:
            folder: of all journals; this one is `<name>@<version>` in it, made once something is added.
            name: what is noted, such as the stage that finds it out.
            version: of whoever finds it out; lines of another version are not seen.
        """
        self.folder = folder / f"{name}@{version}"
        self.num_torn = 0
        self._conflicts: dict[str, None] = {}
        self._places: dict[str, _Place] = {}
        self._faults: set[str] = set()
        self._readers: dict[Path, IO[bytes]] = {}
        self._writer: IO[bytes] | None = None
        self._segment = Path()
        self._offset = 0
        self._num_unsynced = 0
        self._synced_s = time.monotonic()
        for segment in sorted(self.folder.glob("*.jsonl")):
            self._read_segment(segment)

    def append(self, key: str, record: dict[str, Any]) -> None:
        """Add a line: a result, or ``{"fault": ...}``. A kill of this process no longer loses it.

        A failing power supply loses at most the last 256 lines, or those since the disk was last synced.

        Raises:
            OSError: the disk is full, or gone.
            ValueError: the key is empty, or the record no JSON.
        """
        line = encode_line(key, record)
        writer = self._writer or self._open_writer()
        try:
            if writer.write(line) != len(line):
                raise OSError(f"{self._segment}: want {len(line)} bytes written, got fewer; make room")
        except OSError:
            self._close_writer()  # what stands there is torn; the next line begins a new file
            raise
        place, self._offset = _Place(self._segment, self._offset), self._offset + len(line)
        self._note(key, place, line)
        self._num_unsynced += 1
        late = time.monotonic() - self._synced_s >= SYNC_EVERY_S
        if late or self._num_unsynced >= MOST_UNSYNCED_RECORDS:
            self.flush()

    def flush(self) -> None:
        """Wait until the disk has what was added before; another thread may add meanwhile."""
        num_unsynced = self._num_unsynced
        if self._writer is not None and num_unsynced:
            _sync(self._writer.fileno())
        self._num_unsynced -= num_unsynced
        self._synced_s = time.monotonic()

    def keys(self) -> KeysView[str]:
        """Give all keys that have a result or a fault, without having read their JSON."""
        return self._places.keys()

    def fault_keys(self) -> frozenset[str]:
        """Give the keys that have a fault and no result."""
        return frozenset(self._faults)

    @property
    def conflicts(self) -> tuple[str, ...]:
        """Give the keys with two results that differ; the first holds."""
        return tuple(self._conflicts)

    def get(self, key: str) -> dict[str, Any] | None:
        """Read the record of a key; None where there is none."""
        place = self._places.get(key)
        if place is None:
            return None
        return json.loads(_body(self._line(place)).decode(*_UTF8))

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Read all keys and their records, in the order in which the keys first came."""
        for key, place in list(self._places.items()):
            yield key, json.loads(_body(self._line(place)).decode(*_UTF8))

    def close(self) -> None:
        """Sync, and let go of the files."""
        self.flush()
        self._close_writer()
        self._close_readers()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_segment(self, segment: Path) -> None:
        offset = 0
        with segment.open("rb", buffering=2**20) as lines:
            for line in lines:
                key = decode_key(line)
                if key is None:
                    self.num_torn += 1
                else:
                    self._note(key, _Place(segment, offset), line)
                offset += len(line)

    def _note(self, key: str, place: _Place, line: bytes) -> None:
        """Remember where a key stands, as the rule in the module's docstring says."""
        is_fault = line.startswith(_FAULT, line.index(b" ", _KEY_AT) + 1)
        known = self._places.get(key)
        if known is None or key in self._faults:
            self._places[key] = place
            if is_fault:
                self._faults.add(key)
            else:
                self._faults.discard(key)
        elif not is_fault and self._line(known) != line:
            self._conflicts[key] = None

    def _line(self, place: _Place) -> bytes:
        reader = self._readers.get(place.segment)
        if reader is None:
            if len(self._readers) >= _MOST_READERS:
                self._close_readers()
            reader = self._readers[place.segment] = place.segment.open("rb")
        reader.seek(place.offset)
        return reader.readline()

    def _close_readers(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _open_writer(self) -> IO[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        host = re.sub(r"[^0-9A-Za-z.-]", "_", socket.gethostname())
        for number in itertools.count():
            # The time comes first: sorted by name, files stand in the order in which they were begun.
            self._segment = self.folder / f"{time.time_ns():020d}-{host}-{os.getpid()}-{number}.jsonl"
            try:
                self._writer = self._segment.open("xb", buffering=0)
                break
            except FileExistsError:
                continue
        _sync_folder(self.folder)
        self._offset = 0
        return cast("IO[bytes]", self._writer)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def encode_line(key: str, record: dict[str, Any]) -> bytes:
    """Make the line of a key.

    Raises:
        ValueError: the key is empty, or the record no JSON.
    """
    if not key:
        raise ValueError("want a key for the record, got an empty one")
    if not _PLAIN_KEY.fullmatch(key):
        key = quote(key, safe=_SAFE, encoding="utf-8", errors="surrogatepass")
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    body = f"{key} {text}".encode(*_UTF8)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode_key(line: bytes) -> str | None:
    """Give the key of a line, or None where the line is torn or its checksum wrong."""
    if line[-1:] != b"\n" or line[_CRC_DIGITS:_KEY_AT] != b" ":
        return None
    if b"%08x" % zlib.crc32(memoryview(line)[_KEY_AT:-1]) != line[:_CRC_DIGITS]:
        return None
    key = line[_KEY_AT : line.index(b" ", _KEY_AT)].decode("ascii")
    return unquote(key, *_UTF8) if "%" in key else key


def _body(line: bytes) -> bytes:
    return line[line.index(b" ", _KEY_AT) + 1 : -1]


def _sync(descriptor: int) -> None:
    """Wait for the disk; the time of change need not be written where the system can leave it out."""
    sync = os.fdatasync if hasattr(os, "fdatasync") else os.fsync
    sync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file last, where folders can be opened at all."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
