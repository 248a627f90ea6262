"""MSR-VTT: 10,000 clips with twenty English sentences each (train_val_videodatainfo.json, MSRVTT_data.json).

The file is one object::

    {"videos": [{"video_id": "video0", "category": 9, "url": "https://...", "start time": 137.7,
                 "end time": 149.4, "split": "train", "id": 0}],
     "sentences": [{"sen_id": 0, "video_id": "video0", "caption": "a car is shown"}]}

or, as others have passed it on, a list: ``[{"video": "video0.mp4", "caption": ["a car is shown"]}]``. Clips
are cut out, as `video0.mp4`; `url` and times say of which video, and are kept. All sentences of one object
are held in memory: there are 200,000.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from valley.collection.annotations import AnnotationSource, said_or
from valley.collection.media_paths import found, media_root
from valley.collection.records import Record, UnfitError, short
from valley.collection.rows import read_rows
from valley.collection.source import BadItem, OnBad, SourceItem, SourceOptions
from valley.errors import ConfigError
from valley.importers.items import Item, holds_list, read_entries


def _rows(options: SourceOptions, on_bad: OnBad) -> Iterator[Item]:
    path = options.path
    if path.suffix.lower() != ".json" or holds_list(path):
        yield from read_rows(path, on_bad=on_bad)
        return
    parts = {name: item.value for name, item in read_entries(path)}
    videos, sentences = parts.get("videos"), parts.get("sentences")
    if not isinstance(videos, list) or not isinstance(sentences, list):
        raise ConfigError(
            f"{path}: want the lists videos and sentences, got {', '.join(parts)[:200] or 'nothing'}"
        )
    captions: dict[str, list[object]] = defaultdict(list)
    for number, sentence in enumerate(sentences, 1):
        fault = _collect(sentence, captions, f"{path}, sentence {number}")
        if fault is not None:
            on_bad(BadItem(f"sentence-{number}", f"{path}, sentence {number}", *fault))
    for number, video in enumerate(videos, 1):
        value = video
        if isinstance(video, dict) and isinstance(video.get("video_id"), str):
            value = {**video, "caption": captions.pop(video["video_id"], [])}
        yield Item(value, f"{path}, video {number}", f"video-{number}")
    for name, left in captions.items():
        detail = f"{path}: {len(left)} sentences are about {short(name)}, which is not among the videos"
        on_bad(BadItem(name[:200], str(path), "unknown_video", detail))


def _collect(sentence: Any, captions: dict[str, list[object]], where: str) -> tuple[str, str] | None:  # noqa: ANN401
    """Put a sentence to its video, or say what is wrong."""
    if not isinstance(sentence, dict) or not isinstance(sentence.get("video_id"), str):
        return "bad_field", f"{where}: want an object with video_id and caption, got {short(sentence)}"
    words = sentence.get("caption")
    if not isinstance(words, str) or not words.strip():
        return "no_caption", f"{where}: want words in 'caption', got {short(words)}"
    captions[sentence["video_id"]].append(words)
    return None


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    name = record.needed_name("video_id", "video")
    texts = record.texts("caption", language=said_or(options, "en"))
    if not texts:
        raise UnfitError("no_caption", f"{row.where}: want a sentence about it")
    path = found(media_root(options), name, where=row.where)
    rights = record.rights(options)
    yield SourceItem(name, "video", path, texts=texts, place=row.where, metadata=record.rest(), **rights)


SOURCE = AnnotationSource(
    "msrvtt",
    "MSR-VTT: fields from memory of the published files, and the list form that others have passed on",
    _convert,
    _rows,
    id_fields=("video_id", "video"),
)
