r"""The captioned clips of Valley's first stage (Valley-webvid2M-Pretrain-703K), English and Chinese.

One item looks like this::

    {"id": "1012345678", "video": "1012345678.mp4", "conversations": [
      {"from": "human", "value": "<video>\nWhat is shown?"}, {"from": "gpt", "value": "waves on sand"}]}

Given a folder, chat.json and chat_chinese.json are read, in this order; a clip that both have is two items. A
name without a suffix is that of an .mp4, as Valley's loader of 2023 had it. Clips lie beside the file, in
`videos`, or in `webvid`.
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.collection.annotations import AnnotationSource
from valley.collection.media_paths import found, kind_of, media_root
from valley.collection.records import Record, UnfitError
from valley.collection.rows import annotation_file, read_rows
from valley.collection.source import OnBad, SourceItem, SourceOptions
from valley.collection.turns import answer_texts
from valley.importers.items import Item

_LANGUAGES = {"chat.json": "en", "chat_chinese.json": "zh"}
_FOLDERS = ("", "videos/", "webvid/", "videos/webvid/")


def _rows(options: SourceOptions, on_bad: OnBad) -> Iterator[Item]:
    paths = [options.path]
    if options.path.is_dir():
        paths = [options.path / name for name in _LANGUAGES if (options.path / name).is_file()]
        paths = paths or [annotation_file(options.path, *_LANGUAGES)]
    for path in paths:
        ours = {"language": _LANGUAGES.get(path.name, options.language), "of_file": path.stem}
        for row in read_rows(path, on_bad=on_bad):
            value = {**ours, **row.value} if isinstance(row.value, dict) else row.value
            yield Item(value, row.where, row.default_id)


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    name = record.needed_name("id", "video", "image")
    language, stem = record.language(options.language), record.needed_name("of_file")
    texts = answer_texts(record, language=language)
    if not texts:
        raise UnfitError("no_caption", f"{row.where}: want an answer with words")
    file = record.name("video", "image")
    if file is None:
        raise UnfitError("no_media", f"{row.where}: want a file in 'video'")
    file = file if kind_of(file) else f"{file}.mp4"
    path = found(media_root(options), *(folder + file for folder in _FOLDERS), where=row.where)
    rights = record.rights(options)
    yield SourceItem(
        f"{stem}/{name}",
        kind_of(file) or "video",
        path,
        texts=texts,
        place=row.where,
        metadata=record.rest(),
        **rights,
    )


SOURCE = AnnotationSource(
    "valley_702k", "Valley-webvid2M-Pretrain-703K, as published: English and Chinese", _convert, _rows
)
