"""Walk over a finished collection medium by medium, with what the other tables say about each.

The tables are sorted by medium, so they are read side by side: memory does not grow with the collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

from valley.errors import ConfigError
from valley.manifest import UNKNOWN_LICENCE, TableName, as_us, read_table, split_of, table_path

Row: TypeAlias = Mapping[str, Any]

_BATCH_ROWS = 4096  # some megabytes of the widest table


@dataclass(frozen=True)
class Medium:
    """A file of a collection, and the rows about it; the columns are those of the manifest.

    Attributes:
        row: of the table `media`.
        stretches: the clips that the sources named, in order.
        shots: in order.
        texts: the kept ones, in order.
        num_refused: texts that were not kept.
    """

    row: Row
    stretches: tuple[Row, ...]
    shots: tuple[Row, ...]
    texts: tuple[Row, ...]
    num_refused: int

    @property
    def id(self) -> str:
        """SHA-256 of the file's bytes."""
        return self.row["media_id"]

    @property
    def split(self) -> str:
        """The split it belongs to, with all its clips."""
        clips = self.stretches or self.shots
        return clips[0]["split"] if clips else split_of(self.id)

    @property
    def has_known_licence(self) -> bool:
        """Whether somebody said the licence."""
        return self.row["licence"] != UNKNOWN_LICENCE

    def is_whole(self, start_us: int, end_us: int) -> bool:
        """Whether these bounds leave nothing of the medium out; a picture is always whole."""
        duration_s = self.row["duration_s"]
        if self.row["kind"] == "image":
            return True
        return start_us <= 0 and duration_s is not None and end_us >= as_us(duration_s)


def join_tables(corpus: Path) -> Iterator[Medium]:
    """Yield all media, in the order of their ids.

    Raises:
        MissingExtraError: pyarrow is absent.
        ConfigError: the folder is no finished collection, or a table names a medium that `media` lacks.
    """
    clips = _taken_in_order(corpus, "clip")
    texts = _taken_in_order(corpus, "text")
    for row in _rows(corpus, "media"):
        of_medium = clips(row["media_id"])
        words = texts(row["media_id"])
        kept = tuple(text for text in words if text["kept"])
        yield Medium(
            row,
            tuple(clip for clip in of_medium if clip["level"] == "stretch"),
            tuple(clip for clip in of_medium if clip["level"] == "shot"),
            kept,
            len(words) - len(kept),
        )


def _rows(corpus: Path, table: TableName) -> Iterator[dict[str, Any]]:
    read_table(corpus, table, columns=[])  # says whether it is there, and of our version
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(table_path(corpus, table)) as file:
        for batch in file.iter_batches(_BATCH_ROWS):
            yield from batch.to_pylist()


def _taken_in_order(corpus: Path, table: TableName) -> Callable[[str], list[Row]]:
    """Give a function that gives the rows of a medium; it is asked for each medium once, in order."""
    groups = groupby(_rows(corpus, table), key=itemgetter("media_id"))
    waiting: tuple[str, Iterator[Row]] | None = next(groups, None)

    def take(media_id: str) -> list[Row]:
        nonlocal waiting
        if waiting is None or waiting[0] > media_id:
            return []
        if waiting[0] < media_id:
            raise ConfigError(
                f"{table_path(corpus, table)}: names medium {waiting[0]}, which media.parquet lacks: write "
                "the manifest anew with `valley collect`"
            )
        found = list(waiting[1])
        waiting = next(groups, None)
        return found

    return take
