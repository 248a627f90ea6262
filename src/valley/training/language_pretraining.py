"""Makes a small language model that speaks the synthetic world's English, Chinese and Spanish, from nothing.

A byte-level BPE tokenizer is trained on the world's own text, then a Llama on next-token prediction over
documents such as::

    A big red circle moves to the right.
    Which way does the circle move?
    It moves to the right.

The caption stands in front of the questions, so that the model learns to read an answer off a description
before it ever sees a frame. The result is a plain `LlamaForCausalLM` with its tokenizer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from valley.synthetic import questions
from valley.synthetic.generator import draw_scene
from valley.synthetic.stream import SampleStream
from valley.synthetic.truth import truth_of
from valley.synthetic.world import LANGUAGES

END_OF_TEXT, PADDING = "<|endoftext|>", "<|pad|>"

# Without the first split, merges swallow whole Chinese clauses, one of which holds two facts.
_HAN = Regex("[\\u3400-\\u9fff]")


class LanguageConfig(BaseModel):
    """Recipe of the language model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Literal["language"]
    output_dir: Path
    seed: int = 0
    max_steps: PositiveInt
    batch_size: PositiveInt = 16
    block_size: PositiveInt = 160
    learning_rate: float = 2e-3
    save_every_steps: PositiveInt = 500
    vocab_size: PositiveInt = 1200
    tokenizer_documents: PositiveInt = 6000
    hidden_size: PositiveInt = 128
    intermediate_size: PositiveInt = 512
    num_layers: PositiveInt = 6
    num_heads: PositiveInt = 4
    max_position_embeddings: PositiveInt = 4096
    bf16: bool = True


def document(seed: int, index: int) -> str:
    """Write document number `index`: a caption, then questions with their answers."""
    rng = np.random.default_rng([seed, 55, index])
    language = LANGUAGES[int(rng.integers(len(LANGUAGES)))]
    truth = truth_of(draw_scene(rng))
    lines = [questions.caption(truth, language)]
    for task in rng.permutation(questions.VIDEO_TASKS)[:4]:
        asked = questions.ask(truth, str(task), language, rng)
        if asked:
            lines += [asked.text, asked.answer]
    return "\n".join(lines)


def make_tokenizer(config: LanguageConfig) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE tokenizer; it can spell any text of any language."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [pre_tokenizers.Split(_HAN, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[END_OF_TEXT, PADDING],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    dialogues = SampleStream("instructions", seed=config.seed)
    texts = (
        text
        for index in range(config.tokenizer_documents)
        for text in (
            document(config.seed, index),
            *(m.text for m in dialogues.conversation(index).messages),
        )
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=PADDING,
        clean_up_tokenization_spaces=False,
    )


def make_language_model(config: LanguageConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Make an untrained Llama for the tokenizer."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_heads,
            max_position_embeddings=config.max_position_embeddings,
            tie_word_embeddings=True,
            initializer_range=0.05,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation="eager",  # on CPU in bfloat16 about 1.4 times as fast as sdpa
        )
    )


class Documents(Dataset[dict[str, Tensor]]):
    """Blocks of `block_size` tokens, each filled with fresh documents."""

    def __init__(self, config: LanguageConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        self.config = config
        self.tokenizer = tokenizer

    def __len__(self) -> int:
        return self.config.max_steps * self.config.batch_size

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Fill block number `index`: `input_ids` and `labels`, i64[token]."""
        ids: list[int] = []
        number = index * self.config.block_size  # more than the documents that fit into one block
        while len(ids) < self.config.block_size:
            ids += [*self.tokenizer.encode(document(self.config.seed, number)), self.tokenizer.eos_token_id]
            number += 1
        block = torch.tensor(ids[: self.config.block_size])
        return {"input_ids": block, "labels": block.clone()}
