"""Settings of transformers' Trainer: what a recipe says, completed."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
    is_flytekit_available,
)

from valley.errors import ConfigError
from valley.training.config import TrainConfig
from valley.training.liger import DETAILS, SWITCH
from valley.training.precision import wants_bf16
from valley.training.run_folder import CHECKPOINTS_NAME

logger = logging.getLogger(__name__)

# Names that recipes use, and what newer releases of transformers call the same.
_RENAMED = {
    "gradient_checkpointing": "activation_checkpointing",
    "gradient_checkpointing_kwargs": "activation_checkpointing_kwargs",
}


# Packages that are not called as transformers calls what they do.
_PACKAGES = {"azure_ml": "azureml-core", "comet_ml": "comet-ml", "flyte": "flytekit"}


def need_boards(config: TrainConfig) -> None:
    """Say what is missing for `trainer.report_to` before anything is read.

    Raises:
        ConfigError: transformers knows no such place, or its package is not installed.
    """
    known = [*INTEGRATION_TO_CALLBACK, "none", "all"]
    for name in _boards_told(config):
        if name not in known:
            raise ConfigError(f"trainer.report_to: want any of {', '.join(known)}, got {name}")
        package = _PACKAGES.get(name, name)
        # Without TensorBoard a run warns and goes on: it is the default.
        if name not in ("none", "all", "tensorboard", *_boards_there()):
            raise ConfigError(f"trainer.report_to: {name} needs the package {package}: pip install {package}")


def _boards_there() -> list[str]:
    there = get_available_reporting_integrations()
    return [*there, "flyte"] if is_flytekit_available() else there


def _boards_told(config: TrainConfig) -> list[str]:
    told = config.trainer.get("report_to", "tensorboard")
    return [told] if isinstance(told, str) else list(told)


def training_arguments(config: TrainConfig, folder: Path) -> tuple[TrainingArguments, list[Any]]:
    """Complete a recipe's trainer settings; also the callbacks that draw curves elsewhere.

    Raises:
        ConfigError: transformers knows no such setting, or it contradicts another.
    """
    known = [field.name for field in dataclasses.fields(TrainingArguments)]
    for name in config.trainer:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"trainer.{name}: transformers.TrainingArguments has no such setting{hint}")
    on_cpu = not torch.accelerator.is_available()
    told = _boards_told(config)
    settings: dict[str, Any] = {
        "logging_steps": 10,
        "save_steps": 500,
        "save_total_limit": 2,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        **{name: value for name, value in config.trainer.items() if name not in (SWITCH, DETAILS)},
        "report_to": [name for name in told if name != "tensorboard"] or "none",
        "bf16": wants_bf16(config.trainer.get("bf16", False)),
        "output_dir": str(folder / CHECKPOINTS_NAME),
        "seed": config.seed,
        "learning_rate": max(config.part_learning_rates.values()),
        "remove_unused_columns": False,
        "disable_tqdm": True,
    }
    if config.group_by_length:
        settings["train_sampling_strategy"] = "sequential"  # the data set has the order
    for old, new in _RENAMED.items():
        if old in settings and new in known:
            settings[new] = settings.pop(old)
    try:
        arguments = TrainingArguments(**settings)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"trainer: {error}") from error
    is_main = arguments.process_index == 0
    return arguments, _boards(folder) if "tensorboard" in told and is_main else []


def _boards(folder: Path) -> list[Any]:
    """Write TensorBoard's files into the run's own folder, where the package is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.warning("no TensorBoard files are written: pip install 'valley-vl[train]'")
        return []
    from transformers.integrations.integration_utils import TensorBoardCallback

    return [TensorBoardCallback(SummaryWriter(str(folder / "tensorboard")))]
