"""VATEX: ten seconds of a video, ten English and ten Chinese captions (vatex_training_v1.0.json).

One item looks like this; the last five of both languages are translations of each other::

    {"videoID": "Ptf_2VRj-V0_000122_000132", "enCap": ["A man is ...", ...], "chCap": ["...", ...]}

The stretch was cut out as `videoID.mp4`, or the whole video lies there under its own id. The public test set
has no Chinese captions.
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.collection.annotations import AnnotationSource
from valley.collection.media_paths import found_clip, media_root, split_clip_id
from valley.collection.records import Record, UnfitError
from valley.collection.source import SourceItem, SourceOptions
from valley.importers.items import Item


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    name = record.needed_name("videoID")
    whole, start_s, end_s = split_clip_id(name, row.where)
    texts = record.texts("enCap", language="en") + record.texts("chCap", language="zh")
    if not texts:
        raise UnfitError("no_caption", f"{row.where}: want captions in enCap or chCap")
    path, is_whole = found_clip(media_root(options), name, whole, row.where)
    rights = record.rights(options)
    yield SourceItem(
        name,
        "video",
        path,
        start_s=start_s if is_whole else None,
        end_s=end_s if is_whole else None,
        texts=texts,
        place=row.where,
        metadata=record.rest(),
        **rights,
    )


SOURCE = AnnotationSource(
    "vatex",
    "VATEX v1.0: training and validation as published; the test set's fields from memory, so either may lack",
    _convert,
    id_fields=("videoID",),
)
