"""ShareGPT data of LLaMA-Factory under its usual column names, as from/value or as role/content.

One item looks like this::

    {"system": "Answer in one sentence.", "videos": ["mllm_demo_data/1.mp4"], "conversations": [
      {"from": "human", "value": "<video>Why is it funny?"}, {"from": "gpt", "value": "A baby reads."}]}
"""

from __future__ import annotations

from valley.conversation import Conversation
from valley.importers.columns import tagged_columns
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    return close(fields, tagged_columns(fields), item, options)


IMPORTER = ItemImporter("llama_factory", "LLaMA-Factory (ShareGPT and OpenAI form)", _convert)
