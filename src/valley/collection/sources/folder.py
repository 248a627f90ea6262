"""A folder of one's own: every video and picture in it, with the words that lie beside them.

Beside `a.mp4` may lie a.txt, a.json, a.srt and a.vtt, with a language a.zh.txt; or a table in the folder,
metadata.csv or captions.csv (or .tsv, .jsonl, .parquet), names files in a column `path` and says something
about them::

    path,caption,language,start,end,licence
    clips/a.mp4,a dog runs,en,0,2.5,CC-BY-4.0

Rows of the table come first, in their order; then the files that it does not name, in the order of their
paths. A table says all about a file that it names. A LICENSE file holds for its folder and those below.
Hidden files, and folders that are links, are passed over.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from valley.collection.annotations import AnnotationSource
from valley.collection.described import END_FIELDS, START_FIELDS, described
from valley.collection.licences import FolderLicences
from valley.collection.media_paths import kind_of, media_root, placed
from valley.collection.records import Record, UnfitError
from valley.collection.rows import ROW_SUFFIXES, read_rows
from valley.collection.sidecars import SUFFIXES, read_beside, sidecar_key
from valley.collection.source import BadItem, OnBad, SourceItem, SourceOptions
from valley.collection.unique_ids import NameSet
from valley.errors import ConfigError
from valley.importers.items import Item
from valley.manifest import UNKNOWN_LICENCE

_PATH_FIELDS = ("path", "file", "file_name", "filename", "filepath", "video", "image", "media")
_TABLES = tuple(
    f"{stem}{suffix}"
    for stem in ("metadata", "captions")
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet")
)


@dataclass(frozen=True)
class _Entry:
    """A file that was met with its sidecars, or else a row of the table; and the licence of its folder."""

    path: Path | None
    beside: tuple[Path, ...]
    row: Item | None
    licence: tuple[str, Path] | None


def _rows(options: SourceOptions, on_bad: OnBad) -> Iterator[Item]:
    path = options.path
    if path.is_dir():
        named = NameSet()
        table = _table(path, options.settings.get("table"))
        if table is not None:
            yield from _of_table(table, options, named, on_bad)
        yield from _walked(path, path, FolderLicences(path), named)
    elif path.suffix.lower() in ROW_SUFFIXES:
        yield from _of_table(path, options, NameSet(), on_bad)
    elif kind_of(path.name):
        licences = FolderLicences(path.parent)
        yield from (row for row in _walked(path.parent, path.parent, licences, NameSet(), only=path.name))
    else:
        raise ConfigError(f"{path}: want a folder, a table of files, a video or a picture")


def _table(folder: Path, wanted: str | None) -> Path | None:
    if wanted:
        path = folder / wanted
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such table: check the setting `table`")
        return path
    return next((folder / name for name in _TABLES if (folder / name).is_file()), None)


def _of_table(table: Path, options: SourceOptions, named: NameSet, on_bad: OnBad) -> Iterator[Item]:
    """Yield the rows of a table, and note which files it names."""
    root = media_root(options)
    licences = FolderLicences(root)
    for row in read_rows(table, on_bad=on_bad):
        name = _named(row)
        path = Path(os.path.normpath(root / name)) if name and "\0" not in name else root
        named.add(str(path))
        stated = licences.of(path.parent) if path.is_relative_to(root) and path != root else None
        yield Item({"entry": _Entry(None, (), row, stated)}, row.where, name or row.default_id)


def _named(row: Item) -> str | None:
    if isinstance(row.value, dict):
        for name in _PATH_FIELDS:
            if isinstance(row.value.get(name), str):
                return row.value[name].strip()
    return None


def _walked(
    folder: Path, top: Path, licences: FolderLicences, named: NameSet, *, only: str | None = None
) -> Iterator[Item]:
    """Yield the media of a folder and of those below in the order of their paths, but for those named."""
    folders, files = _listed(folder)
    beside: dict[str, list[Path]] = defaultdict(list)
    for name in files:
        if Path(name).suffix.lower() in SUFFIXES:
            beside[sidecar_key(name)[0]].append(folder / name)
    # "a/x" sorts behind "a.mp4", as it does among whole paths.
    for name in sorted([*files, *(f"{f}/" for f in folders if only is None)]):
        path = folder / name
        if name.endswith("/"):
            yield from _walked(path, top, licences, named)
        elif kind_of(name) and only in (None, name) and os.path.normpath(path) not in named:
            entry = _Entry(path, tuple(beside.get(path.stem, ())), None, licences.of(folder))
            yield Item({"entry": entry}, str(path), path.relative_to(top).as_posix())


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    folders, files = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.name.isprintable():
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_file():
                files.append(entry.name)
    return folders, sorted(files)


def _convert(_: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem | BadItem]:
    entry: _Entry = row.value["entry"]
    if entry.licence is not None and entry.licence[0] != UNKNOWN_LICENCE:
        options = replace(options, licence=entry.licence[0], licence_evidence=str(entry.licence[1]))
    if entry.row is not None:
        yield _table_item(Record(entry.row), entry.row, options)
    if entry.path is not None:
        yield from _walked_item(entry.path, entry.beside, row, options)


def _walked_item(
    path: Path, sidecars: tuple[Path, ...], row: Item, options: SourceOptions
) -> Iterator[SourceItem | BadItem]:
    is_video = kind_of(path.name) == "video"
    beside = read_beside(row.default_id, sidecars, options)
    yield from beside.faults
    yield SourceItem(
        row.default_id,
        "video" if is_video else "image",
        path,
        start_s=beside.start_s if is_video else None,
        end_s=beside.end_s if is_video else None,
        texts=tuple(beside.texts),
        place=row.where,
        metadata=beside.metadata,
        **beside.rights,
    )


def _table_item(record: Record, row: Item, options: SourceOptions) -> SourceItem:
    name = record.name(*_PATH_FIELDS)
    if name is None:
        raise UnfitError("no_media", f"{row.where}: want a file in {' or '.join(_PATH_FIELDS)}")
    kind = kind_of(name)
    if kind is None:
        raise UnfitError("bad_path", f"{row.where}: want the name of a video or a picture, got {name[:80]!r}")
    path = placed(media_root(options), name, row.where)
    texts = described(record, options.language)
    start_s, end_s = record.stretch(START_FIELDS, END_FIELDS)
    return SourceItem(
        record.name("id") or name,
        kind,
        path,
        start_s=start_s,
        end_s=end_s,
        texts=texts,
        place=row.where,
        **record.rights(options),
        metadata=record.rest(),
    )


SOURCE = AnnotationSource(
    "folder",
    "a folder of one's own",
    _convert,
    _rows,
    {"table": "the table in the folder; else the first there is of metadata.csv, captions.csv and the like"},
)
