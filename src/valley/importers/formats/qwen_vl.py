r"""Data of Qwen-VL's finetuning code; packed lists of items are unpacked.

One item looks like this::

    {"images": ["cats/1.jpg", "cats/2.jpg"], "data_path": "animals", "conversations": [
      {"from": "human", "value": "<image>\n<image>\nWhich is old?"}, {"from": "gpt", "value": "The first."}]}
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from valley.conversation import Conversation, Image, Video
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item, read_items
from valley.importers.turns import MediaQueue, read_turns, tagged_messages


def _unpacked(path: Path, _: ImportOptions) -> Iterator[Item]:
    for item in read_items(path):
        if not isinstance(item.value, list):
            yield item
            continue
        for number, value in enumerate(item.value, 1):
            yield Item(value, f"{item.where}, packed item {number}", f"{item.default_id}-{number}")


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    folder = PurePosixPath(fields.text("data_path", default=""))
    images = [Image(str(folder / path)) for path in fields.paths("image", "images")]
    videos = [Video(str(folder / path)) for path in fields.paths("video", "videos")]
    turns = read_turns(fields.listed("conversations"), item.where, role="from", words="value")
    messages = tagged_messages(turns, MediaQueue(images, videos, item.where), item.where)
    return close(fields, messages, item, options, known=("num_tokens",))


IMPORTER = ItemImporter("qwen_vl", "Qwen-VL's finetuning code", _convert, items=_unpacked)
