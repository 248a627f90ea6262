"""The 100,000 questions of Video-ChatGPT (VideoInstruct100K).

One item looks like this::

    {"q": "What happens first?", "a": "He opens a box.", "video_id": "v_k_ZXmr8pmrs"}

The clip's file is its id with a suffix. Each pair is one conversation; many share a clip.
"""

from __future__ import annotations

from valley.conversation import Conversation, Video
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item
from valley.importers.turns import MediaQueue, tagged_messages


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    video = Video(fields.text("video_id") + options.video_suffix)
    question, answer = fields.text("q"), fields.text("a")
    if "<video>" not in question:
        question = f"<video>\n{question}"
    queue = MediaQueue((), [video], item.where)
    messages = tagged_messages([("user", question), ("assistant", answer)], queue, item.where)
    return close(fields, messages, item, options)


IMPORTER = ItemImporter(
    "video_chatgpt", "Video-ChatGPT's VideoInstruct100K", _convert, options=("video_suffix",)
)
