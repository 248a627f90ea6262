"""A tiny Valley, composed offline: CLIP tower, Llama, byte-level BPE tokenizer; for every test that needs a model."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that would need the network fails at once

import numpy as np
import pytest
import torch
from tiny_parts import compose_tiny


@pytest.fixture(scope="session")
def _tiny():
    return compose_tiny()


@pytest.fixture
def tiny_model(_tiny):
    """A composed model of random weights, mean pooling, evaluation mode; shared: do not change its weights."""
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
