"""The language model's layers in eight or four bits, by bitsandbytes; everything else keeps its precision."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from valley.errors import ConfigError, MissingExtraError

QUANTISED = ("int8", "int4")
# What keeps its precision: the eyes, where it is cheap and errors spread, and the head.
_NOT_QUANTISED = ["model.vision_tower", "model.multi_modal_projector", "model.temporal_pooling", "lm_head"]


def quantisation(dtype: object, device: torch.device) -> dict[str, Any]:
    """Give what `from_pretrained` has to be told so that the layers are quantised, if they are to be.

    Raises:
        ConfigError: bitsandbytes does not run on this device.
        MissingExtraError: it is not installed.
    """
    if dtype not in QUANTISED:
        return {}
    if device.type not in ("cpu", "cuda", "xpu"):
        raise ConfigError(f"dtype {dtype}: bitsandbytes runs on cpu, cuda and xpu, not on {device.type}")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError(wanted_by=f"dtype {dtype}", package="bitsandbytes", extra="quantize")
    from transformers import BitsAndBytesConfig

    how = {
        "int8": {"load_in_8bit": True},
        "int4": {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": torch.bfloat16,
        },
    }
    config = BitsAndBytesConfig(**how[str(dtype)], llm_int8_skip_modules=_NOT_QUANTISED)
    return {"quantization_config": config, "device_map": {"": device}}
