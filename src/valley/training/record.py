"""What a finished run leaves beside its weights so that it can be repeated: `training.json`."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections import Counter
from pathlib import Path
from typing import Any

from torch import nn

from valley.training.config import TrainConfig
from valley.training.stages import part_of
from valley.whole_files import write_whole

RECORD_NAME = "training.json"
SETTINGS_NAME = "settings.json"
_PACKAGES = ("valley-vl", "torch", "transformers", "tokenizers", "accelerate", "av", "numpy")

# Settings that change neither a weight nor the order of the data: they may differ when a run goes on.
_HARMLESS = {
    "trainer.save_steps",
    "trainer.save_total_limit",
    "trainer.logging_steps",
    "trainer.report_to",
    "trainer.dataloader_num_workers",
    "trainer.dataloader_persistent_workers",
    "trainer.dataloader_prefetch_factor",
    "keep_checkpoints",
}


def versions() -> dict[str, str]:
    """Name the version of everything that has a say in the numbers."""
    found = {package: importlib.metadata.version(package) for package in _PACKAGES}
    return {"python": platform.python_version(), **found}


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Count the numbers in each part of the model, moving or not."""
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        counts[part_of(name)] += parameter.numel()
    return dict(counts)


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a record through a temporary name."""
    write_whole(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def changed_settings(old: dict[str, Any], config: TrainConfig) -> list[str]:
    """Name the settings in which a config differs from the one with which a run was started."""
    before, now = _flat(old), _flat(config.model_dump(mode="json"))
    names = before.keys() | now.keys()
    return sorted(n for n in names if before.get(n) != now.get(n) and n not in _HARMLESS)


def _flat(value: Any, name: str = "") -> dict[str, Any]:  # noqa: ANN401
    entries: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        entries = [(str(k), v) for k, v in value.items()]
    elif isinstance(value, list):
        entries = [(str(i), v) for i, v in enumerate(value)]
    if not entries:
        return {name: value}
    flat: dict[str, Any] = {}
    for key, entry in entries:
        flat |= _flat(entry, f"{name}.{key}" if name else key)
    return flat
