"""Rows of a manifest's table that are added one by one, and take little more memory than the file will."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from valley.manifest import TableName, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK_ROWS = 8192


class GrowingTable:
    """A table that grows; all but the last few rows are columns."""

    def __init__(self, table: TableName) -> None:
        """Begin without rows."""
        self._schema = arrow_schema(table)
        self._rows: list[Mapping[str, Any]] = []
        self._chunks: list[pa.RecordBatch] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row; columns it does not name are null."""
        self._rows.append(row)
        if len(self._rows) >= _CHUNK_ROWS:
            self._pack()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows in the order in which they came."""
        self._pack()
        for chunk in self._chunks:
            yield from chunk.to_pylist()

    def to_arrow(self) -> pa.Table:
        """Give the table."""
        import pyarrow

        self._pack()
        return pyarrow.Table.from_batches(self._chunks, schema=self._schema)

    def _pack(self) -> None:
        import pyarrow

        if not self._rows:
            return
        try:
            chunk = pyarrow.RecordBatch.from_pylist(self._rows, schema=self._schema)
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
            cleaned = [{name: _clean(value) for name, value in row.items()} for row in self._rows]
            chunk = pyarrow.RecordBatch.from_pylist(cleaned, schema=self._schema)
        self._chunks.append(chunk)
        self._rows = []


def _clean(value: Any) -> Any:  # noqa: ANN401
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value
