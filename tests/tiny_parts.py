"""Builds the tiny model of the tests: random weights, real Hugging Face classes, no network."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from valley.model.composing_valley import compose

TINY_TEXT = [
    "Which way does the red circle move?",
    "To the right. The blue square stands still, and a green star appears.",
    "红色的圆往哪边移动？ 向右。",
    "¿Hacia dónde se mueve el círculo rojo? A la derecha.",
]


def tiny_tokenizer(vocab_size: int = 400) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with an end-of-text token on a few sentences."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TINY_TEXT * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>")


def tiny_tower(seed: int = 0, **overrides: Any) -> CLIPVisionModel:
    """Make a CLIP tower of 16 patches."""
    torch.manual_seed(seed)
    settings = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        "initializer_factor": 5.0,
    }
    return CLIPVisionModel(CLIPVisionConfig(**{**settings, **overrides}))


def tiny_llm(vocab_size: int, seed: int = 1, **overrides: Any) -> LlamaForCausalLM:
    """Make a Llama of two layers with a head of its own."""
    torch.manual_seed(seed)
    settings = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": 0,
    }
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab_size, **{**settings, **overrides}))


def compose_tiny(**config: Any):
    """Compose a tiny model and processor; `config` are fields of `ValleyConfig`."""
    tokenizer = tiny_tokenizer()
    torch.manual_seed(2)
    return compose(tiny_tower(), tiny_llm(len(tokenizer)), tokenizer, **config)
