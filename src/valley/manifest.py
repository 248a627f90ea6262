"""The manifest of a collection: media, stretches of them, words about them, and what was refused.

The record where collecting ends, and where writing conversations and training begin. Four tables of Parquet
lie in `CORPUS/manifest`:

- `media`: one row a file, by the SHA-256 of its bytes; what a probe said, and under which licence it came;
- `clip`: half-open stretches of media in whole microseconds: those that a source named, and shots;
- `text`: captions and other words about a medium or a stretch of it, kept or refused;
- `quarantine`: what was refused before there was anything to write, with the reason and the number behind it.

Equal rows make equal bytes: rows are sorted, and nothing of the moment of writing goes in. Needs pyarrow.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from valley.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
UNKNOWN_LICENCE = "unknown"
MANIFEST_FOLDER = "manifest"

TableName: TypeAlias = Literal["media", "clip", "text", "quarantine"]
TABLES: tuple[TableName, ...] = ("media", "clip", "text", "quarantine")
Split: TypeAlias = Literal["train", "validation", "test"]
TextKind: TypeAlias = Literal["caption", "description", "subtitle", "title", "tag", "question_answer"]

# The sort keys make a table's bytes a function of its rows alone.
_KEYS: Mapping[TableName, tuple[str, ...]] = {
    "media": ("media_id",),
    "clip": ("media_id", "start_us", "end_us", "level"),
    "text": ("media_id", "start_us", "end_us", "text_id"),
    "quarantine": ("stage", "key", "reason"),
}

# name: (Arrow type, may be null)
_COLUMNS: Mapping[TableName, Mapping[str, tuple[str, bool]]] = {
    "media": {
        "media_id": ("string", False),
        "kind": ("string", False),
        "uri": ("string", False),
        "size_bytes": ("int64", False),
        "container": ("string", True),
        "video_codec": ("string", True),
        "audio_codec": ("string", True),
        "width_px": ("int32", True),
        "height_px": ("int32", True),
        "rotation_deg": ("int16", True),
        "fps": ("float64", True),
        "is_variable_rate": ("bool", True),
        "num_frames": ("int64", True),
        "duration_s": ("float64", True),
        "hashes": ("list<uint64>", True),
        "black_ratio": ("float32", True),
        "static_ratio": ("float32", True),
        "sharpness": ("float32", True),
        "brightness": ("float32", True),
        "motion": ("float32", True),
        "source": ("string", False),
        "source_item_id": ("string", False),
        "source_url": ("string", True),
        "licence": ("string", False),
        "licence_evidence": ("string", False),
        "attribution": ("string", True),
        "collected_at": ("timestamp", False),
        "tool_versions": ("string", False),
    },
    "clip": {
        "clip_id": ("string", False),
        "media_id": ("string", False),
        "start_us": ("int64", False),
        "end_us": ("int64", False),
        "level": ("string", False),
        "shot_index": ("int32", True),
        "transition": ("string", True),
        "score": ("float32", True),
        "split": ("string", False),
        "metadata": ("string", True),
    },
    "text": {
        "text_id": ("string", False),
        "media_id": ("string", False),
        "clip_id": ("string", False),
        "start_us": ("int64", False),
        "end_us": ("int64", False),
        "kind": ("string", False),
        "language": ("string", False),
        "language_score": ("float32", True),
        "text": ("string", False),
        "origin": ("string", False),
        "model": ("string", True),
        "source": ("string", False),
        "source_item_id": ("string", False),
        "phrases": ("list<string>", True),
        "kept": ("bool", False),
        "reason": ("string", True),
        "number": ("float64", True),
    },
    "quarantine": {
        "stage": ("string", False),
        "key": ("string", False),
        "source": ("string", False),
        "source_item_id": ("string", False),
        "place": ("string", False),
        "reason": ("string", False),
        "detail": ("string", False),
        "number": ("float64", True),
        "attempts": ("int32", False),
    },
}


@dataclass(frozen=True)
class ClipText:
    """Words about a clip, or about a stretch of it; times in seconds from the medium's first shown frame."""

    id: str
    kind: str
    language: str
    text: str
    start_s: float
    end_s: float
    origin: str = "human"


@dataclass(frozen=True)
class Shot:
    """A shot: [start_s, end_s) in the medium, and how it begins ("start", "cut" or "gradual")."""

    start_s: float
    end_s: float
    transition: str


@dataclass(frozen=True)
class Clip:
    """One collected stretch of video, or a picture, with all that is known about it.

    Attributes:
        id: SHA-256 of medium and stretch.
        media_id: SHA-256 of the file's bytes.
        kind: "video" or "image".
        path: the file.
        start_s: where the stretch begins; seconds from the medium's first shown frame.
        end_s: where it ends; a picture's stretch is empty.
        source: the name of the source it came from.
        source_item_id: what the source calls it.
        licence: SPDX id, or "unknown".
        licence_evidence: where that is written.
        attribution: whom to name.
        split: by the hash of the medium, so that no medium is in two.
        texts: the kept ones.
        shots: those that the stretch touches, in order.
    """

    id: str
    media_id: str
    kind: str
    path: Path
    start_s: float
    end_s: float
    source: str
    source_item_id: str
    licence: str
    licence_evidence: str = ""
    attribution: str = ""
    split: str = "train"
    texts: tuple[ClipText, ...] = ()
    shots: tuple[Shot, ...] = ()


def clip_id(media_id: str, start_us: int, end_us: int) -> str:
    """Name a stretch of a medium."""
    return hashlib.sha256(f"{media_id}|{start_us}|{end_us}".encode()).hexdigest()


def text_id(of_clip: str, kind: str, language: str, text: str) -> str:
    """Name a text about a stretch; equal words about the same stretch have the same name."""
    return hashlib.sha256("|".join((of_clip, kind, language, text)).encode()).hexdigest()


def split_of(media_id: str, *, validation_share: float = 0.01, test_share: float = 0.01) -> Split:
    """Say which split a medium belongs to, by its hash alone: other media have no say in it."""
    place = int(hashlib.sha256(f"split|{media_id}".encode()).hexdigest()[:12], 16) / 16**12
    if place < test_share:
        return "test"
    return "validation" if place < test_share + validation_share else "train"


def as_us(time_s: float) -> int:
    """Give whole microseconds."""
    return round(time_s * 1_000_000)


def arrow_schema(table: TableName) -> pa.Schema:
    """Give a table's Arrow schema; its metadata hold the version.

    Raises:
        MissingExtraError: pyarrow is absent.
    """
    arrow = _pyarrow()
    types = {
        "string": arrow.string(),
        "bool": arrow.bool_(),
        "int16": arrow.int16(),
        "int32": arrow.int32(),
        "int64": arrow.int64(),
        "float32": arrow.float32(),
        "float64": arrow.float64(),
        "timestamp": arrow.timestamp("us", tz="UTC"),
        "list<uint64>": arrow.list_(arrow.uint64()),
        "list<string>": arrow.list_(arrow.string()),
    }
    fields = [
        arrow.field(name, types[kind], nullable=nullable)
        for name, (kind, nullable) in _COLUMNS[table].items()
    ]
    return arrow.schema(fields, metadata={"schema_version": str(SCHEMA_VERSION), "table": table})


def table_path(corpus: Path, table: TableName) -> Path:
    """Say where a collection's table lies."""
    return corpus / MANIFEST_FOLDER / f"{table}.parquet"


def write_table(corpus: Path, table: TableName, rows: Iterable[Mapping[str, Any]] | pa.Table) -> Path:
    """Write a table whole and under its name at once; a missing nullable column is null.

    Raises:
        MissingExtraError: pyarrow is absent.
        ConfigError: a row lacks what may not be null, or has a column that the schema does not know.
    """
    arrow = _pyarrow()
    import pyarrow.parquet as parquet

    made: Any = rows if isinstance(rows, arrow.Table) else _as_table(table, list(rows))
    lacking = [f.name for f in made.schema if not f.nullable and made.column(f.name).null_count]
    if lacking:
        raise ConfigError(f"{table}: want a value in every row of {', '.join(lacking)}")
    made = made.sort_by([(key, "ascending") for key in _KEYS[table]]).combine_chunks()
    path = table_path(corpus, table)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            parquet.write_table(made, file, compression="zstd", row_group_size=131_072)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _as_table(table: TableName, rows: list[Mapping[str, Any]]) -> pa.Table:
    schema = arrow_schema(table)
    unknown = {name for row in rows for name in row} - set(schema.names)
    if unknown:
        raise ConfigError(f"{table}: the manifest has no column {', '.join(sorted(unknown))}")
    return _pyarrow().Table.from_pylist(rows, schema=schema)


def read_table(corpus: Path, table: TableName, *, columns: list[str] | None = None) -> pa.Table:
    """Read a table of a collection.

    Raises:
        MissingExtraError: pyarrow is absent.
        ConfigError: the folder is no collection, is not finished, or was written by a later version.
    """
    _pyarrow()
    import pyarrow.parquet as parquet

    path = table_path(corpus, table)
    if not path.is_file():
        raise ConfigError(
            f"{corpus}: want a finished collection with {MANIFEST_FOLDER}/{path.name}: run `valley collect`"
        )
    metadata: dict[bytes, bytes] = parquet.read_schema(path).metadata or {}
    version = int(metadata.get(b"schema_version", b"0"))
    if version != SCHEMA_VERSION:
        raise ConfigError(f"{path}: want a manifest of version {SCHEMA_VERSION}, got {version}")
    return parquet.read_table(path, columns=columns)


def read_clips(corpus: Path, *, allow_unknown_licence: bool = False) -> Iterator[Clip]:
    """Yield the stretches that the sources named, in order, with their kept texts and the shots they touch.

    Args:
        corpus: the collection's folder.
        allow_unknown_licence: also yield clips of which nobody said the licence.

    Raises:
        MissingExtraError: pyarrow is absent.
        ConfigError: the folder is no finished collection.
    """
    media = {row["media_id"]: row for row in read_table(corpus, "media").to_pylist()}
    texts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_table(corpus, "text").to_pylist():
        if row["kept"]:
            texts[row["media_id"]].append(row)
    rows = read_table(corpus, "clip").to_pylist()
    shots: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["level"] == "shot":
            shots[row["media_id"]].append(row)
    for row in rows:
        medium = media[row["media_id"]]
        known = medium["licence"] != UNKNOWN_LICENCE
        if row["level"] == "stretch" and (known or allow_unknown_licence):
            yield _clip(corpus, row, medium, texts[row["media_id"]], shots[row["media_id"]])


def _clip(
    corpus: Path,
    row: dict[str, Any],
    medium: dict[str, Any],
    texts: list[dict[str, Any]],
    shots: list[dict[str, Any]],
) -> Clip:
    start_us, end_us = row["start_us"], row["end_us"]
    own = [t for t in texts if start_us <= t["start_us"] and t["end_us"] <= end_us]
    touched = [s for s in shots if s["start_us"] < end_us and start_us < s["end_us"]]
    return Clip(
        id=row["clip_id"],
        media_id=row["media_id"],
        kind=medium["kind"],
        path=corpus / medium["uri"],
        start_s=start_us / 1e6,
        end_s=end_us / 1e6,
        source=medium["source"],
        source_item_id=medium["source_item_id"],
        licence=medium["licence"],
        licence_evidence=medium["licence_evidence"],
        attribution=medium["attribution"] or "",
        split=row["split"],
        texts=tuple(
            ClipText(
                t["text_id"],
                t["kind"],
                t["language"],
                t["text"],
                t["start_us"] / 1e6,
                t["end_us"] / 1e6,
                t["origin"],
            )
            for t in own
        ),
        shots=tuple(Shot(s["start_us"] / 1e6, s["end_us"] / 1e6, s["transition"]) for s in touched),
    )


def _pyarrow() -> Any:  # noqa: ANN401
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError(
            wanted_by="a collection's manifest", package="pyarrow", extra="data"
        ) from error
    return pyarrow
