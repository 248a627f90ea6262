"""Published annotations on disk: their rows, and where the media that they name lie.

What is absent or of another form is a ConfigError that names the file and the command that says where to get
it. Nothing is fetched here.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from valley.errors import ConfigError, MissingExtraError
from valley.evaluation.benchmark import Item, Selection

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".gif")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

_MOST_FIELD_CHARS = 2**24


def how_to_get(benchmark: str) -> str:
    """Name the command that says what to download."""
    return f"`valley data fetch-list {benchmark}` says what to download, and where it goes"


@dataclass(frozen=True)
class Row:
    """One object of a file, with its place for messages."""

    value: Mapping[str, Any]
    where: str

    def fail(self, reason: str) -> NoReturn:
        """Raise an error at this place."""
        raise ConfigError(f"{self.where}: {reason}: this is not the published format")

    def has(self, name: str) -> bool:
        """Tell whether a field is there, and neither null nor empty."""
        return self.value.get(name) not in (None, "")

    def text(self, *names: str) -> str:
        """Give the first of these fields that is there, as text; a number is written out."""
        for name in names:
            value = self.value.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool):
                return str(value).strip()
        return self.fail(
            f"want a text {' or '.join(map(repr, names))}, got fields {sorted(map(str, self.value))}"
        )

    def number(self, name: str) -> float:
        """Give a field that is a number, or a text that is one."""
        value = self.value.get(name)
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                return float(value)
            except ValueError:
                pass
        return self.fail(f"want a number {name!r}, got {value!r}")

    def place(self, name: str, num_choices: int) -> int:
        """Give a field that counts the choices from 0."""
        value = self.number(name)
        if not 0 <= value < num_choices or value != int(value):
            self.fail(f"want {name!r} from 0 to {num_choices - 1}, got {value:g}")
        return int(value)

    def texts(self, *names: str) -> tuple[str, ...]:
        """Give the first of these fields that is a list of texts, with at least one."""
        for name in names:
            value = self.value.get(name)
            if isinstance(value, list | tuple) and value and all(isinstance(v, str | int) for v in value):
                return tuple(str(v).strip() for v in value)
        return self.fail(f"want a list of texts {' or '.join(map(repr, names))}")


@dataclass(frozen=True)
class DataFolder:
    """A benchmark's folder of annotations and media."""

    benchmark: str
    path: Path
    _media: dict[tuple[str, tuple[str, ...]], Path] = field(default_factory=dict, repr=False, compare=False)

    def find(self, *names: str) -> Path | None:
        """Give the first of these files that is there."""
        return next((self.path / name for name in names if (self.path / name).is_file()), None)

    def file(self, name: str, *others: str) -> Path:
        """Give the first of these files.

        Raises:
            ConfigError: none is there.
        """
        found = self.find(name, *others)
        if found is None:
            either = f" (or {', '.join(others)})" if others else ""
            raise ConfigError(
                f"{self.path / name}: there is no such file{either}: {how_to_get(self.benchmark)}"
            )
        return found

    def rows(self, name: str, *others: str) -> list[Row]:
        """Read the objects of the first of these files: a JSON list, CSV, or Parquet.

        Raises:
            ConfigError: none is there, or it is of another form.
        """
        path = self.file(name, *others)
        values = list(_read(path, self.benchmark))
        if not values:
            raise ConfigError(f"{path}: holds no rows: {how_to_get(self.benchmark)}")
        return [Row(_mapping(v, path, self.benchmark), f"{path}, row {n}") for n, v in enumerate(values, 1)]

    def table(self, name: str, *others: str) -> dict[str, Any]:
        """Read a JSON object.

        Raises:
            ConfigError: none of these files is there, or it is of another form.
        """
        path = self.file(name, *others)
        return _mapping(_load(path, self.benchmark), path, self.benchmark)

    def medium(self, folder: str, *names: str, suffixes: Sequence[str] = VIDEO_SUFFIXES) -> Path:
        """Say where a medium lies: the first of these names that is there, with any of the suffixes.

        Where none is there, the first one that was expected.

        Raises:
            ConfigError: a name leads out of the folder.
        """
        key = (folder, names)
        if key not in self._media:
            places = [place for name in names for place in self._places(folder, name, suffixes)]
            self._media[key] = next((place for place in places if place.exists()), places[0])
        return self._media[key]

    def _places(self, folder: str, name: str, suffixes: Sequence[str]) -> Iterator[Path]:
        root = self.path / folder
        path = Path(os.path.normpath(root / name))
        if not name or "\0" in name or not path.is_relative_to(os.path.normpath(root)) or path == root:
            raise ConfigError(f"{root}: {name!r} names no file in this folder: check the annotations")
        stem = path.with_suffix("") if path.suffix.lower() in suffixes else path
        written = [path.suffix] if path.suffix.lower() in suffixes else []
        for suffix in dict.fromkeys([*written, *suffixes, *(s.upper() for s in suffixes)]):
            yield stem.with_name(stem.name + suffix)


def open_data(benchmark: str, selection: Selection) -> DataFolder:
    """Open the folder of a benchmark; one of the benchmark's name within it comes first.

    Raises:
        ConfigError: none was given, or it is absent.
    """
    if selection.data is None:
        raise ConfigError(
            f"{benchmark}: want the folder that holds its annotations (--data): {how_to_get(benchmark)}"
        )
    own = selection.data / benchmark
    path = own if own.is_dir() else selection.data
    if not path.is_dir():
        raise ConfigError(f"{path}: there is no such folder: {how_to_get(benchmark)}")
    return DataFolder(benchmark, path)


def _read(path: Path, benchmark: str) -> Iterable[Any]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path)
    if suffix in (".csv", ".tsv"):
        return _read_csv(path)
    values = _load(path, benchmark)
    if not isinstance(values, list):
        raise ConfigError(
            f"{path}: want a list of objects, got {type(values).__name__}: {how_to_get(benchmark)}"
        )
    return values


def _load(path: Path, benchmark: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is no JSON ({error}): {how_to_get(benchmark)}") from error


def _mapping(value: object, path: Path, benchmark: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: want objects, got {type(value).__name__}: {how_to_get(benchmark)}")
    return value


def _read_csv(path: Path) -> list[dict[str, Any]]:
    csv.field_size_limit(_MOST_FIELD_CHARS)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            delimiter = "\t" if "\t" in file.readline() else ","
            file.seek(0)
            return list(csv.DictReader(file, delimiter=delimiter))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: is no table ({error})") from error


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError(wanted_by=f"reading {path.name}", package="pyarrow", extra="eval") from error
    try:
        return parquet.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise ConfigError(f"{path}: is no Parquet file ({error})") from error


def in_order(items: Iterable[Item], limit: int | None) -> list[Item]:
    """Put the items of one clip side by side, make their ids unique, and take the first ones."""
    by_clip: dict[str, list[Item]] = {}
    for item in items:
        by_clip.setdefault(item.clip, []).append(item)
    counts: dict[str, int] = {}
    found: list[Item] = []
    for item in (item for group in by_clip.values() for item in group):
        counts[item.id] = counts.get(item.id, 0) + 1
        number = counts[item.id]
        found.append(item if number == 1 else replace(item, id=f"{item.id}-{number}"))
    return found if limit is None else found[:limit]


def check_level(level: str | None, levels: Sequence[str]) -> str:
    """Give the level that was asked for, or the first one.

    Raises:
        ConfigError: there is no such level.
    """
    if level is None:
        return levels[0]
    if level not in levels:
        raise ConfigError(f"level: want one of {', '.join(levels)}, got {level!r}")
    return level
