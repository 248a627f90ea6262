"""The 100,000 questions of Video-ChatGPT (VideoInstruct100K).

One item looks like this::

    {"q": "What happens first?", "a": "He opens a box.", "video_id": "v_k_ZXmr8pmrs"}

Each pair is one item; many share a clip, whose file is its id with a suffix.
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.collection.annotations import AnnotationSource, said_or
from valley.collection.media_paths import found, media_root
from valley.collection.records import Record, UnfitError
from valley.collection.source import SourceItem, SourceOptions
from valley.collection.turns import dialogue_text
from valley.importers.items import Item


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    name = record.needed_name("video_id")
    question, answer = record.text("q", default=""), record.text("a", default="")
    text = dialogue_text(question, answer, language=said_or(options, "en"), model="gpt-3.5-turbo")
    if text is None:
        raise UnfitError("no_caption", f"{row.where}: want words in 'q' and 'a'")
    path = found(media_root(options), name, where=row.where)
    rights = record.rights(options)
    yield SourceItem(name, "video", path, texts=(text,), place=row.where, metadata=record.rest(), **rights)


SOURCE = AnnotationSource(
    "video_chatgpt",
    "Video-ChatGPT's VideoInstruct100K, as published",
    _convert,
    id_fields=("video_id",),
)
