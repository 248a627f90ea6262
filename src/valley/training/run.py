"""A training run, from a recipe to a checkpoint, as named acts.

While a run is going on, everything it writes is in `<output_dir>.unfinished`; at the end this folder gets
its final name in one step. So `output_dir` exists if and only if the run is finished, and an interrupted run
goes on from its last whole checkpoint when it is started again.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

from valley.errors import ConfigError
from valley.model.configuration_valley import ValleyConfig
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.training.adapters import adapt, count_moving, need_peft
from valley.training.assembly import load_or_compose
from valley.training.collator import Collator
from valley.training.config import TrainConfig
from valley.training.dataset import SampleError, Source, TrainingDataset, make_source
from valley.training.loss import make_assistant_loss
from valley.training.media import MediaTally
from valley.training.optimizer import PartwiseOptimizer
from valley.training.precision import wants_bf16
from valley.training.progress import OnEvent, ProgressCallback, TrainingEvent, ignore_event, read_metrics
from valley.training.record import SETTINGS_NAME, changed_settings, count_parameters, versions, write_json
from valley.training.saving import CHECKPOINTS_NAME, finish, save
from valley.training.seeing import with_features
from valley.training.stages import freeze_all_but
from valley.training.watching import BatchCounter, StopAsked, StopCallback, Watchdog, hear_interrupt

logger = logging.getLogger(__name__)

METRICS_NAME = "metrics.jsonl"
QUARANTINE_NAME = "quarantine.jsonl"
BEFORE_NAME = "answers_before.json"


class StoppedError(ConfigError):
    """A run was stopped by Ctrl-C, and has saved what it had."""


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
        SampleError: a sample cannot be made; the message names the medium, the reason and the cure.
        StoppedError: Ctrl-C; the steps so far are saved.
    """
    ranks = PartialState(cpu=not torch.accelerator.is_available())
    with ranks.main_process_first():
        folder = open_folder(config, restart=restart and ranks.is_main_process)
    set_seed(config.seed)
    prepared = prepare(config, folder, on_event)
    before = _answers_before(config, prepared, folder)
    with hear_interrupt() as stop:
        trainer = _make_trainer(config, prepared, folder, on_event, stop)
        seconds = _train_or_go_on(trainer, folder / CHECKPOINTS_NAME)
    if stop.asked and trainer.state.global_step < trainer.state.max_steps:
        raise StoppedError(
            f"stopped after step {trainer.state.global_step} of {trainer.state.max_steps}, which is saved; "
            "the same command goes on"
        )
    record = _make_record(config, trainer, prepared, folder) | {"seconds": seconds}
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


def unfinished_folder(output_dir: Path) -> Path:
    """Where a run writes until it is finished."""
    return output_dir.with_name(output_dir.name + ".unfinished")


def last_whole_checkpoint(folder: Path) -> Path | None:
    """Find the newest checkpoint that was written to its end: the trainer's state comes last."""
    whole = [state.parent for state in folder.glob("checkpoint-*/trainer_state.json") if _is_json(state)]
    return max(whole, key=lambda c: int(c.name.rpartition("-")[2]), default=None)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return False
    return True


def open_folder(config: TrainConfig, *, restart: bool) -> Path:
    """Make the folder of an unfinished run, or find the one to go on in.

    Raises:
        ConfigError: the run is finished already, or was begun with other settings.
    """
    folder = unfinished_folder(config.output_dir)
    if restart:
        shutil.rmtree(folder, ignore_errors=True)
    elif config.output_dir.exists():
        raise ConfigError(
            f"{config.output_dir}: there is already a finished run (or another folder); "
            "restart to replace it, or choose another output_dir"
        )
    settings = folder / SETTINGS_NAME
    if settings.is_file():
        changed = changed_settings(json.loads(settings.read_text(encoding="utf-8")), config)
        if changed:
            raise ConfigError(
                f"{folder}: this run was begun with another {', '.join(changed)}; "
                "restore it to go on, or restart to begin anew"
            )
    (folder / CHECKPOINTS_NAME).mkdir(parents=True, exist_ok=True)
    write_json(settings, config.model_dump(mode="json"))
    return folder


@dataclass
class Prepared:
    """All that a run needs before its first step.

    Attributes:
        model: the network itself.
        network: what is trained: the model, or the model with adapters around it.
        processor: its processor.
        sources: where samples come from.
        dataset: the samples, encoded.
        tally: counts media.
        lasting_config: the model's config as it is to be saved.
        moving: how many numbers of each part move.
        counter: counts tokens.
    """

    model: ValleyForConditionalGeneration
    network: Any
    processor: ValleyProcessor
    sources: list[Source]
    dataset: TrainingDataset
    tally: MediaTally
    lasting_config: ValleyConfig
    moving: dict[Any, int]
    counter: BatchCounter


def prepare(config: TrainConfig, folder: Path, on_event: OnEvent = ignore_event) -> Prepared:
    """Put model and data together.

    Raises:
        ConfigError: parts, adapters or data do not fit.
        MissingExtraError: a package is missing.
    """
    if config.lora is not None:
        need_peft()
    model, processor = load_or_compose(config.model)
    if config.lora is None:
        network: Any = model
        moving = freeze_all_but(model, config.parts)
    else:
        quantised = config.model.quantize is not None
        network = adapt(model, config.lora, config.parts, quantised=quantised)
        moving = count_moving(network)
    model.loss_function = make_assistant_loss(model)
    lasting_config = copy.deepcopy(model.config)
    model.model.language_model.config.use_cache = False  # training must not fill a KV cache
    tally = MediaTally(config.media, folder / QUARANTINE_NAME)
    sources = [
        make_source(
            source,
            settings=config.media,
            default_num_frames=model.config.num_frames,
            tally=tally,
            index_dir=config.index_dir,
        )
        for source in config.data
    ]
    seen = with_features(config, sources, model, processor, on_event)
    dataset = TrainingDataset(
        [(source, settings.weight) for source, settings in zip(seen, config.data, strict=True)],
        processor,
        max_length=config.max_length,
        max_tokens=[settings.max_tokens for settings in config.data],
        seed=config.seed,
    )
    counter = BatchCounter()
    counter.watch(model)
    return Prepared(model, network, processor, sources, dataset, tally, lasting_config, moving, counter)


def _make_trainer(
    config: TrainConfig, prepared: Prepared, folder: Path, on_event: OnEvent, stop: StopAsked
) -> Trainer:
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
        train_dataset=prepared.dataset,
        data_collator=_make_collator(config, prepared, num_ranks=arguments.world_size),
        callbacks=[
            ProgressCallback(on_event, folder / METRICS_NAME, prepared.counter),
            StopCallback(stop),
            Watchdog(prepared.counter),
            *boards,
        ],
        optimizer_cls_and_kwargs=(PartwiseOptimizer, optimizer_settings),  # pyright: ignore[reportArgumentType]
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


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
    told = config.trainer.get("report_to", "tensorboard")
    told = [told] if isinstance(told, str) else list(told)
    settings: dict[str, Any] = {
        "logging_steps": 10,
        "save_steps": 500,
        "save_total_limit": 2,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        **config.trainer,
        "report_to": [name for name in told if name != "tensorboard"] or "none",
        "bf16": wants_bf16(config.trainer.get("bf16", False)),
        "output_dir": str(folder / CHECKPOINTS_NAME),
        "seed": config.seed,
        "learning_rate": max(config.part_learning_rates.values()),
        "remove_unused_columns": False,
        "disable_tqdm": True,
    }
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
    from transformers.integrations import TensorBoardCallback

    return [TensorBoardCallback(SummaryWriter(str(folder / "tensorboard")))]


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
    except SampleError as error:
        raise SampleError.without_traceback(error) from error
    return time.perf_counter() - started_s


def _answers_before(config: TrainConfig, prepared: Prepared, folder: Path) -> list[dict[str, str]]:
    """Ask a few questions before the first step; a run that goes on finds what was said then."""
    if not _wants_answers(config):
        return []
    path = folder / BEFORE_NAME
    if not path.is_file():
        from valley.training.report import sample_answers

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
