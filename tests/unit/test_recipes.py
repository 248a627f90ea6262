"""Every recipe the project ships is parsed, down to the names of the trainer's own settings."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from transformers import TrainingArguments

from valley.training.config import read_config

RECIPES = Path(__file__).parents[2] / "recipes"
TRAINER_SETTINGS = {field.name for field in dataclasses.fields(TrainingArguments)}


def is_stage(path):
    return "stage" in yaml.safe_load(path.read_text())


STAGES = sorted(p for p in RECIPES.rglob("*.yaml") if is_stage(p))


@pytest.mark.parametrize("path", STAGES, ids=lambda p: str(p.relative_to(RECIPES)))
def test_a_recipe_fits(path):
    config = read_config(path)
    assert set(config.trainer) <= TRAINER_SETTINGS


def test_the_documented_stages_are_there():
    assert {"align.yaml", "finetune.yaml"} <= {p.name for p in STAGES if p.parent == RECIPES}
