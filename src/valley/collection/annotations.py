"""A source that reads annotations row by row: the part that all of them share.

A source of this kind says how a file's rows are read and how a row becomes items. What does not fit is handed
on with its place and a reason, and the next row is read; ids occur once; unknown settings are refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from valley.collection.records import Record, UnfitError
from valley.collection.rows import as_config_error, read_rows
from valley.collection.source import UNKNOWN_LANGUAGE, BadItem, OnBad, SourceItem, SourceOptions
from valley.collection.unique_ids import UniqueIds
from valley.errors import ConfigError
from valley.importers.items import Item

Rows: TypeAlias = Callable[[SourceOptions, OnBad], Iterator[Item]]
Convert: TypeAlias = Callable[[Record, Item, SourceOptions], Iterable[SourceItem | BadItem]]


def file_rows(options: SourceOptions, on_bad: OnBad) -> Iterator[Item]:
    """Yield the rows of the file that was given."""
    return read_rows(options.path, on_bad=on_bad)


@dataclass(frozen=True)
class AnnotationSource:
    """A source of annotation files.

    Attributes:
        name: see `Source`.
        origin: see `Source`.
        convert: yields the items of a row, and what is bad within it; raises UnfitError where all of it is.
        rows: yields the rows; those of the file by default.
        settings: see `Source`.
        id_fields: where to look for the id of a row that does not fit.
        may_be_absent: the path need not exist beforehand.
    """

    name: str
    origin: str
    convert: Convert
    rows: Rows = file_rows
    settings: Mapping[str, str] = field(default_factory=dict)
    id_fields: tuple[str, ...] = ("id",)
    may_be_absent: bool = False

    def items(self, options: SourceOptions, *, on_bad: OnBad) -> Iterator[SourceItem]:
        """Yield the items in a stable order, lazily; see `Source.items`."""
        refuse_unknown(options.settings, self.settings, self.name)
        if not self.may_be_absent and not options.path.exists():
            raise ConfigError(f"{options.path}: there is no such file or folder: check the path")
        return self._items(options, on_bad)

    def _items(self, options: SourceOptions, on_bad: OnBad) -> Iterator[SourceItem]:
        ids = UniqueIds()
        for row in as_config_error(self.rows(options, on_bad)):
            for made in self._of_row(row, options):
                if isinstance(made, BadItem):
                    on_bad(made)
                    continue
                own = ids.take(made.id)
                yield made if own == made.id else replace(made, id=own)

    def _of_row(self, row: Item, options: SourceOptions) -> Iterator[SourceItem | BadItem]:
        try:
            yield from self.convert(Record(row), row, options)
        except UnfitError as error:
            yield BadItem(self._id_of(row), row.where, error.reason, error.detail)

    def _id_of(self, row: Item) -> str:
        if isinstance(row.value, dict):
            for name in self.id_fields:
                value = row.value.get(name)
                if isinstance(value, str | int) and str(value).strip():
                    return str(value)[:200]
        return row.default_id


def refuse_unknown(given: Mapping[str, str], known: Mapping[str, str], name: str) -> None:
    """Check the settings of a source.

    Raises:
        ConfigError: the source does not know one.
    """
    for setting in given:
        if setting not in known:
            near = difflib.get_close_matches(setting, list(known), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            takes = ", ".join(known) or "none"
            raise ConfigError(f"the source {name} has no setting {setting!r}: {hint}it takes: {takes}")


def chosen(options: SourceOptions, setting: str, choices: tuple[str, ...]) -> str:
    """Give a setting that is one of these words; the first one where it is not given.

    Raises:
        ConfigError: it is another word.
    """
    word = options.settings.get(setting, choices[0])
    if word not in choices:
        raise ConfigError(f"want {setting} to be one of {', '.join(choices)}, got {word!r}")
    return word


def said_or(options: SourceOptions, default: str) -> str:
    """Give the language that the caller says, or else that of the published files."""
    return default if options.language == UNKNOWN_LANGUAGE else options.language


def bad(row: Item, error: UnfitError, *, item_id: str) -> BadItem:
    """Say that one part of a row does not fit."""
    return BadItem(item_id, row.where, error.reason, error.detail)
