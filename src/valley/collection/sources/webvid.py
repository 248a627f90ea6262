"""WebVid's tables of clips with the words they were sold under (results_2M_train.csv).

One row looks like this::

    videoid,name,page_idx,page_dir,duration,contentUrl
    5641526,Horse grazing,28620,054101_054150,PT00H00M24S,https://example.org/5641526.mp4

Clips lie in `page_dir/videoid.mp4`, or as `videoid.mp4`.
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.collection.annotations import AnnotationSource, chosen, said_or
from valley.collection.media_paths import found, media_root
from valley.collection.records import Record, UnfitError
from valley.collection.rows import read_rows
from valley.collection.source import OnBad, SourceItem, SourceOptions
from valley.importers.items import Item


def _rows(options: SourceOptions, on_bad: OnBad) -> Iterator[Item]:
    return read_rows(options.path, on_bad=on_bad, needed=("videoid", "name"))


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    name = record.needed_name("videoid")
    texts = record.texts("name", language=said_or(options, "en"))
    if not texts:
        raise UnfitError("no_caption", f"{row.where}: want words in 'name'")
    folder = record.name("page_dir")
    rights = record.rights(options)
    path, url = None, None
    if chosen(options, "media", ("local", "url")) == "url":
        url = record.needed_name("contentUrl")
    else:
        names = (f"{folder}/{name}", name) if folder else (name,)
        path = found(media_root(options), *names, where=row.where)
        if folder:
            record.keep("page_dir", folder)
    yield SourceItem(name, "video", path, url, texts=texts, place=row.where, metadata=record.rest(), **rights)


SOURCE = AnnotationSource(
    "webvid",
    "WebVid-2M and WebVid-10M, CSV; the columns as published, in any order",
    _convert,
    _rows,
    {"media": "local (the default), or url: fetch the addresses in contentUrl"},
    ("videoid",),
)
