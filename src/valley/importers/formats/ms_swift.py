"""The standard format of ms-swift.

One item looks like this::

    {"images": ["a.jpg"], "videos": ["b.mp4"], "messages": [
      {"role": "user", "content": "<image>Is it in <video>?"}, {"role": "assistant", "content": "Yes."}]}
"""

from __future__ import annotations

from valley.conversation import Conversation
from valley.importers.columns import tagged_columns
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    if "conversations" in fields:
        fields.fail(
            "has 'conversations', want 'messages' with role and content: such files are llama_factory's"
        )
    return close(fields, tagged_columns(fields), item, options, known=("channel",))


IMPORTER = ItemImporter("ms_swift", "ms-swift", _convert)
