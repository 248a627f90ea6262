"""Merge an adapter into its base."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from valley.errors import ConfigError
from valley.model.adapter_folder import base_of, is_adapter, load_adapted
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.training.adapters import need_peft


def merge(adapter: Path, out: Path, *, base: str | None = None, dtype: str = "float32") -> None:
    """Write a standard checkpoint: the base, in this type, with the adapter in its weights.

    The folder appears when it is whole.

    Args:
        adapter: folder of a LoRA or QLoRA run.
        out: where the checkpoint goes.
        base: where the adapter's base lies now; where it was when it was trained, unless given.
        dtype: of the weights.

    Raises:
        ConfigError: there is no adapter, the base is not the one it was trained on, or `out` exists.
    """
    if not is_adapter(adapter):
        raise ConfigError(f"{adapter}: want a folder with an adapter (adapter_config.json), got none")
    if out.exists():
        raise ConfigError(f"{out}: is there already; name a new folder")
    if dtype not in ("float32", "bfloat16", "float16"):
        raise ConfigError(f"dtype {dtype}: want float32, bfloat16 or float16 for a merged checkpoint")
    need_peft()
    model = ValleyForConditionalGeneration.from_pretrained(
        base_of(adapter, base=base), dtype=getattr(torch, dtype)
    )
    merged = load_adapted(adapter, model).merge_and_unload()
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    merged.save_pretrained(part)
    ValleyProcessor.from_pretrained(adapter).save_pretrained(part)
    part.rename(out)
