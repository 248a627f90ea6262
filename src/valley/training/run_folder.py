"""The folder of a run that is not finished: made, found again, and what in it can be gone on from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from valley.errors import ConfigError
from valley.training.config import TrainConfig
from valley.training.record import SETTINGS_NAME, changed_settings, write_json

CHECKPOINTS_NAME = "checkpoints"
METRICS_NAME = "metrics.jsonl"
QUARANTINE_NAME = "quarantine.jsonl"
BEFORE_NAME = "answers_before.json"


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
