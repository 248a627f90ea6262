"""InternVid: stretches of videos with machine-written captions (InternVid-10M-flt.jsonl).

One item looks like this::

    {"YoutubeID": "jNQXAC9IVRw", "Start_timestamp": "00:00:03.689", "End_timestamp": "00:00:07.100",
     "Caption": "a man stands before elephants", "Aesthetic_Score": 4.29, "UMT_Score": 0.45}

Either the whole video lies there under its id, or the stretch was cut out, as `ID_start_end.mp4`.
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.collection.annotations import AnnotationSource, said_or
from valley.collection.media_paths import found_clip, media_root
from valley.collection.records import Record, UnfitError, as_seconds, checked_stretch
from valley.collection.source import SourceItem, SourceOptions
from valley.importers.items import Item

_MODEL = "InternVid"


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    video = record.needed_name("YoutubeID", "video_id")
    start, end = record.needed_name("Start_timestamp"), record.needed_name("End_timestamp")
    start_s, end_s = as_seconds(start, row.where), as_seconds(end, row.where)
    checked_stretch(start_s, end_s, row.where)
    texts = record.texts("Caption", language=said_or(options, "en"), origin="machine", model=_MODEL)
    if not texts:
        raise UnfitError("no_caption", f"{row.where}: want words in 'Caption'")
    name = f"{video}_{start}_{end}"
    clip, is_whole = found_clip(media_root(options), name.replace(":", "-"), video, row.where)
    is_cut_out = not is_whole and clip.is_file()
    yield SourceItem(
        name,
        "video",
        clip if is_whole or is_cut_out else clip.with_name(f"{video}.mp4"),
        start_s=None if is_cut_out else start_s,
        end_s=None if is_cut_out else end_s,
        texts=texts,
        place=row.where,
        **record.rights(options),
        metadata=record.rest(),
    )


SOURCE = AnnotationSource(
    "internvid",
    "InternVid, JSON lines as published; how others name cut-out clips is a guess",
    _convert,
    id_fields=("YoutubeID",),
)
