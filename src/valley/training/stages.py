"""Which parameters move in a stage.

Parameters are frozen, never modules: `module.requires_grad = False` only sets an attribute that nobody reads.
"""

from __future__ import annotations

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


_ADAPTED = "base_model.model."  # what PEFT puts before the names of a model with adapters


def part_of(parameter_name: str) -> Part:
    """Name the part to which a parameter belongs.

    Raises:
        ConfigError: it belongs to none, so the model is not a Valley.
    """
    name = parameter_name.removeprefix(_ADAPTED)
    for part, prefixes in PART_PREFIXES.items():
        if name.startswith(prefixes):
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
