"""ActivityNet Captions: sentences, each about a stretch of a video (train.json, val_1.json, val_2.json).

The file is one object::

    {"v_QOlSCBRmfWY": {"duration": 82.7, "timestamps": [[0.8, 19.9], [17.4, 60.8]],
                       "sentences": ["A girl dances.", "She stops."]}}

A video is one item; each of its sentences has a stretch of its own. A sentence that does not fit is left out
alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.collection.annotations import AnnotationSource, bad, said_or
from valley.collection.media_paths import found, media_root
from valley.collection.records import Record, UnfitError, as_seconds, checked_stretch, short
from valley.collection.source import BadItem, OnBad, SourceItem, SourceOptions, SourceText
from valley.importers.items import Item, read_entries


def _rows(options: SourceOptions, _: OnBad) -> Iterator[Item]:
    return (item for _, item in read_entries(options.path))


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem | BadItem]:
    times, sentences = record.listed("timestamps"), record.listed("sentences")
    if len(times) != len(sentences):
        record.fail(f"want as many timestamps as sentences, got {len(times)} and {len(sentences)}")
    language = said_or(options, "en")
    texts: list[SourceText] = []
    for number, (pair, words) in enumerate(zip(times, sentences, strict=True), 1):
        made = _sentence(pair, words, language, Item(None, f"{row.where}, sentence {number}", ""))
        if isinstance(made, SourceText):
            texts.append(made)
        else:
            yield bad(row, made, item_id=f"{row.default_id}/{number}")
    if not texts:
        raise UnfitError("no_caption", f"{row.where}: want a sentence")
    path = found(media_root(options), row.default_id, where=row.where)
    rights = record.rights(options)
    yield SourceItem(
        row.default_id,
        "video",
        path,
        texts=tuple(texts),
        place=row.where,
        metadata=record.rest(),
        **rights,
    )


def _sentence(pair: object, words: object, language: str, row: Item) -> SourceText | UnfitError:
    try:
        if not isinstance(words, str) or not words.strip():
            return UnfitError("no_caption", f"{row.where}: want words, got {short(words)}")
        if not isinstance(pair, list) or len(pair) != 2:
            return UnfitError("bad_time", f"{row.where}: want [start, end], got {short(pair)}")
        start_s, end_s = as_seconds(pair[0], row.where), as_seconds(pair[1], row.where)
        checked_stretch(start_s, end_s, row.where)
    except UnfitError as error:
        return error
    return SourceText(words.strip(), "caption", language, start_s, end_s)


SOURCE = AnnotationSource("activitynet", "ActivityNet Captions, as published", _convert, _rows)
