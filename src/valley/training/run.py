"""A training run, from a recipe to a checkpoint, as named acts.

While a run is going on, everything it writes is in `<output_dir>.unfinished`; at the end this folder gets
its final name in one step. So `output_dir` exists if and only if the run is finished, and an interrupted run
goes on from its last whole checkpoint when it is started again.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from safetensors import SafetensorError
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

from valley.errors import ConfigError
from valley.training.collator import Collator
from valley.training.config import TrainConfig
from valley.training.dataset import SampleError
from valley.training.length_grouping import GroupedByLength, estimate_lengths
from valley.training.optimizer import PartwiseOptimizer
from valley.training.preparing import Prepared, need_packages, prepare
from valley.training.progress import OnEvent, ProgressCallback, TrainingEvent, ignore_event, read_metrics
from valley.training.record import count_parameters, versions, write_json
from valley.training.run_folder import (
    BEFORE_NAME,
    CHECKPOINTS_NAME,
    METRICS_NAME,
    last_whole_checkpoint,
    open_folder,
)
from valley.training.saving import finish, save
from valley.training.trainer_settings import training_arguments
from valley.training.watching import (
    StopAsked,
    StopCallback,
    TrainedCallback,
    TrainedError,
    Watchdog,
    hear_interrupt,
)

logger = logging.getLogger(__name__)


class StoppedError(KeyboardInterrupt):
    """A run was stopped by Ctrl-C, and has saved what it had; the main process says so."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run was, as far as a caller wants to say it; the whole of it is in `training.json`."""

    output_dir: Path
    num_steps: int
    first_loss: float | None
    last_loss: float | None
    seconds: float
    num_bad_media: int


def train(config: TrainConfig, on_event: OnEvent = ignore_event, *, restart: bool = False) -> TrainingResult:
    """Train as `config` says and leave model, processor, curve, report and record in `config.output_dir`.

    A run that was interrupted goes on after its last checkpoint; `restart` throws away what is there,
    finished or not, and begins anew. Several processes (torchrun, accelerate) train together.

    Raises:
        ConfigError: the run is already finished, was begun with other settings, or a setting does not fit.
            Or the disk is full; what was saved before is kept.
        SampleError: a sample cannot be made; the message names the medium, the reason and the cure.
        StoppedError: Ctrl-C; the steps so far are saved.
    """
    need_packages(config)
    ranks = PartialState(cpu=not torch.accelerator.is_available())
    with ranks.main_process_first():
        folder = open_folder(config, restart=restart and ranks.is_main_process)
    set_seed(config.seed)
    prepared = prepare(config, folder, on_event)
    before = _answers_before(config, prepared, folder)
    with hear_interrupt() as stop:
        trainer = make_trainer(config, prepared, folder, on_event, stop)
        seconds = _train_or_go_on(trainer, folder / CHECKPOINTS_NAME)
    if stop.agreed:
        ranks.wait_for_everyone()  # a launcher ends the others when the first one leaves
        where = f"{trainer.state.global_step} of {trainer.state.max_steps}"
        said = f"stopped after step {where}, which is saved; the same command goes on"
        raise StoppedError(said if ranks.is_main_process else "")  # one sentence, however many processes
    record: dict[str, Any] = _make_record(config, trainer, prepared, folder) | {"seconds": seconds}
    prepared.model.config = prepared.lasting_config
    save(config, trainer, prepared.processor, folder)
    if ranks.is_main_process:
        _report(config, prepared, folder, record, before)
        finish(config, prepared.model, folder, record)
    ranks.wait_for_everyone()
    result = TrainingResult(
        config.output_dir,
        trainer.state.global_step,
        record["first_loss"],
        record["last_loss"],
        seconds,
        record["media"]["unreadable"],
    )
    step = result.num_steps
    on_event(TrainingEvent("finished", step, step, result.last_loss, elapsed_s=seconds, message=str(folder)))
    return result


def make_trainer(
    config: TrainConfig, prepared: Prepared, folder: Path, on_event: OnEvent, stop: StopAsked
) -> Trainer:
    """Make transformers' Trainer as a recipe says, with everybody who looks on."""
    arguments, boards = training_arguments(config, folder)
    optimizer_settings = {
        "learning_rates": config.part_learning_rates,
        "muon_learning_rates": config.muon_learning_rates,
        "weight_decay": arguments.weight_decay,
        "betas": (arguments.adam_beta1, arguments.adam_beta2),
        "eps": arguments.adam_epsilon,
    }
    trainer = Trainer(
        model=prepared.network,
        args=arguments,
        train_dataset=_in_order(config, prepared, arguments),
        data_collator=_make_collator(config, prepared, num_ranks=arguments.world_size),
        callbacks=[
            TrainedCallback(),
            ProgressCallback(on_event, folder / METRICS_NAME, prepared.counter),
            StopCallback(stop),
            Watchdog(prepared.counter),
            *boards,
        ],
        optimizer_cls_and_kwargs=(PartwiseOptimizer, optimizer_settings),  # pyright: ignore[reportArgumentType]
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _in_order(config: TrainConfig, prepared: Prepared, arguments: TrainingArguments) -> Any:  # noqa: ANN401
    dataset = prepared.dataset
    if not config.group_by_length:
        return dataset
    lengths = estimate_lengths(
        dataset, config.media, default_num_frames=prepared.lasting_config.num_frames
    ).tolist()
    step = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
    return GroupedByLength(dataset, lengths, group_size=step, seed=config.seed)


def _make_collator(config: TrainConfig, prepared: Prepared, *, num_ranks: int) -> Collator:
    processor, spare = prepared.processor, None
    if num_ranks > 1:  # no rank may skip the tower, or the others wait for it
        black = np.zeros((*processor.image_processor.settings.output_size_px, 3), np.uint8)
        spare = torch.from_numpy(processor.image_processor.pixels([black]))
    return Collator(
        processor.tokenizer.pad_token_id,
        packing=config.packing,
        one_row="flash" in str(prepared.model.config.text_config._attn_implementation),
        spare=spare,
    )


def _train_or_go_on(trainer: Trainer, checkpoints: Path) -> float:
    started_s = time.perf_counter()
    checkpoint = last_whole_checkpoint(checkpoints)
    if checkpoint is not None:
        logger.warning("going on from %s", checkpoint)
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except TrainedError:
        logger.warning("all steps are in %s; what is left is to save them", checkpoint)
    except SampleError as error:
        raise SampleError.without_traceback(error) from error
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _is_full(error):
            raise
        kept = last_whole_checkpoint(checkpoints)
        where = "there is no whole checkpoint yet" if kept is None else f"{kept.name} is whole"
        raise ConfigError(
            f"{checkpoints}: the disk is full; {where}: free some space, and the same command goes on"
        ) from error
    return time.perf_counter() - started_s


def _is_full(error: Exception) -> bool:
    """Tell whether writing failed for want of space; libraries wrap the system's error in their own."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if isinstance(error, OSError) and error.errno in full:
        return True
    return any(os.strerror(code).lower() in str(error).lower() for code in full)


def _answers_before(config: TrainConfig, prepared: Prepared, folder: Path) -> list[dict[str, str]]:
    """Ask a few questions before the first step; a run that goes on finds what was said then."""
    if not _wants_answers(config):
        return []
    path = folder / BEFORE_NAME
    if not path.is_file():
        from valley.training.report import sample_answers

        if config.model.quantize is None:  # what is quantised was put there when it was loaded
            network: Any = prepared.network
            network.to(PartialState().device)
        said = sample_answers(
            prepared.model, prepared.processor, prepared.sources, num_samples=config.report_samples
        )
        write_json(path, {"answers": said})
    return json.loads(path.read_text(encoding="utf-8"))["answers"]


def _wants_answers(config: TrainConfig) -> bool:
    """Tell whether answers are asked for; a model that lies in pieces over processes cannot be asked."""
    in_pieces = bool(config.trainer.get("fsdp") or config.trainer.get("deepspeed"))
    return config.report and config.report_samples > 0 and not in_pieces and PartialState().is_main_process


def _report(
    config: TrainConfig,
    prepared: Prepared,
    folder: Path,
    record: dict[str, Any],
    before: list[dict[str, str]],
) -> None:
    if not config.report:
        return
    from valley.training.report import sample_answers, write_report

    after: list[dict[str, str]] = []
    if _wants_answers(config):
        after = sample_answers(
            prepared.model, prepared.processor, prepared.sources, num_samples=config.report_samples
        )
    write_report(folder, curve=read_metrics(folder / METRICS_NAME), record=record, before=before, after=after)


def _make_record(config: TrainConfig, trainer: Trainer, prepared: Prepared, folder: Path) -> dict[str, Any]:
    losses = [line["loss"] for line in read_metrics(folder / METRICS_NAME)]
    read, unreadable = _over_all_ranks(prepared.tally.num_read, prepared.tally.num_bad)
    return {
        "config": config.model_dump(mode="json"),
        "seed": config.seed,
        "versions": versions(),
        "processes": trainer.args.world_size,
        "data": {"sha256": prepared.dataset.fingerprint(), "num_samples": len(prepared.dataset)},
        "media": {"read": read, "unreadable": unreadable},
        "num_steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None,
        "parameters": count_parameters(prepared.network),
        "trained": prepared.moving,
    }


def _over_all_ranks(*counts: int) -> list[int]:
    if PartialState().num_processes == 1:
        return list(counts)
    summed = torch.tensor(counts, device=PartialState().device)
    torch.distributed.all_reduce(summed)
    return summed.tolist()
