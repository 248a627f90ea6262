r"""LLaVA's JSON, which Valley-Instruct, LLaVA-Video and many others use too.

One item looks like this::

    {"id": "7", "v_id": "1052340", "video": "v_1052340.mp4", "source": "jukinmedia", "conversations": [
      {"from": "human", "value": "<video>\nWho is it?"}, {"from": "gpt", "value": "A cook."}]}

As Valley's own loader of 2023 did it, `source` is the folder of the clip, a clip's name without a suffix gets
one, and `<image>` stands for the clip where there is no picture.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from valley.conversation import Conversation, Image, Video
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item
from valley.importers.turns import MediaQueue, read_turns, tagged_messages


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    source = fields.text("source", default="")
    images = [Image(_prefixed(path, options.image_prefix)) for path in fields.paths("image")]
    videos = [Video(_in_folder(path, source, options.video_suffix)) for path in fields.paths("video")]
    queue = MediaQueue(images, videos, item.where, image_tag_for_video=True)
    turns = read_turns(fields.listed("conversations"), item.where, role="from", words="value")
    messages = tagged_messages(turns, queue, item.where)
    made = close(fields, messages, item, options, known=("v_id", "model", "data_source"))
    return replace(made, metadata={"source": source, **made.metadata}) if source else made


def _prefixed(path: str, prefix: str) -> str:
    name = PurePosixPath(path)
    return str(name.with_name(prefix + name.name)) if prefix else path


def _in_folder(path: str, source: str, suffix: str) -> str:
    name = path if PurePosixPath(path).suffix else path + suffix
    return f"{source}/{name}" if source else name


IMPORTER = ItemImporter("llava", "LLaVA, Valley-Instruct", _convert, options=("video_suffix", "image_prefix"))
