"""The model and processor a recipe names: a Valley checkpoint, or a vision tower and an LLM put together."""

from __future__ import annotations

from pathlib import Path

import torch

from valley.errors import ConfigError
from valley.model.adapter_folder import is_adapter
from valley.model.composing_valley import compose
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.model.quantising import quantisation
from valley.training.config import COMPOSING_SETTINGS, ModelSettings
from valley.training.handing_on import load_pooling, load_projector, load_published_projector


def load_or_compose(settings: ModelSettings) -> tuple[ValleyForConditionalGeneration, ValleyProcessor]:
    """Load a checkpoint, or compose a new model; in the dtype in which it is trained.

    Raises:
        OSError: a folder or hub id cannot be loaded (transformers' own error).
        ConfigError: the parts, or what lessons left of pooling and projector, do not fit together.
    """
    dtype = getattr(torch, settings.dtype)
    if settings.checkpoint is not None and is_adapter(settings.checkpoint):
        raise ConfigError(
            f"{settings.checkpoint}: is an adapter, and no checkpoint to go on from; "
            f"merge it first: valley merge {settings.checkpoint} MERGED"
        )
    if settings.checkpoint is not None:
        model = ValleyForConditionalGeneration.from_pretrained(
            settings.checkpoint, dtype=dtype, **quantisation(settings.quantize, training_device())
        )
        processor = ValleyProcessor.from_pretrained(settings.checkpoint)
    else:
        chosen = {name: getattr(settings, name) for name in COMPOSING_SETTINGS}
        model, processor = compose(**{name: value for name, value in chosen.items() if value is not None})
        if settings.temporal_pooling_weights is not None:
            load_pooling(model, settings.temporal_pooling_weights)
        if settings.projector_from_lessons:
            load_projector(model, Path(str(settings.vision_tower)), Path(str(settings.language_model)))
        if settings.projector_weights is not None:
            load_published_projector(model, settings.projector_weights)
        model.to(dtype)
    if settings.attn_implementation is not None:
        model.set_attn_implementation(settings.attn_implementation)
    return model, processor


def training_device() -> torch.device:
    """Give the device on which a run computes."""
    return torch.accelerator.current_accelerator() or torch.device("cpu")
