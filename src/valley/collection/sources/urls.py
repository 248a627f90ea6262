"""A list of web addresses: CSV, TSV, JSON, JSON lines or Parquet, one stretch of a medium a row.

A row looks like this; all but the address may be absent::

    url,caption,start,end,licence,language
    https://a.example/waves.mp4,"Waves on sand",12.5,20,CC-BY-4.0,en

Several rows with one address are several stretches of one medium. Nothing is fetched here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from valley.collection.annotations import AnnotationSource, chosen
from valley.collection.media_paths import kind_of
from valley.collection.records import Record, UnfitError, short
from valley.collection.source import SourceItem, SourceOptions, SourceText
from valley.importers.items import Item

COLUMNS: dict[str, tuple[str, ...]] = {
    "url": ("url", "URL", "video_url", "image_url", "contentUrl", "page_url", "webpage_url"),
    "caption": ("caption", "text", "description", "title"),
    "start": ("start", "start_s", "start_time"),
    "end": ("end", "end_s", "end_time"),
    "id": ("id", "key", "name"),
}
"""Columns by what they mean, the likeliest first."""

COLUMN_SETTINGS = {
    "url": "the column with the address (default: url)",
    "caption": "the column with the words (default: caption)",
    "start": "the column where the stretch begins, in seconds or as hours:minutes:seconds (default: start)",
    "end": "the column where it ends (default: end)",
    "id": "the column with an id (default: id, else file and number)",
}

_ADDRESS = re.compile(r"(?i)https?://[^/?#\s]+\S*")


@dataclass(frozen=True)
class Link:
    """What a row says that this and the source ytdlp have in common."""

    id: str
    url: str
    texts: tuple[SourceText, ...]
    start_s: float | None
    end_s: float | None


def read_link(record: Record, row: Item, options: SourceOptions) -> Link:
    """Take a row's address, words and times.

    Raises:
        UnfitError: there is no address, or a field is none of its kind.
    """
    columns = {meaning: _columns(options, meaning) for meaning in COLUMNS}
    url = record.name(*columns["url"])
    if url is None:
        raise UnfitError(
            "no_url",
            f"{row.where}: want an address in {columns['url'][0]!r}; --set url=NAME names the column",
        )
    if not _ADDRESS.fullmatch(url):
        raise UnfitError("bad_url", f"{row.where}: want http://... or https://..., got {short(_bare(url))}")
    start_s, end_s = record.stretch(columns["start"], columns["end"])
    language = record.language(options.language)
    caption = next((name for name in columns["caption"] if name in record), columns["caption"][0])
    texts = record.texts(caption, language=language)
    return Link(record.name(*columns["id"]) or row.default_id, url, texts, start_s, end_s)


def _columns(options: SourceOptions, meaning: str) -> tuple[str, ...]:
    named = options.settings.get(meaning)
    return COLUMNS[meaning] if named is None else (named,)


def _bare(url: str) -> str:
    """Leave out what may be a name and a password."""
    return url.rpartition("@")[2]


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    link = read_link(record, row, options)
    yield SourceItem(
        id=link.id,
        kind=_kind(record, link.url, options),
        url=link.url,
        start_s=link.start_s,
        end_s=link.end_s,
        texts=link.texts,
        place=row.where,
        **record.rights(options),
        metadata=record.rest(),
    )


def _kind(record: Record, url: str, options: SourceOptions) -> Literal["video", "image"]:
    """Say what an address leads to: as the row says, by the suffix, or else as the caller says."""
    said = record.name("kind")
    if said is not None and said not in ("video", "image"):
        record.fail(f"want 'kind' to be video or image, got {short(said)}")
    if said == "image" or said == "video":
        return said
    by_suffix = kind_of(PurePosixPath(unquote(urlsplit(url).path)).name)
    return by_suffix or ("image" if chosen(options, "kind", ("video", "image")) == "image" else "video")


SOURCE = AnnotationSource(
    "urls",
    "any list of web addresses",
    _convert,
    settings={
        **COLUMN_SETTINGS,
        "kind": "video or image: what an address leads to that does not show it (default: video)",
    },
)
