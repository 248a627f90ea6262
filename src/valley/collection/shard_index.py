"""What goes into a tar shard, where in it, and the table that says so.

>>> row = index.to_pylist()[0]  # of index.parquet
>>> file = (out / row["shard"]).open("rb")
>>> file.seek(row["offset"])
>>> medium = file.read(row["size_bytes"])
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INDEX_NAME = "index.parquet"
_HEADER_BYTES = tarfile.BLOCKSIZE  # names are short and GNU's format takes any size: one header a member


@dataclass(frozen=True)
class Sample:
    """A medium for a shard.

    Attributes:
        key: SHA-256 of the file's bytes, by which it is checked.
        path: the file.
        size_bytes: of the file.
        record: its JSON.
    """

    key: str
    path: Path
    size_bytes: int
    record: bytes
    kind: str
    split: str
    licence: str
    num_clips: int
    num_texts: int

    @property
    def members(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Names and sizes in the order of their names."""
        suffix = self.path.suffix.lower() or ".bin"
        medium, record = (f"{self.key}{suffix}", self.size_bytes), (f"{self.key}.json", len(self.record))
        return (medium, record) if medium < record else (record, medium)

    @property
    def size_in_shard_bytes(self) -> int:
        """What it adds to a shard."""
        return sum(_HEADER_BYTES + _padded(size) for _, size in self.members)


class ShardIndex:
    """Where in which shard every medium lies; one row group a shard. It has its name once it is whole."""

    def __init__(self, path: Path) -> None:
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        self._path = path
        self._part = path.with_name(path.name + ".part")
        texts = ("key", "shard", "sha256", "kind", "split", "licence")
        numbers = ("offset", "size_bytes", "record_offset", "record_size_bytes", "num_clips", "num_texts")
        self._schema = arrow.schema(
            [(name, arrow.string()) for name in texts] + [(name, arrow.int64()) for name in numbers]
        )
        self._writer = parquet.ParquetWriter(self._part, self._schema, compression="zstd")

    def __enter__(self) -> ShardIndex:
        """Begin."""
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Finish, or throw away what an error left."""
        self._writer.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def add(self, shard: str, samples: Iterable[Sample]) -> None:
        """Add the samples of a shard, in their order."""
        import pyarrow as arrow

        rows, place = [], 0
        for sample in samples:
            offsets: dict[str, int] = {}
            for name, size in sample.members:
                offsets["record" if name.endswith(".json") else "medium"] = place + _HEADER_BYTES
                place += _HEADER_BYTES + _padded(size)
            rows.append(_row(shard, sample, offsets))
        self._writer.write_table(arrow.Table.from_pylist(rows, schema=self._schema))


def _row(shard: str, sample: Sample, offsets: Mapping[str, int]) -> dict[str, Any]:
    return {
        "key": sample.key,
        "shard": shard,
        "sha256": sample.key,
        "kind": sample.kind,
        "split": sample.split,
        "licence": sample.licence,
        "offset": offsets["medium"],
        "size_bytes": sample.size_bytes,
        "record_offset": offsets["record"],
        "record_size_bytes": len(sample.record),
        "num_clips": sample.num_clips,
        "num_texts": sample.num_texts,
    }


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
