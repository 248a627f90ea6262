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
from valley.training.adapters import adapt, count_moving, need_peft, note_adapter
from valley.training.assembly import load_or_compose
from valley.training.collator import Collator
from valley.training.config import TrainConfig
from valley.training.dataset import SampleError, TrainingDataset, make_source
from valley.training.loss import make_assistant_loss
from valley.training.media import MediaTally
from valley.training.optimizer import PartwiseOptimizer
from valley.training.precision import wants_bf16
from valley.training.progress import OnEvent, ProgressCallback, TrainingEvent, ignore_event, read_metrics
from valley.training.record import (
    RECORD_NAME,
    SETTINGS_NAME,
    changed_settings,
    count_parameters,
    versions,
    write_json,
)
from valley.training.stages import freeze_all_but

logger = logging.getLogger(__name__)

METRICS_NAME = "metrics.jsonl"
QUARANTINE_NAME = "quarantine.jsonl"
CHECKPOINTS_NAME = "checkpoints"


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
    """Train as `config` says and leave model, processor, curve and record in `config.output_dir`.

    A run that was interrupted goes on after its last checkpoint; `restart` throws away what is there,
    finished or not, and begins anew.

    Raises:
        ConfigError: the run is already finished, was begun with other settings, or a setting does not fit.
        SampleError: a sample cannot be made; the message names the medium, the reason and the cure.
    """
    if config.lora is not None:
        need_peft()
    ranks = PartialState(cpu=not torch.accelerator.is_available())
    with ranks.main_process_first():
        folder = _open_folder(config, restart=restart and ranks.is_main_process)
    set_seed(config.seed)
    model, processor = load_or_compose(config.model)
    network = (
        model
        if config.lora is None
        else adapt(model, config.lora, config.parts, quantised=config.model.quantize is not None)
    )
    moving = freeze_all_but(model, config.parts) if config.lora is None else count_moving(network)
    model.loss_function = make_assistant_loss(model)
    lasting_config = _switch_off_cache(model)
    tally = MediaTally(config.media, folder / QUARANTINE_NAME)
    dataset = _make_dataset(config, model, processor, tally)
    trainer = _make_trainer(config, network, processor, dataset, folder, on_event)
    seconds = _train_or_go_on(trainer, folder / CHECKPOINTS_NAME)
    record = _make_record(config, trainer, dataset, tally, folder) | {"trained": moving, "seconds": seconds}
    model.config = lasting_config
    _save(config, trainer, processor, folder)
    if ranks.is_main_process:
        _finish(config, folder, record)
    ranks.wait_for_everyone()
    result = TrainingResult(
        config.output_dir,
        trainer.state.global_step,
        record["first_loss"],
        record["last_loss"],
        seconds,
        tally.num_bad,
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


def _open_folder(config: TrainConfig, *, restart: bool) -> Path:
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


def _make_dataset(
    config: TrainConfig, model: ValleyForConditionalGeneration, processor: ValleyProcessor, tally: MediaTally
) -> TrainingDataset:
    sources = [
        (
            make_source(
                source,
                settings=config.media,
                default_num_frames=model.config.num_frames,
                tally=tally,
            ),
            source.weight,
        )
        for source in config.data
    ]
    return TrainingDataset(sources, processor, max_length=config.max_length)


def _make_trainer(
    config: TrainConfig,
    model: Any,  # noqa: ANN401
    processor: ValleyProcessor,
    dataset: TrainingDataset,
    folder: Path,
    on_event: OnEvent,
) -> Trainer:
    arguments = _training_arguments(config, folder)
    optimizer_settings = {
        "learning_rates": config.part_learning_rates,
        "muon_learning_rates": config.muon_learning_rates,
        "weight_decay": arguments.weight_decay,
        "betas": (arguments.adam_beta1, arguments.adam_beta2),
        "eps": arguments.adam_epsilon,
    }
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        data_collator=_make_collator(config, model, processor, num_ranks=arguments.world_size),
        callbacks=[ProgressCallback(on_event, folder / METRICS_NAME)],
        optimizer_cls_and_kwargs=(PartwiseOptimizer, optimizer_settings),  # pyright: ignore[reportArgumentType]
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _training_arguments(config: TrainConfig, folder: Path) -> TrainingArguments:
    known = [field.name for field in dataclasses.fields(TrainingArguments)]
    for name in config.trainer:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"trainer.{name}: transformers.TrainingArguments has no such setting{hint}")
    on_cpu = not torch.accelerator.is_available()
    settings: dict[str, Any] = {
        "logging_steps": 10,
        "save_steps": 500,
        "save_total_limit": 2,
        "report_to": "none",
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        **config.trainer,
        "bf16": wants_bf16(config.trainer.get("bf16", False)),
        "output_dir": str(folder / CHECKPOINTS_NAME),
        "seed": config.seed,
        "learning_rate": max(config.part_learning_rates.values()),
        "remove_unused_columns": False,
        "disable_tqdm": True,
    }
    try:
        return TrainingArguments(**settings)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"trainer: {error}") from error


def _switch_off_cache(model: ValleyForConditionalGeneration) -> ValleyConfig:
    """Keep training from filling a KV cache; return the config as it is to be saved, without this."""
    lasting_config = copy.deepcopy(model.config)
    model.model.language_model.config.use_cache = False
    return lasting_config


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


def _make_record(
    config: TrainConfig, trainer: Trainer, dataset: TrainingDataset, tally: MediaTally, folder: Path
) -> dict[str, Any]:
    losses = [line["loss"] for line in read_metrics(folder / METRICS_NAME)]
    return {
        "config": config.model_dump(mode="json"),
        "seed": config.seed,
        "versions": versions(),
        "data": {"sha256": dataset.fingerprint(), "num_samples": len(dataset)},
        "media": {"read": tally.num_read, "unreadable": tally.num_bad},
        "num_steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None,
        "parameters": count_parameters(trainer.model),  # pyright: ignore[reportArgumentType]
    }


def _make_collator(
    config: TrainConfig,
    model: Any,  # noqa: ANN401
    processor: ValleyProcessor,
    *,
    num_ranks: int,
) -> Collator:
    spare = None
    if num_ranks > 1:  # no rank may skip the tower, or the others wait for it
        black = np.zeros((*processor.image_processor.settings.output_size_px, 3), np.uint8)
        spare = torch.from_numpy(processor.image_processor.pixels([black]))
    return Collator(
        processor.tokenizer.pad_token_id,
        packing=config.packing,
        one_row="flash" in str(model.config.text_config._attn_implementation),
        spare=spare,
    )


def _save(config: TrainConfig, trainer: Trainer, processor: ValleyProcessor, folder: Path) -> None:
    """Write the weights: a checkpoint, or an adapter; every process takes part in gathering them."""
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    is_main = trainer.is_world_process_zero()
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        trainer.save_model(str(folder))
        (folder / "training_args.bin").unlink(missing_ok=True)
    elif is_main:
        if config.model.save_dtype is not None:
            model.to(getattr(torch, config.model.save_dtype))
        model.save_pretrained(folder)
    if is_main:
        if config.lora is not None:
            note_adapter(folder, base=str(config.model.checkpoint))
        processor.save_pretrained(folder)


def _finish(config: TrainConfig, folder: Path, record: dict[str, Any]) -> None:
    write_json(folder / RECORD_NAME, record)
    if config.output_dir.exists():  # a restart replaces a finished run only now, when there is another
        shutil.rmtree(config.output_dir)
    folder.rename(config.output_dir)
    (config.output_dir / SETTINGS_NAME).unlink()  # the record holds them
    if not config.keep_checkpoints:
        shutil.rmtree(config.output_dir / CHECKPOINTS_NAME)
