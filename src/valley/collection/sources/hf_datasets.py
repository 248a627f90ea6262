"""Tables of the Hugging Face world on disk: what `save_to_disk` wrote, or folders of Parquet and Arrow files.

Their rows name a medium and say something about it::

    {"id": "a1", "video": "clips/a1.mp4", "caption": "a dog runs", "language": "en"}

The medium is a path, an address, or {"path", "bytes"}; bytes are written to the folder of the setting `out`.
A data set with several splits is read split by split. Needs pyarrow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from valley.collection.annotations import AnnotationSource
from valley.collection.described import END_FIELDS, START_FIELDS, described
from valley.collection.media_paths import kind_of, media_root, placed
from valley.collection.records import Record, UnfitError, short
from valley.collection.rows import as_config_error, read_rows
from valley.collection.source import OnBad, SourceItem, SourceOptions
from valley.errors import ConfigError
from valley.importers.items import Item
from valley.importers.saved_datasets import read_saved
from valley.whole_files import write_whole

_MEDIA_FIELDS = ("video", "image", "file_name", "path", "file", "url", "video_url", "image_url")
_ID_FIELDS = ("id", "video_id", "image_id", "key", "__key__")
_FILES = ("*.parquet", "*.arrow")
# The first bytes of what is commonly embedded.
_HEADS = (
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"\x89PNG", ".png"),
    (0, b"GIF8", ".gif"),
    (8, b"WEBP", ".webp"),
    (4, b"ftyp", ".mp4"),
    (0, b"\x1a\x45\xdf\xa3", ".mkv"),
    (8, b"AVI ", ".avi"),
)


def _rows(options: SourceOptions, on_bad: OnBad) -> Iterator[Item]:
    path = options.path
    if path.is_file():
        yield from read_rows(path, on_bad=on_bad)
    elif (path / "dataset_dict.json").is_file():
        for split in _splits(path / "dataset_dict.json"):
            yield from as_config_error(read_saved(path / split, extra="data"))
    elif (path / "state.json").is_file():
        yield from as_config_error(read_saved(path, extra="data"))
    else:
        files = sorted(file for pattern in _FILES for file in path.rglob(pattern) if file.is_file())
        if not files:
            raise ConfigError(
                f"{path}: want what save_to_disk wrote, or .parquet or .arrow files in this folder"
            )
        for file in files:
            yield from read_rows(file, on_bad=on_bad)


def _splits(path: Path) -> list[str]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["splits"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: want an object with 'splits': save the data set again") from error
    if not isinstance(names, list) or not all(isinstance(n, str) and Path(n).name == n for n in names):
        raise ConfigError(f"{path}: want names of folders in 'splits', got {short(names)}")
    return names


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    wanted = options.settings.get("media_column")
    fields = (wanted,) if wanted else _MEDIA_FIELDS
    field = next((name for name in fields if name in record), None)
    if field is None:
        raise UnfitError("no_media", f"{row.where}: want a medium in {' or '.join(fields)}")
    path, url, kind = _medium(record.take(field), field, row.where, options)
    captions = tuple(
        name.strip() for name in options.settings.get("caption_columns", "").split(",") if name.strip()
    )
    texts = described(record, options.language, caption_fields=captions)
    start_s, end_s = record.stretch(START_FIELDS, END_FIELDS)
    yield SourceItem(
        record.name(*_ID_FIELDS) or row.default_id,
        kind,
        path,
        url,
        start_s=start_s,
        end_s=end_s,
        texts=texts,
        place=row.where,
        **record.rights(options),
        metadata=record.rest(),
    )


def _medium(
    value: Any,  # noqa: ANN401
    field: str,
    where: str,
    options: SourceOptions,
) -> tuple[Path | None, str | None, Literal["video", "image"]]:
    guess: Literal["video", "image"] = "image" if field.startswith("image") else "video"
    if isinstance(value, bytes):
        value = {"bytes": value}
    if isinstance(value, dict):
        if isinstance(value.get("bytes"), bytes):
            path = _embedded(value["bytes"], value.get("path"), where, options)
            return path, None, kind_of(path.name) or guess
        value = value.get("path") or value.get("url")
    if not isinstance(value, str) or not value.strip():
        raise UnfitError("no_media", f"{where}: want one path or address in {field!r}, got {short(value)}")
    if value.startswith(("http://", "https://")):
        return None, value, kind_of(value.partition("?")[0]) or guess
    return placed(media_root(options), value, where), None, kind_of(value) or guess


def _embedded(data: bytes, name: object, where: str, options: SourceOptions) -> Path:
    """Write bytes to a file under the name of their hash, once."""
    out = options.settings.get("out")
    if out is None:
        raise UnfitError(
            "embedded_media",
            f"{where}: holds the bytes of a medium: say with the setting `out` where to write them",
        )
    suffix = Path(name).suffix.lower() if isinstance(name, str) and kind_of(name) else _suffix_of(data)
    path = Path(out) / f"{hashlib.sha256(data).hexdigest()}{suffix}"
    if not path.is_file():
        write_whole(path, data)
    return path


def _suffix_of(data: bytes) -> str:
    return next((suffix for at, head, suffix in _HEADS if data[at : at + len(head)] == head), ".bin")


SOURCE = AnnotationSource(
    "hf_datasets",
    "Hugging Face datasets, save_to_disk, and Parquet of the Hub; columns by the names that are usual",
    _convert,
    _rows,
    {
        "media_column": "the column with the medium; else the first there is of " + ", ".join(_MEDIA_FIELDS),
        "caption_columns": "columns with captions, with commas between; else caption, captions, text, texts",
        "out": "a folder for media that are saved as bytes",
    },
    _ID_FIELDS,
)
