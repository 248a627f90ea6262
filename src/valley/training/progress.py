"""What a run tells whoever watches it, and the curve it writes down. Prints nothing itself."""

# ruff: noqa: ANN401 - the callbacks have the signatures that transformers gives them

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from valley.training.watching import BatchCounter
from valley.whole_files import write_whole


@dataclass(frozen=True)
class TrainingEvent:
    """One thing that happened in a run.

    Attributes:
        kind: "started", "step" (an optimizer step is done), "logged" (a fresh loss), "saved" or "finished".
        step: optimizer steps done, of `max_steps`.
        loss: mean loss over the steps since the last one logged; the newest known.
        tokens_per_s: of all processes, since the loss before was logged; None before the first.
        visual_tokens_per_s: of them, those that stand for media.
        learning_rates: the present rate of every part.
        elapsed_s: since training started or went on.
        remaining_s: until the last step at the present pace; None before the first step.
        message: one sentence for a person, where there is something to say.
    """

    kind: Literal["started", "step", "logged", "saved", "finished"]
    step: int
    max_steps: int
    loss: float | None = None
    tokens_per_s: float | None = None
    visual_tokens_per_s: float | None = None
    learning_rates: dict[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0
    remaining_s: float | None = None
    message: str = ""


OnEvent: TypeAlias = Callable[[TrainingEvent], None]


def ignore_event(event: TrainingEvent) -> None:
    """Watch nothing."""


class ProgressCallback(TrainerCallback):
    """Turn the trainer's callbacks into events and into lines of `metrics.jsonl`."""

    def __init__(self, on_event: OnEvent, metrics_path: Path, counter: BatchCounter | None = None) -> None:
        self.on_event = on_event
        self.metrics_path = metrics_path
        self.counter = counter or BatchCounter()
        self.speeds: dict[str, float] = {}
        self._counted = (0.0, 0, 0)
        self.loss: float | None = None
        self._started_s = 0.0
        self._first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the time, and drop what an interrupted run wrote after its last checkpoint."""
        self._started_s = time.perf_counter()
        self._counted = (self._started_s, self.counter.num_tokens, self.counter.num_visual_tokens)
        self._first_step = state.global_step
        if state.is_world_process_zero:
            _keep_steps_up_to(self.metrics_path, state.global_step)
        going_on = f", going on after step {state.global_step}" if state.global_step else ""
        if state.is_world_process_zero:
            self.on_event(self._event("started", state, message=f"{state.max_steps} steps{going_on}"))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report the step and the time left."""
        self.on_event(self._event("step", state))

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the loss down; the trainer's closing summary has none and is left out."""
        logs: dict[str, float] = kwargs["logs"]
        if "loss" not in logs:
            return
        self.loss = float(logs["loss"])
        self._take_speeds(args.world_size)
        event = self._event("logged", state, learning_rates=_rates(kwargs["optimizer"]))
        record = {
            "step": event.step,
            "loss": event.loss,
            "grad_norm": logs.get("grad_norm"),
            "learning_rates": event.learning_rates,
            "epoch": state.epoch,
            **{name: round(value, 1) for name, value in self.speeds.items()},
            "elapsed_s": round(event.elapsed_s, 3),
        }
        if state.is_world_process_zero:
            self._write(record)
        self.on_event(event)

    def _take_speeds(self, num_processes: int) -> None:
        """Say how many tokens a second were trained on since the last time, all processes together."""
        now = (time.perf_counter(), self.counter.num_tokens, self.counter.num_visual_tokens)
        seconds = max(now[0] - self._counted[0], 1e-9)
        self.speeds = {
            name: num_processes * (now[i] - self._counted[i]) / seconds
            for i, name in ((1, "tokens_per_s"), (2, "visual_tokens_per_s"))
        }
        self._counted = now

    def _write(self, record: dict[str, Any]) -> None:
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report a checkpoint."""
        self.on_event(self._event("saved", state))

    def _event(self, kind: Any, state: TrainerState, **more: Any) -> TrainingEvent:
        elapsed_s = time.perf_counter() - self._started_s
        done = state.global_step - self._first_step
        remaining_s = elapsed_s / done * (state.max_steps - state.global_step) if done else None
        return TrainingEvent(
            kind,
            state.global_step,
            state.max_steps,
            loss=self.loss,
            **self.speeds,
            elapsed_s=elapsed_s,
            remaining_s=remaining_s,
            **more,
        )


def _rates(optimizer: Any) -> dict[str, float]:
    return {group["part"]: float(group["lr"]) for group in optimizer.param_groups}


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a curve; a last line torn by a kill is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _keep_steps_up_to(path: Path, step: int) -> None:
    kept = [json.dumps(record) + "\n" for record in read_metrics(path) if record["step"] <= step]
    write_whole(path, "".join(kept))


def event_record(event: TrainingEvent) -> dict[str, Any]:
    """Turn an event into a JSON-ready object."""
    return asdict(event)
