"""A data set that the library datasets saved to a folder (`save_to_disk`), read with pyarrow alone.

Its rows have a column `messages` with typed parts or with tags in the words, or `conversations` with tags;
media are columns of paths. Pictures that are saved as bytes have to be written to files first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from valley.conversation import Conversation
from valley.importers.columns import tagged_columns, typed_columns
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item
from valley.importers.saved_datasets import read_saved


def _rows(folder: Path, _: ImportOptions) -> Iterator[Item]:
    return read_saved(folder, extra="train")


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    is_typed = "prompt" in fields or _has_parts(item.value.get("messages"))
    messages = typed_columns(fields) if is_typed else tagged_columns(fields)
    return close(fields, messages, item, options)


def _has_parts(turns: object) -> bool:
    """Whether contents are lists of parts; in one column they all are, or none is."""
    return isinstance(turns, list) and any(
        isinstance(turn, dict) and isinstance(turn.get("content"), list) for turn in turns
    )


IMPORTER = ItemImporter("hf_datasets", "Hugging Face datasets, save_to_disk", _convert, items=_rows)
