r"""The captioned clips of Valley's first stage (Valley-webvid2M-Pretrain-703K, chat.json).

One item looks like this::

    {"id": "1012345678", "video": "1012345678.mp4", "conversations": [
      {"from": "human", "value": "<video>\nWhat is shown?"}, {"from": "gpt", "value": "Waves on sand"}]}
"""

from __future__ import annotations

from pathlib import PurePosixPath

from valley.conversation import Conversation, Video
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item
from valley.importers.turns import MediaQueue, read_turns, tagged_messages


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    path = fields.path("video")
    video = Video(path if PurePosixPath(path).suffix else path + options.video_suffix)
    queue = MediaQueue((), [video], item.where, image_tag_for_video=True)
    turns = read_turns(fields.listed("conversations"), item.where, role="from", words="value")
    return close(fields, tagged_messages(turns, queue, item.where), item, options)


IMPORTER = ItemImporter("webvid", "Valley-webvid2M-Pretrain-703K", _convert, options=("video_suffix",))
