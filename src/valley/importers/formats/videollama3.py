r"""Annotations of VideoLLaMA3: media are lists of paths from the data's root.

One item looks like this::

    {"video": ["videos/a.mp4"], "conversations": [
      {"from": "human", "value": "<video>\nWhat happens?"}, {"from": "gpt", "value": "A man sails."}]}

Its own loader puts a missing tag at the beginning, with a warning; here that is an error, as everywhere.
"""

from __future__ import annotations

from valley.conversation import Conversation, Image, Video
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item
from valley.importers.turns import MediaQueue, read_turns, tagged_messages


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    fields.refuse("stream", "which is a commentary with times and no conversation: leave the item out")
    images = [Image(path) for path in fields.paths("image")]
    videos = [Video(path) for path in fields.paths("video")]
    turns = read_turns(fields.listed("conversations"), item.where, role="from", words="value")
    messages = tagged_messages(turns, MediaQueue(images, videos, item.where), item.where)
    return close(fields, messages, item, options)


IMPORTER = ItemImporter("videollama3", "VideoLLaMA3", _convert)
