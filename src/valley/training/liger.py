"""Liger's kernels for the layers of the language model inside a Valley.

transformers' own switch looks at the type of the whole model, which Liger does not know, and then nothing is
done, without a word. The head stands outside of the language model here, so the kernels that fuse it with the
loss are left out.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from valley.errors import ConfigError
from valley.training.config import TrainConfig

SWITCH, DETAILS = "use_liger_kernel", "liger_kernel_config"
"""What transformers calls the settings; they are not handed to it."""

_LOSSES = ("cross_entropy", "fused_linear_cross_entropy")


def need_liger(config: TrainConfig) -> None:
    """Say what is missing before anything is read, where a recipe wants the kernels.

    Raises:
        ConfigError: the package is absent, or a kernel is asked for that replaces the loss.
    """
    if not config.trainer.get(SWITCH):
        return
    for name in _LOSSES:
        if (config.trainer.get(DETAILS) or {}).get(name):
            raise ConfigError(
                f"trainer.{DETAILS}.{name} would replace the loss over the assistant's words; leave it out"
            )
    if importlib.util.find_spec("liger_kernel") is None:
        raise ConfigError(f"trainer.{SWITCH} needs the package liger-kernel: pip install liger-kernel")


def put_liger_in(language_model: Any, config: TrainConfig) -> None:  # noqa: ANN401
    """Put the kernels into a language model without head, where the recipe wants them.

    Raises:
        ConfigError: Liger has none for a model of this type.
    """
    if not config.trainer.get(SWITCH):
        return
    from liger_kernel.transformers.monkey_patch import (  # pyright: ignore[reportMissingImports]
        MODEL_TYPE_TO_APPLY_LIGER_FN,
        _apply_liger_kernel_to_instance,
    )

    model_type = language_model.config.model_type
    if model_type not in MODEL_TYPE_TO_APPLY_LIGER_FN:
        raise ConfigError(
            f"trainer.{SWITCH}: this liger-kernel has nothing for a language model of the type {model_type}; "
            "leave it out, or install a newer one"
        )
    details = {**(config.trainer.get(DETAILS) or {}), **dict.fromkeys(_LOSSES, False)}
    _apply_liger_kernel_to_instance(model=language_model, **details)
