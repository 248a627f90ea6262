"""ShareGPT4Video: what changes from key frame to key frame, and a description of the whole (40,000 clips).

One item looks like this::

    {"video_id": "a1", "video_path": "panda/a1.mp4", "keyframe": [0, 16], "timestamp": [0.0, 8.0],
     "captions": [{"idx": "0,0", "content": "A street."}, {"idx": "0,1", "content": "The camera turns."},
                  {"idx": "-1", "content": "A walk through a street."}]}

A caption with the idx "a,b" is about the stretch from timestamp a to timestamp b; "0,0", which is about the
first frame, is about the time up to the next one; any other idx is about the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from valley.collection.annotations import AnnotationSource, said_or
from valley.collection.media_paths import found, media_root
from valley.collection.records import Record, UnfitError, as_seconds, short
from valley.collection.source import BadItem, SourceItem, SourceOptions, SourceText
from valley.importers.items import Item

_MODEL = "GPT-4V"


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem | BadItem]:
    name = record.needed_name("video_id", "id", "video_path")
    file = record.name("video_path", "video") or name
    times_s = _times(record)
    texts: list[SourceText] = []
    for number, caption in enumerate(record.listed("captions"), 1):
        where = f"{row.where}, caption {number}"
        try:
            texts.append(_text(caption, times_s, said_or(options, "en"), where))
        except UnfitError as error:
            yield BadItem(f"{name}/{number}", where, error.reason, error.detail)
    if not texts:
        raise UnfitError("no_caption", f"{row.where}: want captions with words")
    yield SourceItem(
        name,
        "video",
        found(media_root(options), file, where=row.where),
        texts=tuple(texts),
        place=row.where,
        **record.rights(options),
        metadata=record.rest() | ({"timestamp": times_s} if times_s else {}),
    )


def _times(record: Record) -> list[float]:
    if "timestamp" not in record:
        return []
    return [as_seconds(t, f"{record.where}: timestamp") for t in record.listed("timestamp")]


def _text(caption: Any, times_s: list[float], language: str, where: str) -> SourceText:  # noqa: ANN401
    if not isinstance(caption, dict) or not isinstance(caption.get("content"), str):
        raise UnfitError("bad_field", f"{where}: want an object with idx and content, got {short(caption)}")
    words = caption["content"].strip()
    if not words:
        raise UnfitError("no_caption", f"{where}: want words in 'content'")
    start_s, end_s = _stretch(caption.get("idx"), times_s)
    kind = "description" if start_s is None else "caption"
    return SourceText(words, kind, language, start_s, end_s, "machine", _MODEL)


def _stretch(idx: object, times_s: list[float]) -> tuple[float | None, float | None]:
    """Give the stretch that an idx means; none where it means the whole, or no stretch that there is."""
    parts = idx.split(",") if isinstance(idx, str) else []
    if len(parts) != 2 or not all(p.strip().isascii() and p.strip().isdigit() and len(p) < 9 for p in parts):
        return None, None
    first, last = int(parts[0]), int(parts[1])
    last = last + 1 if first == last else last
    if not first < last < len(times_s) or times_s[last] <= times_s[first]:
        return None, None
    return times_s[first], times_s[last]


SOURCE = AnnotationSource(
    "sharegpt4video",
    "ShareGPT4Video, JSON lines or a list: fields and the meaning of idx from memory, so much is optional",
    _convert,
    id_fields=("video_id", "id"),
)
