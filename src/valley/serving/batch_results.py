"""The results of a batch: one line each, appended whole, put into the order of the rows at the end.

    {"id": "batch_req_9f..", "custom_id": "a", "response": {"status_code": 200, "body": {...}}, "error": null}
    {"id": "batch_req_c1..", "custom_id": "b", "response": null, "error": {"code": "row", "message": "..."}}

A kill at any byte leaves whole lines, and at most one torn at the end: it is cut off, its row asked again.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from valley.errors import ConfigError
from valley.serving.batch_rows import Row

_SYNC_EVERY_S = 0.5


class _Place(NamedTuple):
    """Where the line of a result stands."""

    offset: int
    length: int
    is_answer: bool


class Results:
    """The file of results, of one writer; opened where it was left.

    Attributes:
        torn_bytes: what was cut off at the end.
    """

    def __init__(self, path: Path, rows: Sequence[Row], *, model: str) -> None:
        """Read what is there.

        Args:
            path: the file; it is made where there is none.
            rows: those whose results it holds, in order.
            model: whose answers they are.

        Raises:
            ConfigError: the file holds something else: nothing in it is touched.
        """
        self.path = path
        self.torn_bytes = 0
        self._order = [row.key for row in rows]
        self._model = model
        self._places: dict[str, _Place] = {}
        known = set(self._order)
        end = self._read(known)
        self._file = path.open("ab", buffering=0)
        self._file.truncate(end)
        self._end = end
        self._synced_s = time.monotonic()

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def is_done(self, row: Row, *, retry_failed: bool) -> bool:
        """Whether a row has its result."""
        place = self._places.get(row.key)
        return place is not None and (place.is_answer or not retry_failed)

    @property
    def num_failed(self) -> int:
        """Count the results that are errors."""
        return sum(not place.is_answer for place in self._places.values())

    def append(self, record: dict[str, Any]) -> None:
        """Add a result; of two of the same row the later one holds.

        Raises:
            OSError: the disk is full, or gone.
        """
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        written = self._file.write(line)
        if written != len(line):
            raise OSError(f"{self.path}: want {len(line)} bytes written, got {written}; make room")
        self._places[record["id"]] = _Place(self._end, len(line), record["error"] is None)
        self._end += len(line)
        if time.monotonic() - self._synced_s >= _SYNC_EVERY_S:
            os.fsync(self._file.fileno())
            self._synced_s = time.monotonic()

    def finish(self) -> None:
        """Put the results into the order of the rows, each once; the file is replaced whole."""
        os.fsync(self._file.fileno())
        places = [self._places[key] for key in self._order if key in self._places]
        in_order = all(a.offset + a.length == b.offset for a, b in itertools.pairwise(places))
        if in_order and sum(p.length for p in places) == self._end:
            return
        part = self.path.with_name(f".{self.path.name}.part")
        try:
            with self.path.open("rb") as lines, part.open("wb") as file:
                for place in places:
                    lines.seek(place.offset)
                    file.write(lines.read(place.length))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)

    def _read(self, known: set[str]) -> int:
        """Note where results stand; give where the whole lines end."""
        end = 0
        for number, line in enumerate(self._lines(), 1):
            record = _parsed(line)
            if record is None:
                if end + len(line) < self.path.stat().st_size or not _may_be_torn(line):
                    raise ConfigError(
                        f"{self.path}:{number}: is no result of a batch; name another file for the results"
                    )
                self.torn_bytes = len(line)
                break
            self._refuse_foreign(record, known, number)
            if record["id"] in known:
                self._places[record["id"]] = _Place(end, len(line), record["error"] is None)
            end += len(line)
        return end

    def _lines(self) -> Iterator[bytes]:
        if self.path.exists():
            with self.path.open("rb") as lines:
                yield from lines

    def _refuse_foreign(self, record: dict[str, Any], known: set[str], number: int) -> None:
        if record["error"] is not None:
            return
        where = f"{self.path}:{number}"
        if record["id"] not in known:
            raise ConfigError(
                f"{where}: answers a row ({record['custom_id']!r}) that is not asked, or was changed; "
                "name another file for the results"
            )
        model = record["response"]["body"].get("model")
        if model != self._model:
            raise ConfigError(
                f"{where}: is an answer of {model}, not of {self._model}; name another file for the results"
            )


def _may_be_torn(line: bytes) -> bool:
    """Whether a kill may have left this: the beginning of a result, or what a disk puts in its place."""
    start = b'{"id": "batch_req_'
    begins_so = line.startswith(start) or start.startswith(line)
    return not line.endswith(b"\n") and (begins_so or not line.strip(b"\0"))


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Read a result; None where the line is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not line.endswith(b"\n") or not isinstance(record, dict):
        return None
    if record.keys() != {"id", "custom_id", "response", "error"} or not isinstance(record["id"], str):
        return None
    response = record["response"]
    has_body = isinstance(response, dict) and isinstance(response.get("body"), dict)
    return record if has_body or (response is None and record["error"] is not None) else None
