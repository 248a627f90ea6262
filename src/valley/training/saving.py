"""What a finished run leaves: weights, processor, card and record; and the folder gets its name."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from transformers import Trainer

from valley.model.model_card import CARD_NAME, Ingredient, Provenance, make_card
from valley.model.processing_valley import ValleyProcessor
from valley.training.adapters import note_adapter
from valley.training.config import TrainConfig
from valley.training.licences import strictest
from valley.training.quarantine import keep_each_once
from valley.training.record import RECORD_NAME, SETTINGS_NAME, write_json
from valley.training.run_folder import BEFORE_NAME, CHECKPOINTS_NAME, QUARANTINE_NAME

_BASES = ("checkpoint", "vision_tower", "language_model")


def save(config: TrainConfig, trainer: Trainer, processor: ValleyProcessor, folder: Path) -> None:
    """Write the weights: a checkpoint, or an adapter; every process takes part in gathering them."""
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    is_main = trainer.is_world_process_zero()
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        trainer.save_model(str(folder))
        if is_main:
            (folder / "training_args.bin").unlink(missing_ok=True)
    elif is_main:
        computed_in = next(model.parameters()).dtype
        if config.model.save_dtype is not None:
            model.to(getattr(torch, config.model.save_dtype))
        model.save_pretrained(folder)
        model.to(computed_in)  # it is asked once more, and autocast on a CPU knows no float16
    if is_main:
        if config.lora is not None:
            note_adapter(folder, base=str(config.model.checkpoint))
        processor.save_pretrained(folder)


def finish(config: TrainConfig, model: Any, folder: Path, record: dict[str, Any]) -> None:  # noqa: ANN401
    """Write card and record, and give the folder its name."""
    keep_each_once(folder / QUARANTINE_NAME)
    write_json(folder / RECORD_NAME, record)
    card = make_card(model.config, provenance_of(config, record), name=config.output_dir.name)
    card.save(folder / CARD_NAME)
    if config.output_dir.exists():  # a restart replaces a finished run only now, when there is another
        shutil.rmtree(config.output_dir)
    folder.rename(config.output_dir)
    (config.output_dir / SETTINGS_NAME).unlink()  # the record holds them
    (config.output_dir / BEFORE_NAME).unlink(missing_ok=True)  # the report shows them
    if not config.keep_checkpoints:
        shutil.rmtree(config.output_dir / CHECKPOINTS_NAME)


def provenance_of(config: TrainConfig, record: dict[str, Any]) -> Provenance:
    """Gather what a run was made of, with the licence of each that the recipe gives."""
    bases = tuple(
        Ingredient(_public(name), config.licences.get(part) or _licence_on_card(Path(name)))
        for part in _BASES
        if (name := getattr(config.model, part)) is not None
    )
    datasets = tuple(
        Ingredient(", ".join(p.name for p in source.path), source.licence)
        if source.path is not None
        else Ingredient("clips rendered while training", source.licence or "Apache-2.0")
        for source in config.data
    )
    recipe = json.dumps(record["config"], sort_keys=True).encode()
    notes = (
        "",
        f"Trained by the stage `{config.stage}` for {record['num_steps']} steps. `training.json` has the "
        f"recipe (sha256 {hashlib.sha256(recipe).hexdigest()[:16]}), the hash of the data "
        f"({record['data']['sha256'][:16]}), and every version.",
    )
    allowed = strictest([i.licence for i in (*bases, *datasets)])
    return Provenance(bases, datasets, allowed, notes)


def _licence_on_card(folder: Path) -> str | None:
    """Read what the card of a base says, where it lies on this machine and has one."""
    if not (folder / CARD_NAME).is_file():
        return None
    card: Any = ModelCard.load(folder / CARD_NAME)
    return card.data.license


def _public(name: str) -> str:
    """Name a base without telling where it lies on this machine."""
    return Path(name).name if Path(name).exists() else name
