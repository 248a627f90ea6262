"""Packages that a recipe may ask for: named before anything is read where absent, else used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from valley.errors import ConfigError
from valley.training.config import TrainConfig, make_config
from valley.training.liger import need_liger
from valley.training.run import train
from valley.training.trainer_settings import need_boards, training_arguments


def config(out: Path = Path("out"), checkpoint: str = "nowhere", **trainer) -> TrainConfig:
    fields = {
        "stage": "align",
        "model": {"checkpoint": checkpoint},
        "data": {"synthetic": {"kind": "captions", "num_samples": 1, "languages": ["en"]}},
        "output_dir": str(out),
        "report": False,
        "trainer": {"max_steps": 1, **trainer},
    }
    return make_config(fields)


def test_a_board_that_is_not_there_is_named_before_the_model_is_read(tmp_path: Path) -> None:
    absent = next(name for name in ("swanlab", "neptune", "clearml") if not _is_installed(name))
    with pytest.raises(ConfigError, match=f"report_to: {absent} needs the package {absent}: pip install"):
        train(config(tmp_path / "out", report_to=["tensorboard", absent]))
    with pytest.raises(ConfigError, match=r"want any of .*wandb.*, got wandbb"):
        train(config(tmp_path / "out", report_to="wandbb"))
    assert list(tmp_path.iterdir()) == []  # the recipe is mended, and no begun run stands in the way
    for told in ("none", "all", "tensorboard", []):
        need_boards(config(report_to=told))


def _is_installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


@pytest.mark.skipif(_is_installed("liger_kernel"), reason="liger-kernel is installed here")
def test_liger_that_is_not_there_is_named_before_the_model_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs the package liger-kernel: pip install liger-kernel"):
        train(config(tmp_path / "out", use_liger_kernel=True))
    need_liger(config(use_liger_kernel=False))


def test_the_trainer_is_not_told_of_liger(tmp_path: Path) -> None:
    arguments, _ = training_arguments(
        config(use_liger_kernel=True, liger_kernel_config={"rope": False}), tmp_path
    )
    assert arguments.use_liger_kernel is False
    assert arguments.liger_kernel_config is None


# Stands for the package: it tells what it was asked to change.
LIGER = """
import json
def patch(model, rope=True, rms_norm=True, cross_entropy=False, fused_linear_cross_entropy=True): ...
MODEL_TYPE_TO_APPLY_LIGER_FN = {KNOWN: patch}
def _apply_liger_kernel_to_instance(model, **details):
    print(json.dumps([type(model).__name__, model.config.model_type, details]))
"""
RUN = """
import json, sys
from valley.errors import ConfigError
from valley.training.config import make_config
from valley.training.run import train
try:
    train(make_config(json.loads(sys.argv[1])))
except ConfigError as error:
    print(error)
"""


def run_with_liger(tmp_path: Path, checkpoint: Path, known: str, **trainer) -> str:
    package = tmp_path / "site" / "liger_kernel" / "transformers"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "monkey_patch.py").write_text(LIGER.replace("KNOWN", repr(known)))
    made = config(tmp_path / "out", str(checkpoint), use_liger_kernel=True, report_to="none", **trainer)
    done = subprocess.run(
        [sys.executable, "-c", RUN, made.model_dump_json()],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_liger_is_put_into_the_language_model(tmp_path: Path, tiny_checkpoint: Path) -> None:
    said = run_with_liger(tmp_path, tiny_checkpoint, "llama", liger_kernel_config={"rope": False})
    assert json.loads(said) == [
        "LlamaModel",
        "llama",
        {"rope": False, "cross_entropy": False, "fused_linear_cross_entropy": False},
    ]
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.slow
def test_a_language_model_that_liger_does_not_know_is_named(tmp_path: Path, tiny_checkpoint: Path) -> None:
    said = run_with_liger(tmp_path, tiny_checkpoint, "qwen3")
    assert "nothing for a language model of the type llama" in said
    assert not (tmp_path / "out").exists()


def test_a_kernel_that_replaces_the_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match="fused_linear_cross_entropy would replace the loss"):
        need_liger(config(use_liger_kernel=True, liger_kernel_config={"fused_linear_cross_entropy": True}))
