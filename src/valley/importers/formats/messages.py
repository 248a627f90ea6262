"""Messages with typed parts, as TRL, transformers' chat templates and OpenAI's requests have them.

One item looks like this; media may be named in their parts or in the columns `images` and `videos`::

    {"messages": [
      {"role": "user", "content": [{"type": "video", "path": "a.mp4"}, {"type": "text", "text": "Who?"}]},
      {"role": "assistant", "content": "A cook."}]}

TRL's `prompt` and `completion` are two such lists, one after the other. A text that spells `<video>` is only
text.
"""

from __future__ import annotations

from valley.conversation import Conversation
from valley.importers.columns import typed_columns
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    return close(fields, typed_columns(fields), item, options)


IMPORTER = ItemImporter("messages", "TRL, transformers and OpenAI", _convert)
