"""LoRA adapters beside published checkpoints: read, merged into weights, written for other module names."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from .checkpoint_files import CheckpointFiles, Weights, read_tensors
from .errors_valley import PartsError

_ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_LORA_KEY = re.compile(r"base_model\.model\.(.*)\.lora_([AB])(?:\.default)?\.weight")


class Adapter:
    """A LoRA adapter as PEFT writes it: products of two thin matrices that are added to weights.

    Attributes:
        settings: adapter_config.json.
        pairs: name of the weight -> (A f[rank in], B f[out rank]).
        scale: of the products.
    """

    def __init__(self, files: CheckpointFiles) -> None:
        self.files = files
        self.settings = files.json("adapter_config.json")
        self._refuse_what_is_not_merged()
        name = next((n for n in _ADAPTER_FILES if files.find(n) is not None), None)
        if name is None:
            raise PartsError(f"{files.source}: has no adapter (one of {', '.join(_ADAPTER_FILES)})")
        self.pairs = self._pairs(read_tensors(files.path(name)))
        rank = self.settings["r"]
        self.scale = self.settings["lora_alpha"] / (
            math.sqrt(rank) if self.settings.get("use_rslora") else rank
        )

    def save(self, folder: Path, modules: Mapping[str, str]) -> None:
        """Write the adapter for other module names, as PEFT reads it.

        Args:
            folder: is made.
            modules: name of an adapted weight -> its module in the converted model.
        """
        folder.mkdir()
        kept = {
            n: self.settings[n]
            for n in ("r", "lora_alpha", "lora_dropout", "use_rslora")
            if n in self.settings
        }
        settings = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "bias": "none",
            "inference_mode": True,
            "base_model_name_or_path": None,
            "target_modules": [modules[name] for name in self.pairs],
            **kept,
        }
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        tensors = {
            f"base_model.model.{modules[name]}.lora_{half}.weight": tensor.contiguous()
            for name, pair in self.pairs.items()
            for half, tensor in zip("AB", pair, strict=True)
        }
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})

    def _refuse_what_is_not_merged(self) -> None:
        settings = self.settings
        wanted = {"peft_type": "LORA", "bias": "none", "modules_to_save": None, "use_dora": False}
        other = [f"{n} {settings[n]!r}" for n, value in wanted.items() if (settings.get(n) or value) != value]
        if other or "r" not in settings or "lora_alpha" not in settings:
            raise PartsError(
                f"{self.files.source}: want a plain LoRA adapter (r, lora_alpha, no biases), got "
                + (", ".join(other) or "none of its settings")
            )

    def _pairs(self, tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        halves: dict[str, dict[str, Tensor]] = {}
        unknown = []
        for key, tensor in tensors.items():
            found = _LORA_KEY.fullmatch(key)
            if found is None:
                unknown.append(key)
            else:
                halves.setdefault(f"{found[1]}.weight", {})[found[2]] = tensor
        unknown += [name for name, pair in halves.items() if set(pair) != {"A", "B"}]
        if unknown:
            raise PartsError(f"{self.files.source}: no pairs of LoRA matrices: {', '.join(sorted(unknown))}")
        return {name: (pair["A"], pair["B"]) for name, pair in halves.items()}


class AdaptedWeights:
    """A checkpoint with an adapter merged in; what is adapted is kept in the wider of the two types."""

    def __init__(self, weights: Weights, adapter: Adapter) -> None:
        self.weights, self.adapter = weights, adapter
        shapes = weights.shapes()
        wrong = [
            f"{name}: {tuple(b.shape)[:1] + tuple(a.shape)[1:]} to {shapes.get(name, 'nothing')}"
            for name, (a, b) in adapter.pairs.items()
            if shapes.get(name) != (b.shape[0], a.shape[1])
        ]
        if wrong:
            raise PartsError(f"{adapter.files.source}: does not fit the base: {'; '.join(wrong)}")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Give name and shape of every weight."""
        return self.weights.shapes()

    def tensors(self, wanted: set[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield the weights, adapted where the adapter says so."""
        for name, tensor in self.weights.tensors(wanted):
            if name not in self.adapter.pairs:
                yield name, tensor
                continue
            a, b = self.adapter.pairs[name]
            adapted = tensor.float() + self.adapter.scale * (b.float() @ a.float())
            yield name, adapted.to(torch.promote_types(tensor.dtype, a.dtype))
