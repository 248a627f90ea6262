"""What of a benchmark's data is on disk already: its files, and how many entries each holds.

Nothing is opened but annotations, and nothing is fetched.
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

from valley.errors import ConfigError, MissingExtraError
from valley.evaluation.annotations import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from valley.evaluation.benchmark import DataFile, DataSource

_MEDIA = frozenset((*VIDEO_SUFFIXES, *PICTURE_SUFFIXES, ".srt", ".vtt"))


@dataclass(frozen=True)
class Found:
    """What is there of one file or folder.

    Attributes:
        file: what is wanted.
        path: where it is, or where it was expected.
        is_there: whether it is.
        num_entries: how many questions, clips or pictures it holds; None where that cannot be told.
    """

    file: DataFile
    path: Path
    is_there: bool
    num_entries: int | None = None

    @property
    def is_missing(self) -> bool:
        """Tell whether it is absent and no level does without it."""
        return not self.is_there and not self.file.is_optional

    @property
    def is_short(self) -> bool:
        """Tell whether it holds fewer entries than expected."""
        wanted, has = self.file.num_entries, self.num_entries
        return wanted is not None and has is not None and has < wanted


def look(source: DataSource, folder: Path) -> list[Found]:
    """Look for the files of a benchmark below its folder, and count their entries."""
    return [_look(file, folder) for file in source.files]


def _look(file: DataFile, folder: Path) -> Found:
    for name in (file.path, *file.instead):
        path = folder / name
        if path.is_dir():
            return Found(file, path, is_there=True, num_entries=_count_media(path))
        if path.is_file():
            return Found(file, path, is_there=True, num_entries=_count_rows(path))
    return Found(file, folder / file.path, is_there=False)


def _count_media(folder: Path) -> int:
    """Count the media below a folder; a folder of frames counts once, as does one of one picture."""
    count = 0
    for place, _, names in os.walk(folder):
        suffixes = [Path(name).suffix.lower() for name in names]
        pictures = sum(suffix in PICTURE_SUFFIXES for suffix in suffixes)
        others = sum(suffix in _MEDIA for suffix in suffixes) - pictures
        is_top = Path(place) == folder
        count += others + (pictures if is_top else min(pictures, 1))
    return count


def _count_rows(path: Path) -> int | None:
    """Count the entries of annotations; None where they cannot be read."""
    try:
        if path.suffix == ".parquet":
            return _count_parquet(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".json":
                return _count_json(json.load(file))
            is_table = path.suffix in (".csv", ".tsv")
            return sum(1 for _ in csv.reader(file)) - 1 if is_table else sum(1 for _ in file)
    except (ValueError, OSError, csv.Error, ConfigError, MissingExtraError):
        return None


def _count_json(value: object) -> int | None:
    if isinstance(value, list):
        return sum(len(v["questions"]) if isinstance(v, dict) and "questions" in v else 1 for v in value)
    return len(value) if isinstance(value, dict) else None


def _count_parquet(path: Path) -> int | None:
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        return None
    return parquet.read_metadata(path).num_rows
