"""Conversations of JSONL files behind an Arrow index on disk: memory stays small, however many there are.

A file is read and checked once; its lines are then looked up in a memory-mapped table.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valley.conversation import Conversation, from_line, resolved
from valley.errors import ConfigError, MissingExtraError

# Rows of one write; small, so that building needs little memory too.
_BATCH = 2000
_VERSION = b"1"


@dataclass
class ConversationStore:
    """The conversations of one file, numbered; it may be sent to other processes.

    Attributes:
        path: the JSONL file; media paths are relative to its folder.
        index_path: the Arrow file.
    """

    path: Path
    index_path: Path
    _table: Any = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return self._rows().num_rows

    def __getitem__(self, number: int) -> Conversation:
        line = self._rows()["record"][number].as_py()
        where = f"{self.path}, number {number}"
        return resolved(from_line(line.encode(), where=where), self.path.parent)

    def sha256(self) -> str:
        """Give the hash of the file's bytes."""
        return self._rows().schema.metadata[b"sha256"].decode()

    def _rows(self) -> Any:  # noqa: ANN401
        if self._table is None:
            arrow = _arrow()
            self._table = arrow.ipc.open_file(arrow.memory_map(str(self.index_path))).read_all()
        return self._table

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapped table behind: another process maps it itself."""
        return {"path": self.path, "index_path": self.index_path, "_table": None}


def open_store(path: Path, index_dir: Path) -> ConversationStore:
    """Open a file of conversations; index it if it is new or has changed.

    Raises:
        ConfigError: there is no such file.
        ConversationError: a line is no conversation; the message names file and line.
        MissingExtraError: pyarrow is not installed.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file of conversations")
    stat = path.stat()
    known = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode() + _VERSION
    index_path = index_dir / f"{hashlib.sha256(known).hexdigest()[:24]}.arrow"
    if not index_path.is_file():
        _build(path, index_path)
    return ConversationStore(path, index_path)


def _build(path: Path, index_path: Path) -> None:
    """Write the index through a name of this process: several may do so at once, the last one wins."""
    arrow = _arrow()
    index_path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    columns = arrow.schema([("line", arrow.int64()), ("record", arrow.large_string())])
    rows = index_path.with_name(f"{index_path.name}.{os.getpid()}.rows")
    part = index_path.with_name(f"{index_path.name}.{os.getpid()}.part")
    try:
        with arrow.OSFile(str(rows), "wb") as sink, arrow.ipc.new_file(sink, columns) as writer:
            for batch in _batches(path, digest):
                writer.write_batch(arrow.record_batch(batch, schema=columns))
        # The hash is known at the end, and a schema stands at the beginning.
        named = columns.with_metadata({b"sha256": digest.hexdigest().encode()})
        with (
            arrow.memory_map(str(rows)) as source,
            arrow.OSFile(str(part), "wb") as sink,
            arrow.ipc.new_file(sink, named) as writer,
        ):
            reader = arrow.ipc.open_file(source)
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                writer.write_batch(arrow.record_batch(batch.columns, schema=named))
        part.replace(index_path)
    finally:
        for left in (rows, part):
            left.unlink(missing_ok=True)


def _batches(path: Path, digest: Any) -> Iterator[list[list[Any]]]:  # noqa: ANN401
    lines: list[int] = []
    records: list[str] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            digest.update(line)
            if not line.strip():
                continue
            from_line(line, where=f"{path}:{number}")
            lines.append(number)
            records.append(line.decode("utf-8").strip())
            if len(lines) == _BATCH:
                yield [lines, records]
                lines, records = [], []
    if lines:
        yield [lines, records]


def _arrow() -> Any:  # noqa: ANN401
    try:
        import pyarrow as arrow
    except ImportError as error:
        raise MissingExtraError(wanted_by="training", package="pyarrow", extra="train") from error
    import pyarrow.ipc

    return arrow
