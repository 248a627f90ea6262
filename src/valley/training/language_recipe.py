"""The recipe of the language lesson, and the tokenizer that it begins with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from valley.errors import ConfigError
from valley.model.composing_valley import CHAT_TOKENS, END_TOKEN, PAD_TOKEN
from valley.model.visual_layout import VISUAL_TOKENS
from valley.synthetic.stream import SampleStream
from valley.training.lessons import LessonConfig

END_OF_TEXT = "<|endoftext|>"

# A time such as 1.4 is one piece, wherever it stands: it is looked up whole, not digit by digit. So is every
# Han character: else merges swallow whole Chinese clauses, one of which holds two facts. The rest is much as
# in GPT-2.
_PIECE = Regex(
    r"[0-9]+[.][0-9]|[\u3400-\u9fff]| ?[^\s\p{L}\p{N}]+| ?[\p{L}&&[^\u3400-\u9fff]]+|\p{N}+|\s+(?!\S)|\s+"
)
LONGEST_S = 13
"""Times up to here get a token of their own."""


class LanguageConfig(LessonConfig):
    """Recipe of the language model."""

    stage: Literal["language"]
    # Go on from what a finished language lesson left in this folder: words, model, pooling and maps.
    base: Path | None = None
    vocab_size: PositiveInt = 2000
    tokenizer_dialogues: PositiveInt = 6000
    hidden_size: PositiveInt = 128
    intermediate_size: PositiveInt = 512
    num_layers: PositiveInt = 6
    num_heads: PositiveInt = 4
    max_position_embeddings: PositiveInt = 4096
    # What makes one token of a patch's history; "mean" and "transformer" look at each patch alone.
    temporal_pooling: Literal["mean", "transformer"] = "transformer"
    temporal_pooling_config: dict[str, Any] = Field(default_factory=dict)
    # As many as the tower has that is put before the language model.
    num_patches: PositiveInt = 64
    # The layers whose hidden states the heads read; the one behind look_up_layer says the time.
    event_layer: PositiveInt = 2
    look_up_layer: PositiveInt = 4
    event_weight: float = 0.5
    look_up_weight: float = 0.5
    # A verdict is one bit after many words, and so is a time: their tokens count for more.
    decisive_weight: float = 3.0
    # Words of questions and answers behind one look at a clip, about.
    tokens_per_clip: PositiveInt = 250
    # Of the samples, whole dialogues instead of questions that do not see each other.
    dialogue_share: float = 0.2
    # English alone until this share of the run; rich scenes from this share on.
    english_until: float = Field(default=0.05, ge=0, le=1)
    rich_from: float = Field(default=0.3, ge=0, le=1)
    rich_share: float = Field(default=0.35, ge=0, le=1)

    @model_validator(mode="after")
    def _heads_fit(self) -> LanguageConfig:
        if not max(self.event_layer, self.look_up_layer + 1) <= self.num_layers:
            raise ValueError(
                f"want event_layer and the layer behind look_up_layer among the {self.num_layers} layers, "
                f"got {self.event_layer} and {self.look_up_layer + 1}"
            )
        return self


def make_tokenizer(config: LanguageConfig) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE tokenizer, which can spell any text, or take that of the base.

    Raises:
        ConfigError: there is no tokenizer in the base.
    """
    if config.base is not None:
        if not (config.base / "tokenizer.json").is_file():
            raise ConfigError(f"base: want a folder that a language lesson left, got {config.base}")
        return PreTrainedTokenizerFast.from_pretrained(config.base)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(_PIECE, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[END_OF_TEXT, PAD_TOKEN, *CHAT_TOKENS, *VISUAL_TOKENS.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(config), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_TOKEN,
        pad_token=PAD_TOKEN,
        clean_up_tokenization_spaces=False,
    )


def _texts(config: LanguageConfig) -> Iterable[str]:
    stream = SampleStream("instructions", seed=config.seed, rich_share=config.rich_share)
    for i in range(config.tokenizer_dialogues):
        for message in stream.conversation(i).messages:
            yield message.text
    for tenth in range(10 * LONGEST_S):
        yield from [f"{tenth / 10:.1f}s"] * 200
