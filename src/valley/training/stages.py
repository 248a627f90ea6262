"""Which parameters move in a stage, and how fast: freezing, and an optimizer with a learning rate per part.

Parameters are frozen, never modules: `module.requires_grad = False` only sets an attribute that nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from valley.errors import ConfigError
from valley.training.config import Part

# A part's parameters by the beginning of their names in ValleyForConditionalGeneration.
PART_PREFIXES: dict[Part, tuple[str, ...]] = {
    "vision_tower": ("model.vision_tower.",),
    "multi_modal_projector": ("model.multi_modal_projector.",),
    "temporal_pooling": ("model.temporal_pooling.",),
    "language_model": ("model.language_model.", "lm_head."),
}


def part_of(parameter_name: str) -> Part:
    """Name the part to which a parameter belongs.

    Raises:
        ConfigError: it belongs to none, so the model is not a Valley.
    """
    for part, prefixes in PART_PREFIXES.items():
        if parameter_name.startswith(prefixes):
            return part
    raise ConfigError(f"parameter {parameter_name} belongs to none of {', '.join(PART_PREFIXES)}")


def freeze_all_but(model: nn.Module, parts: tuple[Part, ...]) -> dict[Part, int]:
    """Let only the parameters of `parts` move; return how many numbers of each part do.

    Raises:
        ConfigError: nothing would move.
    """
    moving: dict[Part, int] = dict.fromkeys(parts, 0)
    for name, parameter in model.named_parameters():
        part = part_of(name)
        parameter.requires_grad_(part in moving)
        if part in moving:
            moving[part] += parameter.numel()
    if not any(moving.values()):
        raise ConfigError(f"nothing to train: this model has no parameters in {', '.join(parts)}")
    return {part: count for part, count in moving.items() if count}


def parameter_groups(
    model: nn.Module, *, learning_rates: Mapping[Part, float], weight_decay: float
) -> list[dict[str, Any]]:
    """Group the parameters that move by part, and by whether weight decay applies.

    Decay pulls matrices and filters; biases, norms (one-dimensional) and embedding tables are left alone.
    """
    embeddings = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters()
    }
    groups: dict[tuple[Part, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim >= 2 and id(parameter) not in embeddings
            groups.setdefault((part_of(name), decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "part": part,
            "lr": learning_rates[part],
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (part, decays), parameters in groups.items()
    ]


class PartwiseAdamW:
    """An optimizer factory for transformers.Trainer: AdamW whose groups are the model's parts.

    Trainer calls ``PartwiseAdamW()(model, **kwargs)`` once the model is where it will be trained.
    """

    def __call__(
        self,
        model: nn.Module,
        *,
        learning_rates: Mapping[Part, float],
        weight_decay: float,
        betas: tuple[float, float],
        eps: float,
        fused: bool,
    ) -> torch.optim.AdamW:
        """Make the optimizer for the parameters of `model` that move."""
        groups = parameter_groups(model, learning_rates=learning_rates, weight_decay=weight_decay)
        # The default rate is what schedules with a floor measure themselves against.
        return torch.optim.AdamW(groups, lr=max(learning_rates.values()), betas=betas, eps=eps, fused=fused)
