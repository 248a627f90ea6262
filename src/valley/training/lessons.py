"""Teaching a part of a model before it is put together: one loop, whatever the lesson.

A lesson is a module that turns a batch into named losses. Everything else, the schedule, the checkpoints
and going on after an interruption, is here. Item i of a data set depends on the seed and i alone, so a run
that was killed goes on with exactly the batches it would have had.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from valley.errors import ConfigError
from valley.training.muon import Muon
from valley.training.precision import Bf16, wants_bf16
from valley.training.progress import OnEvent, TrainingEvent, ignore_event
from valley.training.record import RECORD_NAME, versions, write_json

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "checkpoint.pt"
METRICS_NAME = "metrics.jsonl"
REPORT_EVERY_STEPS = 50


class LessonConfig(BaseModel):
    """What every lesson's recipe says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output_dir: Path
    seed: int = 0
    max_steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    # Muon's rate for the matrices inside the layers; None leaves them to AdamW.
    muon_learning_rate: PositiveFloat | None = None
    warmup_steps: PositiveInt = 150
    # The rate stays until this share of the steps, then falls along a cosine.
    constant_share: float = Field(default=0.0, ge=0, lt=1)
    save_every_steps: PositiveInt = 500
    # Matrix products in bfloat16: twice as fast where the processor has them, several times slower where not.
    bf16: Bf16 = False


@dataclass
class LessonResult:
    """What a finished lesson was; `losses` are those of the last step, `curve` holds (step, loss)."""

    output_dir: Path
    num_steps: int = 0
    seconds: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    curve: list[tuple[int, float]] = field(default_factory=list)
    num_bad_media: int = 0

    @property
    def first_loss(self) -> float | None:
        """The first loss of the curve, where there is one."""
        return self.curve[0][1] if self.curve else None

    @property
    def last_loss(self) -> float | None:
        """The last loss of the curve, where there is one."""
        return self.curve[-1][1] if self.curve else None


def begin(config: LessonConfig, *, restart: bool) -> None:
    """Open the output folder; `restart` throws away what is there.

    Raises:
        ConfigError: the run is already finished.
    """
    if restart:
        shutil.rmtree(config.output_dir, ignore_errors=True)
    if (config.output_dir / RECORD_NAME).exists():
        raise ConfigError(
            f"{config.output_dir}: there is already a finished run; restart to replace it, "
            "or choose another output_dir"
        )
    config.output_dir.mkdir(parents=True, exist_ok=True)


def teach(
    lesson: nn.Module,
    dataset: Dataset[Any],
    config: LessonConfig,
    *,
    collate: Callable[[list[Any]], dict[str, Tensor]],
    on_event: OnEvent = ignore_event,
) -> LessonResult:
    """Train a lesson to its last step; continue from the checkpoint in the output folder.

    Args:
        lesson: called with a batch, returns named losses, each a scalar; their sum is what falls.
        dataset: items by number, at least `max_steps * batch_size` of them.
        config: steps, rates, folder.
        collate: makes a batch of items.
        on_event: told of every fresh loss and of the time left.
    """
    checkpoint = config.output_dir / CHECKPOINT_NAME
    optimizers = _optimizers(lesson, config)
    result = LessonResult(config.output_dir, num_steps=_go_on(checkpoint, lesson, optimizers))
    first_step, began_s, bf16 = result.num_steps, time.perf_counter(), wants_bf16(config.bf16)
    for batch in _batches(dataset, config, collate, first_step=first_step):
        losses = _one_step(lesson, optimizers, batch, rate=_rate(result.num_steps, config), bf16=bf16)
        result.num_steps += 1
        result.seconds = time.perf_counter() - began_s
        if result.num_steps % config.save_every_steps == 0:
            _save(checkpoint, result.num_steps, lesson, optimizers)
        if result.num_steps % REPORT_EVERY_STEPS == 0 or result.num_steps == config.max_steps:
            result.losses = {name: loss.item() for name, loss in losses.items()}
            result.curve.append((result.num_steps, sum(result.losses.values())))
            _write_metrics(config.output_dir / METRICS_NAME, result, lesson)
            pace_s = result.seconds / (result.num_steps - first_step)
            on_event(_event("logged", config, result, pace_s * (config.max_steps - result.num_steps)))
    return result


def _write_metrics(path: Path, result: LessonResult, lesson: nn.Module) -> None:
    """Add a line: the losses, and the mean of what the lesson has tallied in `measures` since the last."""
    tallied: dict[str, list[float]] = getattr(lesson, "measures", {})
    means = {name: round(sum(values) / len(values), 4) for name, values in sorted(tallied.items())}
    tallied.clear()
    line = {"step": result.num_steps, "seconds": round(result.seconds, 1), **result.losses, **means}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def finish(config: LessonConfig, result: LessonResult, on_event: OnEvent) -> None:
    """Write the record and remove the checkpoint, which a finished lesson needs no more."""
    record = {
        "config": config.model_dump(mode="json"),
        "versions": versions(),
        "num_steps": result.num_steps,
        "seconds_since_last_start": round(result.seconds, 1),
        "losses": result.losses,
        "curve": result.curve,
    }
    write_json(config.output_dir / RECORD_NAME, record)
    (config.output_dir / CHECKPOINT_NAME).unlink(missing_ok=True)
    on_event(_event("finished", config, result, 0.0, message=str(config.output_dir)))


def _event(
    kind: Literal["logged", "finished"],
    config: LessonConfig,
    result: LessonResult,
    remaining_s: float,
    *,
    message: str = "",
) -> TrainingEvent:
    return TrainingEvent(
        kind,
        result.num_steps,
        config.max_steps,
        loss=result.last_loss,
        elapsed_s=result.seconds,
        remaining_s=remaining_s,
        message=message,
    )


def _batches(
    dataset: Dataset[Any],
    config: LessonConfig,
    collate: Callable[[list[Any]], dict[str, Tensor]],
    *,
    first_step: int,
) -> DataLoader[Any]:
    numbers = range(first_step * config.batch_size, config.max_steps * config.batch_size)
    return DataLoader(
        dataset,
        batch_size=config.batch_size,
        sampler=numbers,
        num_workers=1,
        prefetch_factor=4,
        collate_fn=collate,
    )


def _optimizers(lesson: nn.Module, config: LessonConfig) -> list[torch.optim.Optimizer]:
    matrices = [p for n, p in lesson.named_parameters() if p.ndim == 2 and ".layers." in n]
    muon = set(map(id, matrices)) if config.muon_learning_rate is not None else set()
    rest = [p for p in lesson.parameters() if id(p) not in muon]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    ]
    if config.muon_learning_rate is not None:
        optimizers.append(Muon(matrices, lr=config.muon_learning_rate))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
    return optimizers


def _rate(step: int, config: LessonConfig) -> float:
    """Give the share of the full learning rate at a step: warm up, stay, fall to a hundredth."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    begin = config.constant_share * config.max_steps
    falling = max(0.0, (step - begin) / (config.max_steps - begin))
    return warm * max(0.5 * (1 + math.cos(math.pi * falling)), 0.01)


def _one_step(
    lesson: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    batch: dict[str, Tensor],
    *,
    rate: float,
    bf16: bool,
) -> dict[str, Tensor]:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        losses: dict[str, Tensor] = lesson(batch)
    for optimizer in optimizers:
        optimizer.zero_grad()
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * rate
    torch.stack(list(losses.values())).sum().backward()
    nn.utils.clip_grad_norm_(lesson.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return losses


def _save(path: Path, step: int, lesson: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    part = path.with_name(path.name + ".part")
    state = {"step": step, "lesson": lesson.state_dict(), "optimizers": [o.state_dict() for o in optimizers]}
    torch.save(state, part)
    part.replace(path)


def _go_on(path: Path, lesson: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    lesson.load_state_dict(state["lesson"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    logger.warning("going on from step %d of %s", state["step"], path)
    return int(state["step"])
