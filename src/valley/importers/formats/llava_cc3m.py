r"""The 595,000 pictures with captions of LLaVA's first stage (LLaVA-CC3M-Pretrain-595K, chat.json).

One item looks like this::

    {"id": "GCC_train_000000001", "image": "GCC_train_000000001.jpg", "conversations": [
      {"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": "a boat at dusk"}]}
"""

from __future__ import annotations

from valley.conversation import Conversation, Image
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item
from valley.importers.turns import MediaQueue, read_turns, tagged_messages


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    queue = MediaQueue([Image(fields.path("image"))], (), item.where)
    turns = read_turns(fields.listed("conversations"), item.where, role="from", words="value")
    return close(fields, tagged_messages(turns, queue, item.where), item, options)


IMPORTER = ItemImporter("llava_cc3m", "LLaVA-CC3M-Pretrain-595K", _convert)
