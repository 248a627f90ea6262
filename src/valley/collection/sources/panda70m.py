"""Panda-70M: one row a video; its cells hold lists, written as Python writes them (panda70m_training_2m.csv).

One row looks like this, with as many stretches as captions::

    videoID,url,timestamp,caption,matching_score,desirable_filtering,shot_boundary_detection
    --abc,https://www.youtube.com/watch?v=--abc,"[['0:00:13.480', '0:00:19.480']]","['A dog.']","[0.43]",...

Each stretch is one item. A stretch that does not fit is left out alone. Only literals are read; nothing in a
cell is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from valley.collection.annotations import AnnotationSource, said_or
from valley.collection.media_paths import found, media_root
from valley.collection.records import Record, UnfitError, as_seconds, checked_stretch, plain, short
from valley.collection.rows import read_rows
from valley.collection.source import BadItem, OnBad, SourceItem, SourceOptions, SourceText
from valley.importers.items import Item

_MOST_CELL_CHARS = 2**22  # as a tree, text of this length needs about a gigabyte at worst
_OF_STRETCHES = ("matching_score", "desirable_filtering", "shot_boundary_detection")


def _rows(options: SourceOptions, on_bad: OnBad) -> Iterator[Item]:
    return read_rows(options.path, on_bad=on_bad, needed=("caption", "timestamp"))


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem | BadItem]:
    url = record.name("url")
    video = record.name("videoID", "video_id") or _id_in(url)
    if video is None:
        raise UnfitError("no_id", f"{row.where}: want videoID, or the address of a video, got {short(url)}")
    times, captions = _listed(record, "timestamp"), _listed(record, "caption")
    columns = {name: _listed(record, name) for name in _OF_STRETCHES if name in record}
    for name, values in {"caption": captions, **columns}.items():
        if len(values) != len(times):
            record.fail(f"want as many of {name!r} as timestamps, got {len(values)} and {len(times)}")
    path = found(media_root(options), video, where=row.where)
    rights = record.rights(options)
    kept = record.rest() | ({"url": url} if url else {})
    for number, (pair, words) in enumerate(zip(times, captions, strict=True), 1):
        where = f"{row.where}, stretch {number}"
        try:
            start_s, end_s = _stretch(pair, where)
            text = _caption(words, said_or(options, "en"), where)
        except UnfitError as error:
            yield BadItem(f"{video}/{number}", where, error.reason, error.detail)
            continue
        yield SourceItem(
            f"{video}/{number}",
            "video",
            path,
            start_s=start_s,
            end_s=end_s,
            texts=(text,),
            place=where,
            metadata=kept | _nth(columns, number - 1),
            **rights,
        )


def _listed(record: Record, name: str) -> Sequence[object]:
    """Take a cell that holds a list, or the text of one."""
    value = record.take(name)
    if isinstance(value, str):
        value = _literal(value, f"{record.where}: {name}")
    if not isinstance(value, list | tuple):
        record.fail(f"want a list in {name!r}, got {short(value)}")
    return value


def _literal(text: str, where: str) -> object:
    if len(text) > _MOST_CELL_CHARS:
        raise UnfitError("too_large", f"{where}: has over {_MOST_CELL_CHARS} characters")
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        reason = type(error).__name__
        raise UnfitError(
            "bad_list", f"{where}: want a list as Python writes it ({reason}), got {short(text)}"
        ) from error


def _stretch(pair: object, where: str) -> tuple[float, float]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise UnfitError("bad_time", f"{where}: want [start, end], got {short(pair)}")
    start_s, end_s = as_seconds(pair[0], where), as_seconds(pair[1], where)
    checked_stretch(start_s, end_s, where)
    return start_s, end_s


def _caption(words: object, language: str, where: str) -> SourceText:
    if not isinstance(words, str) or not words.strip():
        raise UnfitError("no_caption", f"{where}: want words, got {short(words)}")
    return SourceText(words.strip(), "caption", language, origin="machine", model="Panda-70M")


def _nth(columns: Mapping[str, Sequence[object]], place: int) -> dict[str, object]:
    return {name: plain(values[place]) for name, values in columns.items()}


def _id_in(url: str | None) -> str | None:
    """Tell the id of a video from its address, https://www.youtube.com/watch?v=ID."""
    try:
        named = parse_qs(urlsplit(url or "").query).get("v", [])
    except ValueError:
        return None
    return named[0] if named else None


SOURCE = AnnotationSource(
    "panda70m",
    "Panda-70M, CSV: columns as published; that cells hold Python's lists is from memory, so others do",
    _convert,
    _rows,
    id_fields=("videoID", "url"),
)
