r"""The 595,000 pictures with captions of LLaVA's first stage (LLaVA-CC3M-Pretrain-595K).

One item of chat.json, and one of metadata.json, which lies beside it and may be absent::

    {"id": "GCC_train_000000001", "image": "GCC_train_000000001.jpg", "conversations": [
      {"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": "a boat at dusk"}]}
    {"id": "GCC_train_000000001", "image": "GCC_train_000000001.jpg", "caption": "a boat at dusk",
     "blip_caption": "a boat on the water", "url": "https://example.org/boat.jpg"}

The caption is the answer; the question before it is a prompt, and is dropped. BLIP's caption is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from valley.collection.annotations import AnnotationSource, chosen, said_or
from valley.collection.media_paths import found, media_root
from valley.collection.records import Record, UnfitError
from valley.collection.rows import annotation_file, read_rows
from valley.collection.source import OnBad, SourceItem, SourceOptions
from valley.collection.turns import answer_texts
from valley.importers.items import Item

_MOST_APART = 4096
_IMAGE_FOLDERS = ("", "image/", "images/", "image_new/")
_logger = logging.getLogger(__name__)


class _Beside:
    """Finds the metadata of items in a second file of the same order, give or take some thousand."""

    def __init__(self, rows: Iterator[Item], *, name: str) -> None:
        self._rows = enumerate(rows)
        self._name = name
        self._near: dict[str, tuple[int, dict[str, Any]]] = {}
        self._next = 0
        self._last_found = 0

    def take(self, item_id: str) -> dict[str, Any]:
        while item_id not in self._near and self._next < self._last_found + _MOST_APART:
            self._next, row = next(self._rows, (self._last_found + _MOST_APART, None))
            if row is not None and isinstance(row.value, dict) and (name := _id_of(row.value)):
                self._near[name] = (self._next, row.value)
        if item_id not in self._near:
            self._warn(item_id)
            return {}
        place, value = self._near.pop(item_id)
        self._last_found = max(self._last_found, place)
        while self._near and next(iter(self._near.values()))[0] < self._last_found - _MOST_APART:
            del self._near[next(iter(self._near))]
        return value

    def _warn(self, item_id: str) -> None:
        if self._name:
            _logger.warning(
                "%s: says nothing about %s within %d items of its place in chat.json; such items go without "
                "BLIP's caption and without address",
                self._name,
                item_id,
                _MOST_APART,
            )
            self._name = ""


def _id_of(value: dict[str, Any]) -> str | None:
    for name in ("id", "image", "image_id", "file_name"):
        if isinstance(value.get(name), str):
            return value[name].rpartition("/")[2].partition(".")[0]
    return None


def _rows(options: SourceOptions, on_bad: OnBad) -> Iterator[Item]:
    chat = annotation_file(options.path, "chat.json")
    metadata = chat.with_name("metadata.json")
    has_metadata = metadata.is_file() and metadata != chat
    others = read_rows(metadata, on_bad=on_bad) if has_metadata else iter(())
    beside = _Beside(others, name=str(metadata) if has_metadata else "")
    for row in read_rows(chat, on_bad=on_bad):
        value = row.value
        if isinstance(value, dict) and (name := _id_of(value)):
            known = {k: v for k, v in beside.take(name).items() if k not in ("id", "caption")}
            value = {**known, **value}
        yield Item(value, row.where, row.default_id)


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    name = record.needed_name("id", "image")
    language = said_or(options, "en")
    texts = answer_texts(record, language=language)
    if not texts:
        raise UnfitError("no_caption", f"{row.where}: want an answer with words")
    texts += record.texts("blip_caption", language=language, origin="machine", model="BLIP")
    file, address = record.name("image"), record.name("url")
    path, url = None, None
    if chosen(options, "media", ("local", "url")) == "url":
        url = address
        if url is None:
            raise UnfitError("no_media", f"{row.where}: want its 'url' in metadata.json beside chat.json")
    elif file is None:
        raise UnfitError("no_media", f"{row.where}: want a file in 'image'")
    else:
        path = found(media_root(options), *(folder + file for folder in _IMAGE_FOLDERS), where=row.where)
        if address:
            record.keep("url", address)
    rights = record.rights(options)
    yield SourceItem(name, "image", path, url, texts=texts, place=row.where, metadata=record.rest(), **rights)


SOURCE = AnnotationSource(
    "llava_cc3m",
    "LLaVA-CC3M-Pretrain-595K: chat.json as published; names in metadata.json from memory, so any are taken",
    _convert,
    _rows,
    {"media": "local (the default), or url: fetch the addresses in metadata.json"},
)
