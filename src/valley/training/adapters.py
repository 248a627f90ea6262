"""LoRA through PEFT: adapters on the layers of some parts, while others are trained whole."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from valley.errors import ConfigError, MissingExtraError
from valley.model.adapter_folder import note_base, weights_sha256
from valley.training.config import LoraSettings, Part
from valley.training.stages import PART_PREFIXES, part_of

_WHOLE = ("multi_modal_projector", "temporal_pooling")
"""Parts that may be trained whole beside adapters; their modules have the same names."""


def need_peft() -> None:
    """Say the pip line before anything is read."""
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError(wanted_by="a recipe with lora", package="peft", extra="lora")


def adapt(model: Any, settings: LoraSettings, parts: Sequence[Part], *, quantised: bool) -> Any:  # noqa: ANN401
    """Put adapters on the parts that `settings` names; the other parts that move are trained whole.

    Returns:
        A `PeftModel`; only what is trained requires gradients.

    Raises:
        ConfigError: a part cannot be trained whole beside adapters, or no layer is adapted.
    """
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    whole: list[Part] = [part for part in parts if part not in settings.parts]
    beyond = [part for part in whole if part not in _WHOLE]
    if beyond:
        raise ConfigError(
            f"lora: {', '.join(beyond)} cannot be trained whole beside adapters; name it in lora.parts"
        )
    if quantised:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    has_weights = [
        part for part in whole if any(True for _ in model.get_submodule(f"model.{part}").parameters())
    ]
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType] - any number, says its use
        lora_dropout=settings.dropout,
        target_modules=_layers(model, settings),
        modules_to_save=has_weights or None,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _layers(model: nn.Module, settings: LoraSettings) -> list[str]:
    """Name the linear layers to adapt: those inside the parts' layers, heads and embeddings aside."""
    names = [
        name
        for name, module in model.named_modules()
        if (isinstance(module, nn.Linear) or "Linear" in type(module).__name__)
        and not name.startswith("lm_head")
        and part_of(f"{name}.weight") in settings.parts
    ]
    if settings.target_modules is not None:
        names = [n for n in names if re.search(settings.target_modules, n)]
    if not names:
        wanted = settings.target_modules or "any linear layer"
        raise ConfigError(f"lora: no layer of {', '.join(settings.parts)} is {wanted}")
    return names


def count_moving(model: nn.Module) -> dict[Part, int]:
    """Count the numbers of each part that move."""
    moving: dict[Part, int] = dict.fromkeys(PART_PREFIXES, 0)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            moving[part_of(name)] += parameter.numel()
    return {part: count for part, count in moving.items() if count}


def note_adapter(folder: Path, *, base: str) -> None:
    """Complete a folder that PEFT has written: say which checkpoint the adapter belongs to."""
    note_base(folder, base, sha256=weights_sha256(base) if Path(base).is_dir() else None)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty form: the card says more
