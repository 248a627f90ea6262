"""What a run would take, before it is begun: numbers that move, tokens, memory, steps and their time."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from valley.training.config import TrainConfig
from valley.training.precision import wants_bf16
from valley.training.preparing import Prepared, prepare
from valley.training.progress import ignore_event
from valley.training.run import make_trainer
from valley.training.watching import StopAsked

TRIAL_STEPS = 3
# Bytes of activations that a token and a hidden number take in one layer, in half precision, attention not
# stored (Korthikanti et al. 2022, Reducing Activation Recomputation, section 4.1); checkpointed, the inputs.
_ACTIVATION_BYTES, _CHECKPOINTED_BYTES = 34, 2


@dataclass(frozen=True)
class TrainingPlan:
    """What a run would take.

    Attributes:
        parameters: numbers of each part.
        trainable: of them, those that move.
        num_samples: in one epoch.
        num_steps: of the whole run.
        tokens_per_step: of all processes, in the trial steps.
        visual_tokens_per_step: of them, those that stand for media.
        weights_bytes: of one process, everything in memory at once.
        gradients_bytes: likewise.
        optimizer_bytes: likewise.
        activations_bytes: an estimate; measured on an accelerator.
        seconds_per_step: after the first of three trial steps.
        total_s: at that pace.
    """

    parameters: dict[str, int]
    trainable: dict[str, int]
    num_samples: int
    num_steps: int
    tokens_per_step: int
    visual_tokens_per_step: int
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    seconds_per_step: float
    total_s: float

    @property
    def total_bytes(self) -> int:
        """Memory in all."""
        return self.weights_bytes + self.gradients_bytes + self.optimizer_bytes + self.activations_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return what `valley train --plan --json` prints."""
        return {**asdict(self), "total_bytes": self.total_bytes}


def make_plan(config: TrainConfig) -> TrainingPlan:
    """Try three steps in a folder that is thrown away; nothing is written to `output_dir`.

    Raises:
        ConfigError: a setting does not fit.
        SampleError: a sample cannot be made.
    """
    with tempfile.TemporaryDirectory() as work:
        trial = config.model_copy(
            update={
                "output_dir": Path(work) / "trial",
                "report": False,
                "feature_cache": config.feature_cache.model_copy(update={"use": "never"}),
                "trainer": {
                    **config.trainer,
                    "max_steps": TRIAL_STEPS,
                    "report_to": "none",
                    "save_strategy": "no",
                },
            }
        )
        set_seed(config.seed)
        prepared = prepare(trial, Path(work))
        trainer = make_trainer(trial, prepared, Path(work), ignore_event, StopAsked())
        pace = _Pace(prepared)
        trainer.add_callback(pace.callback())
        trainer.train()
        return _plan(config, prepared, trainer, pace)


class _Pace:
    """Takes the time of the steps behind the first, which compiles and fills caches."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared, self.ends_s = prepared, []

    def callback(self) -> Any:  # noqa: ANN401
        from transformers import TrainerCallback

        ends_s = self.ends_s

        class Take(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
                ends_s.append(time.perf_counter())

        return Take()

    @property
    def seconds(self) -> float:
        """Give the mean of a step."""
        return (self.ends_s[-1] - self.ends_s[0]) / max(1, len(self.ends_s) - 1)


def _plan(config: TrainConfig, prepared: Prepared, trainer: Any, pace: _Pace) -> TrainingPlan:  # noqa: ANN401
    from valley.training.record import count_parameters

    arguments, counter = trainer.args, prepared.counter
    steps = num_steps(
        config,
        num_samples=len(prepared.dataset),
        batch=arguments.per_device_train_batch_size
        * arguments.gradient_accumulation_steps
        * arguments.world_size,
    )
    moving = [p for p in prepared.network.parameters() if p.requires_grad]
    gradients = sum(p.numel() * p.element_size() for p in moving)
    tokens = counter.num_tokens * arguments.world_size // TRIAL_STEPS
    return TrainingPlan(
        parameters=count_parameters(prepared.network),
        trainable={str(part): count for part, count in prepared.moving.items()},
        num_samples=len(prepared.dataset),
        num_steps=steps,
        tokens_per_step=tokens,
        visual_tokens_per_step=counter.num_visual_tokens * arguments.world_size // TRIAL_STEPS,
        weights_bytes=sum(p.numel() * p.element_size() for p in prepared.network.parameters()),
        gradients_bytes=gradients,
        optimizer_bytes=sum(
            value.numel() * value.element_size()
            for state in trainer.optimizer.state.values()
            for value in state.values()
            if isinstance(value, torch.Tensor)
        ),
        activations_bytes=_activations(
            config, prepared, tokens // max(1, arguments.gradient_accumulation_steps)
        ),
        seconds_per_step=round(pace.seconds, 4),
        total_s=round(pace.seconds * steps, 1),
    )


def num_steps(config: TrainConfig, *, num_samples: int, batch: int) -> int:
    """Count the optimizer steps of a run whose steps see `batch` samples."""
    told = config.trainer.get("max_steps", -1)
    if told > 0:
        return told
    return math.ceil(math.ceil(num_samples / batch) * float(config.trainer.get("num_train_epochs", 3)))


def _activations(config: TrainConfig, prepared: Prepared, tokens: int) -> int:
    if torch.accelerator.is_available():
        held = sum(p.numel() * p.element_size() for p in prepared.network.parameters())
        return max(0, int(torch.accelerator.max_memory_allocated()) - held)
    text = prepared.model.config.text_config
    kept = _CHECKPOINTED_BYTES if config.trainer.get("gradient_checkpointing") else _ACTIVATION_BYTES
    half = wants_bf16(config.trainer.get("bf16", False)) or config.trainer.get("fp16", False)
    logits = 4 * tokens * text.vocab_size
    return tokens * text.hidden_size * text.num_hidden_layers * kept * (1 if half else 2) + logits
