"""A tiny Valley, composed offline: CLIP tower, Llama, byte-level BPE; for every test that needs a model.

Fixtures: `tiny_model`, `tiny_processor` (shared), `tiny_checkpoint` (a saved folder), `compose_tiny` (makes
another, with fields of `ValleyConfig`), `tiny_parts` (tokenizer, tower, language model, fresh), `make_clip`.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that would need the network fails at once

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

TINY_TEXT = [
    "Which way does the red circle move?",
    "To the right. The blue square stands still, and a green star appears.",
    "红色的圆往哪边移动？ 向右。",
    "¿Hacia dónde se mueve el círculo rojo? A la derecha.",
]


def _tokenizer(vocab_size: int = 400) -> PreTrainedTokenizerFast:
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


def _tower(seed: int = 0, **overrides: Any) -> CLIPVisionModel:
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


def _llm(vocab_size: int, seed: int = 1, **overrides: Any) -> LlamaForCausalLM:
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


def _compose(**config: Any):
    """Compose a tiny model and processor; `config` are fields of `ValleyConfig`."""
    from valley.model.composing_valley import compose

    tokenizer = _tokenizer()
    torch.manual_seed(2)
    return compose(_tower(), _llm(len(tokenizer)), tokenizer, **config)


@pytest.fixture(scope="session")
def _tiny():
    return _compose()


@pytest.fixture
def tiny_model(_tiny):
    """A composed model, random weights, mean pooling, evaluation mode; shared: do not change its weights."""
    return _tiny[0]


@pytest.fixture
def tiny_processor(_tiny):
    """Its processor; shared."""
    return _tiny[1]


@pytest.fixture(scope="session")
def tiny_checkpoint(_tiny, tmp_path_factory) -> Path:
    """A folder with the tiny model and its processor, as `save_pretrained` writes them."""
    folder = tmp_path_factory.mktemp("tiny_checkpoint")
    model, processor = _tiny
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def make_clip():
    """Make u8[frame, H, W, 3] of noise from a seed."""

    def make(num_frames: int = 4, height_px: int = 32, width_px: int = 32, seed: int = 0) -> np.ndarray:
        generator = np.random.default_rng(seed)
        return generator.integers(0, 256, (num_frames, height_px, width_px, 3), dtype=np.uint8)

    return make


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def compose_tiny():
    """Compose a tiny model and processor of one's own; keywords are fields of `ValleyConfig`."""
    return _compose


@pytest.fixture(scope="session")
def tiny_parts() -> SimpleNamespace:
    """Makers of the parts: `tokenizer()`, `tower(**CLIPVisionConfig)`, `llm(vocab_size, **LlamaConfig)`."""
    return SimpleNamespace(tokenizer=_tokenizer, tower=_tower, llm=_llm)


@pytest.fixture(scope="session")
def clip_files(tmp_path_factory) -> Path:
    """A folder with a.mp4 and b.mp4 (a square moves right, left; 24 frames at 8 per second) and photo.png."""
    from PIL import Image

    from valley.video.encoding import write_video

    folder = tmp_path_factory.mktemp("clips")
    pixels = np.zeros((24, 64, 96, 3), np.uint8)
    for number, frame in enumerate(pixels):
        frame[20:40, 3 * number : 3 * number + 20] = (250, 40, 40)
    write_video(folder / "a.mp4", pixels, fps=8)
    write_video(folder / "b.mp4", pixels[::-1], fps=8)
    Image.fromarray(pixels[5]).save(folder / "photo.png")
    return folder
