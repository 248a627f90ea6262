"""Read the rows of annotation files lazily, each with its place: CSV, JSON, Parquet and Arrow.

A row that cannot be read is handed on as bad where more can be read behind it; a file that cannot be read is
a ConfigError.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from valley.collection.source import BadItem, OnBad
from valley.errors import ConfigError, ConversationError, MissingExtraError
from valley.importers import items
from valley.importers.items import Item
from valley.importers.saved_datasets import plain_rows

ROW_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow")

_Value = TypeVar("_Value")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_MOST_FIELD_CHARS = 2**24  # a long film's list of stretches has some hundred thousand
_MOST_LINES_BEHIND_AN_ERROR = 10_000


def read_rows(path: Path, *, on_bad: OnBad, needed: tuple[str, ...] = ()) -> Iterator[Item]:
    """Yield the rows of a file in order, by its suffix; values are objects where the file is sound.

    Args:
        path: the file.
        on_bad: is given what is no row.
        needed: columns that a table has to have.

    Raises:
        ConfigError: the file cannot be read, its suffix is unknown, or a column is missing.
        MissingExtraError: Parquet or Arrow without pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix in _DELIMITERS:
        yield from as_config_error(_read_csv(path, _DELIMITERS[suffix], on_bad, needed))
    elif suffix in (".parquet", ".arrow"):
        yield from _read_arrow(path, needed, is_parquet=suffix == ".parquet")
    elif suffix in ROW_SUFFIXES:
        yield from as_config_error(items.read_items(path, on_bad_line=lambda i, e: on_bad(bad_line(i, e))))
    else:
        raise ConfigError(f"{path}: want a file that ends in {', '.join(ROW_SUFFIXES)}")


def bad_line(item: Item, error: ConversationError) -> BadItem:
    """Say of a line that it is no JSON."""
    return BadItem(item.default_id, item.where, "bad_json", str(error))


def as_config_error(rows: Iterator[_Value]) -> Iterator[_Value]:
    """Hand values on; an error of the file becomes a ConfigError."""
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except ConversationError as error:
            raise ConfigError(str(error)) from error
        except OSError as error:
            raise ConfigError(f"cannot be read: {error}") from error
        yield row


def annotation_file(path: Path, *names: str) -> Path:
    """Give the file itself, or the first of these names in the folder.

    Raises:
        ConfigError: it holds none of them.
    """
    if not path.is_dir():
        return path
    for name in names:
        if (path / name).is_file():
            return path / name
    raise ConfigError(
        f"{path}: want {' or '.join(names) or 'a file'} in this folder, or give the file itself"
    )


def _read_csv(path: Path, delimiter: str, on_bad: OnBad, needed: tuple[str, ...]) -> Iterator[Item]:
    # The limit is the process's; raising it takes nothing from anybody.
    csv.field_size_limit(max(csv.field_size_limit(), _MOST_FIELD_CHARS))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            header = _header(next(lines, []), path, needed)
            number, num_errors = 0, 0
            while True:
                number += 1
                line = lines.line_num + 1
                item = Item(None, f"{path}:{line}, row {number}", f"{path.stem}-{number}")
                try:
                    cells = next(lines, None)
                except csv.Error as error:
                    num_errors += 1
                    if num_errors > _MOST_LINES_BEHIND_AN_ERROR:
                        raise ConfigError(f"{path}: is no sound table, up to line {line}") from error
                    on_bad(BadItem(item.default_id, item.where, "bad_csv", f"{item.where}: {error}"))
                    continue
                if cells is None:
                    return
                if row := _row(cells, header, item, on_bad):
                    yield row
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no text in UTF-8 ({error.reason}): convert it") from error
    except csv.Error as error:  # of the header
        raise ConfigError(f"{path}: is no sound table: {error}") from error


def _header(cells: list[str], path: Path, needed: tuple[str, ...]) -> list[str]:
    header = [cell.strip() for cell in cells]
    _refuse_missing(path, header, needed)
    if len(set(header)) < len(header):
        raise ConfigError(f"{path}: two columns have one name: {', '.join(header)[:500]}")
    return header


def _refuse_missing(path: Path, columns: list[str], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in columns]
    if missing or not columns:
        wanted, got = ", ".join(needed) or "of a table", ", ".join(columns)[:500] or "none"
        raise ConfigError(f"{path}: want the columns {wanted}, got {got}")


def _row(cells: list[str], header: list[str], item: Item, on_bad: OnBad) -> Item | None:
    if not any(cell.strip() for cell in cells):
        return None
    if len(cells) != len(header):
        detail = f"{item.where}: want {len(header)} cells as in the header, got {len(cells)}"
        on_bad(BadItem(item.default_id, item.where, "bad_row", detail))
        return None
    value = {name: cell for name, cell in zip(header, cells, strict=True) if cell.strip()}
    return Item(value, item.where, item.default_id)


def _read_arrow(path: Path, needed: tuple[str, ...], *, is_parquet: bool) -> Iterator[Item]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingExtraError(wanted_by=f"reading {path.name}", package="pyarrow", extra="data") from error
    number = 0
    try:
        with path.open("rb") as file:
            opened: Any = parquet.ParquetFile(file) if is_parquet else _arrow_reader(pa, file)
            schema = opened.schema_arrow if is_parquet else opened.schema
            _refuse_missing(path, schema.names, needed)
            for row in plain_rows(opened.iter_batches(256) if is_parquet else opened):
                number += 1
                yield Item(row, f"{path}, row {number}", f"{path.stem}-{number}")
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{path}: row {number + 1} cannot be read ({error}): fetch it again") from error


def _arrow_reader(pa: Any, file: Any) -> Any:  # noqa: ANN401
    """Open an Arrow stream, as the library datasets writes it, or an Arrow file."""
    try:
        return pa.ipc.open_stream(file)
    except pa.ArrowInvalid:
        file.seek(0)
        opened = pa.ipc.open_file(file)
        return pa.RecordBatchReader.from_batches(
            opened.schema, (opened.get_batch(i) for i in range(opened.num_record_batches))
        )
