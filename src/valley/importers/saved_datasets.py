"""Read the rows of a data set that the library datasets saved to a folder, with pyarrow alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from valley.errors import ConversationError, MissingExtraError
from valley.importers.items import Item

_ROWS_AT_ONCE = 256


def read_saved(folder: Path, *, extra: str) -> Iterator[Item]:
    """Yield the rows in order.

    Args:
        folder: what `save_to_disk` wrote; one split.
        extra: the extra of this package that brings pyarrow to the caller.

    Raises:
        MissingExtraError: pyarrow is absent.
        ConversationError: it is no such folder, or a row cannot be read.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError(
            wanted_by="reading a saved data set", package="pyarrow", extra=extra
        ) from error
    number = 0
    try:
        for file in _arrow_files(folder):
            with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
                for row in plain_rows(reader):
                    number += 1
                    yield Item(row, f"{folder}, row {number}", f"{folder.name}-{number}")
    except (pa.ArrowException, OSError) as error:
        raise ConversationError(
            f"{folder}: row {number + 1} cannot be read ({error}): save it again"
        ) from error


def plain_rows(batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of Arrow batches as plain objects, few at a time."""
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            yield from batch.slice(start, _ROWS_AT_ONCE).to_pylist()


def _arrow_files(folder: Path) -> list[Path]:
    """List the files of a saved data set in the order of its rows."""
    splits = folder / "dataset_dict.json"
    if splits.is_file():
        names = ", ".join(str(folder / str(name)) for name in _read(splits).get("splits", ()))
        raise ConversationError(f"{folder}: has several splits: give one of {names}")
    state_file = folder / "state.json"
    if not state_file.is_file():
        raise ConversationError(
            f"{folder}: is no saved data set (it has no state.json): give a folder that save_to_disk wrote"
        )
    state = _read(state_file)
    if state.get("_indices_files"):
        raise ConversationError(f"{folder}: its rows are picked by an index: save it after flatten_indices()")
    files = state.get("_data_files")
    if not isinstance(files, list) or not all(isinstance(f, dict) and "filename" in f for f in files):
        raise ConversationError(
            f"{state_file}: want a list '_data_files' with file names: save the data set again"
        )
    return [folder / Path(str(file["filename"])).name for file in files]


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConversationError(f"{path}: is no JSON ({error}): save the data set again") from error
    if not isinstance(value, dict):
        raise ConversationError(f"{path}: want an object: save the data set again")
    return value
