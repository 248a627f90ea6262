"""What looks on while a run trains: tokens are counted, Ctrl-C is heard, a step that hangs is named."""

# ruff: noqa: ANN401 - the callbacks have the signatures that transformers gives them

from __future__ import annotations

import contextlib
import logging
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

logger = logging.getLogger(__name__)

# A step is suspicious after so many times the usual, and never before so many seconds.
SLOW_FACTOR = 10.0
SLOW_S = 120.0
# Interrupts that follow each other more closely than this are one press of Ctrl-C.
SAME_PRESS_S = 1.0


@dataclass
class BatchCounter:
    """Counts the tokens that pass through a model, and remembers which samples are in it now.

    Attributes:
        num_tokens: prompt and answer, padding aside.
        num_visual_tokens: of them, those that stand for media.
        samples: numbers of the samples of the newest batch.
    """

    num_tokens: int = 0
    num_visual_tokens: int = 0
    samples: list[int] = field(default_factory=list)

    def watch(self, model: Any) -> None:
        """Look at every batch that is trained on, and keep the samples' numbers from the network."""
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _model: Any, args: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        numbers = inputs.pop("sample_numbers", None)
        if inputs.get("labels") is not None:
            self.samples = [] if numbers is None else numbers.tolist()
            mask, types = inputs.get("attention_mask"), inputs.get("mm_token_type_ids")
            self.num_tokens += int(mask.sum()) if mask is not None else inputs["input_ids"].numel()
            self.num_visual_tokens += 0 if types is None else int((types > 0).sum())
        return args, inputs


@dataclass
class StopAsked:
    """Whether somebody pressed Ctrl-C.

    Attributes:
        asked: in this process.
        agreed: in any, and all have heard of it at the end of the same step.
    """

    asked: bool = False
    agreed: bool = False


@contextlib.contextmanager
def hear_interrupt() -> Iterator[StopAsked]:
    """Turn the first Ctrl-C into a wish that is heard at the end of a step; the second one breaks off.

    A launcher such as torchrun hands on what its processes have heard from the terminal: that is one press.
    """
    stop = StopAsked()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    usual = signal.getsignal(signal.SIGINT)

    heard_s: list[float] = []

    def hear(_signal: int, _frame: Any) -> None:
        stop.asked = True
        heard_s.append(time.monotonic())
        if heard_s[-1] - heard_s[0] > SAME_PRESS_S:
            signal.signal(signal.SIGINT, usual)
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, hear)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, usual)


class TrainedError(Exception):
    """All steps are done already: what is left is to save them."""


class TrainedCallback(TrainerCallback):
    """Ends a run that goes on from its last step: the Trainer would make one more."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the Trainer once it has the weights of the checkpoint.

        Raises:
            TrainedError: there is no step left.
        """
        if state.global_step >= state.max_steps:
            raise TrainedError


class StopCallback(TrainerCallback):
    """Saves and stops after the step in which it was asked for, all processes after the same one."""

    def __init__(self, stop: StopAsked) -> None:
        self.stop = stop

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Act on the wish of any process."""
        if state.global_step >= state.max_steps:
            return
        wish = torch.tensor(int(self.stop.asked), device=args.device)
        if args.world_size > 1:
            torch.distributed.all_reduce(wish, torch.distributed.ReduceOp.MAX)
        self.stop.agreed = bool(wish)
        if self.stop.agreed:
            control.should_save = control.should_training_stop = True


class Watchdog(TrainerCallback):
    """Says which rank hangs, in which step and over which samples, when one takes far longer than usual."""

    def __init__(self, counter: BatchCounter, *, slow_s: float | int = SLOW_S) -> None:
        self.counter, self.slow_s = counter, slow_s
        self._lengths_s: list[float] = []
        self._begun_s = self._step = 0
        self._warned = -1
        self._over = threading.Event()
        self._rank = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin to look."""
        self._rank, self._begun_s, self._step = args.process_index, time.monotonic(), state.global_step
        threading.Thread(target=self._look, daemon=True).start()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the time of a step."""
        now_s = time.monotonic()
        self._lengths_s.append(now_s - self._begun_s)
        self._begun_s, self._step = now_s, state.global_step

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look no more."""
        self._over.set()

    def limit_s(self) -> float:
        """Say how long a step may take now."""
        usual_s = statistics.median(self._lengths_s[-50:]) if self._lengths_s else 0.0
        return max(float(self.slow_s), SLOW_FACTOR * usual_s)

    def _look(self) -> None:
        while not self._over.wait(min(5.0, self.slow_s / 4)):
            waited_s = time.monotonic() - self._begun_s
            if waited_s > self.limit_s() and self._warned != self._step:
                self._warned = self._step
                logger.warning(
                    "rank %d: step %d has taken %.0f s; the last batch that the model got held samples %s",
                    self._rank,
                    self._step + 1,
                    waited_s,
                    self.counter.samples or "that are not known",
                )
