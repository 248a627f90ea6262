"""What is learned is exactly the assistant's words and the token that ends its turn."""

from __future__ import annotations

import pytest

from valley.model.processing_valley import ValleyProcessor
from valley.synthetic.stream import SampleStream
from valley.training.labelling import IGNORED_LABEL, encode
from valley.training.media import Sample


@pytest.mark.parametrize("language", ["en", "zh", "es"])
def test_labels_are_the_assistants_words(tiny_processor: ValleyProcessor, language: str) -> None:
    stream = SampleStream("instructions", seed=4, languages=(language,), size_px=32)
    for index in range(12):
        made = stream.sample(index)
        media = (
            () if made.frames is None else (made.frames.pixels[0] if len(made.frames) == 1 else made.frames,)
        )
        row = encode(tiny_processor, Sample(made.conversation, media))
        learned = row["labels"] != IGNORED_LABEL
        said = "".join(m.text + "<|end|>" for m in made.conversation.messages if m.role == "assistant")
        assert tiny_processor.tokenizer.decode(row["labels"][learned]) == said
        assert (row["labels"][learned] == row["input_ids"][learned]).all()
