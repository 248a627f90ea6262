"""The model and processor a recipe names: a Valley checkpoint, or a vision tower and an LLM put together."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from valley.errors import ConfigError
from valley.model.composing_valley import compose
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.training.config import COMPOSING_SETTINGS, ModelSettings

POOLING_NAME = "temporal_pooling.safetensors"
"""Where a run that teaches a temporal pooling alone leaves it."""


def load_or_compose(settings: ModelSettings) -> tuple[ValleyForConditionalGeneration, ValleyProcessor]:
    """Load a checkpoint, or compose a new model; in the dtype in which it is trained.

    Raises:
        OSError: a folder or hub id cannot be loaded (transformers' own error).
        ConfigError: the parts or the pooling's weights do not fit together.
    """
    dtype = getattr(torch, settings.dtype)
    if settings.checkpoint is not None:
        model = ValleyForConditionalGeneration.from_pretrained(settings.checkpoint, dtype=dtype)
        processor = ValleyProcessor.from_pretrained(settings.checkpoint)
    else:
        chosen = {name: getattr(settings, name) for name in COMPOSING_SETTINGS}
        model, processor = compose(**{name: value for name, value in chosen.items() if value is not None})
        if settings.temporal_pooling_weights is not None:
            _load_pooling(model, settings.temporal_pooling_weights)
        model.to(dtype)
    if settings.attn_implementation is not None:
        model.set_attn_implementation(settings.attn_implementation)
    return model, processor


def _load_pooling(model: ValleyForConditionalGeneration, folder: Path) -> None:
    path = folder / POOLING_NAME
    if not path.is_file():
        raise ConfigError(f"temporal_pooling_weights: want a folder with {POOLING_NAME}, got {folder}")
    pooling = model.model.temporal_pooling
    known, given = pooling.state_dict(), load_file(path)
    if {n: t.shape for n, t in known.items()} != {n: t.shape for n, t in given.items()}:
        raise ConfigError(
            f"{path}: these are not the weights of a {model.config.temporal_pooling!r} pooling with "
            f"{model.config.temporal_pooling_config} of width {pooling.dim}; "
            "state the temporal_pooling and temporal_pooling_config that they were taught with"
        )
    pooling.load_state_dict(given)
