"""WebDataset shards: a tar file, or a folder of them, whose members of one name are one sample.

A shard holds ``000001.mp4`` with ``000001.txt`` (its caption) or ``000001.json`` (whatever is said about it),
and so on. Media are written to the folder of the setting `out`, under their shard's name, as the shard is
read; what is there already is not written again. A sample with several media is as many items.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from valley.collection.annotations import AnnotationSource
from valley.collection.described import END_FIELDS, START_FIELDS, described
from valley.collection.records import Record, UnfitError
from valley.collection.source import OnBad, SourceItem, SourceOptions, SourceText
from valley.errors import ConfigError
from valley.importers.items import Item
from valley.importers.shards import Sample, read_shards


def _rows(options: SourceOptions, _: OnBad) -> Iterator[Item]:
    out = options.settings.get("out")
    if not out:
        raise ConfigError(
            "the source webdataset needs the setting `out`: a folder for the media of the shards"
        )
    for sample in read_shards(options.path, Path(out)):
        yield Item({"sample": sample}, sample.where, sample.id)


def _convert(_: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    sample: Sample = row.value["sample"]
    if sample.fault is not None:
        raise UnfitError("bad_sample", str(sample.fault))
    media = [*(("image", p) for p in sample.images), *(("video", p) for p in sample.videos)]
    if not media:
        raise UnfitError("no_media", f"{row.where}: want a picture or a clip in it")
    record = Record(Item(sample.record or {}, row.where, ""))
    texts = described(record, options.language)
    if sample.caption is not None and sample.caption.strip():
        beside = SourceText(sample.caption.strip(), "caption", _language(texts, options))
        texts = texts if any(t.text == beside.text for t in texts) else (beside, *texts)
    start_s, end_s = record.stretch(START_FIELDS, END_FIELDS)
    rights = record.rights(options)
    metadata = record.rest() | ({"members": sample.others} if sample.others else {})
    for kind, path in media:
        name = row.default_id if len(media) == 1 else f"{row.default_id}/{Path(path).name}"
        yield SourceItem(
            name,
            "image" if kind == "image" else "video",
            Path(path),
            start_s=start_s if kind == "video" else None,
            end_s=end_s if kind == "video" else None,
            texts=texts,
            place=row.where,
            metadata=metadata,
            **rights,
        )


def _language(texts: tuple[SourceText, ...], options: SourceOptions) -> str:
    return texts[0].language if texts else options.language


SOURCE = AnnotationSource(
    "webdataset",
    "WebDataset shards, as img2dataset and video2dataset write them",
    _convert,
    _rows,
    {"out": "a folder for the media of the shards; needed"},
)
