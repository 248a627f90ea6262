"""VideoChat's 11,000 instructions, and VideoChat2-IT, which has the same form.

One item looks like this::

    {"video": "000051_000100/1029357692.mp4", "start": 1.0, "end": 9.5,
     "QA": [{"i": "Answer briefly.", "q": "What is she doing?", "a": "Stretching."}]}

An answer whose question is empty describes the clip. Instructions `i` are kept in the metadata.
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.collection.annotations import AnnotationSource, said_or
from valley.collection.media_paths import found, media_root
from valley.collection.records import Record, UnfitError
from valley.collection.source import SourceItem, SourceOptions, SourceText
from valley.collection.turns import dialogue_text
from valley.importers.items import Item


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    image = record.name("image")
    name = image or record.needed_name("video")
    language = said_or(options, "en")
    texts: list[SourceText] = []
    instructions: list[str] = []
    for number, pair in enumerate(record.listed("QA"), 1):
        words = Record(Item(pair, f"{row.where}, QA {number}", ""))
        texts += _texts(words, language)
        if instruction := words.text("i", default="").strip():
            instructions.append(instruction)
    if not texts:
        raise UnfitError("no_caption", f"{row.where}: want an answer with words in 'QA'")
    start_s, end_s = record.stretch(("start",), ("end",))
    if image and (start_s is not None or end_s is not None):
        record.fail("a picture has neither start nor end: leave them out")
    if instructions:
        record.keep("instructions", instructions)
    yield SourceItem(
        record.name("id") or name,
        "image" if image else "video",
        found(media_root(options), name, where=row.where),
        start_s=start_s,
        end_s=end_s,
        texts=tuple(texts),
        place=row.where,
        **record.rights(options),
        metadata=record.rest(),
    )


def _texts(words: Record, language: str) -> list[SourceText]:
    question, answer = words.text("q", default=""), words.text("a", default="")
    if answer.strip() and not question.strip():
        return [SourceText(answer.strip(), "description", language, origin="machine")]
    made = dialogue_text(question, answer, language=language, model=None)
    return [] if made is None else [made]


SOURCE = AnnotationSource(
    "videochat",
    "VideoChat-11k and VideoChat2-IT, as published",
    _convert,
    id_fields=("id", "video", "image"),
)
