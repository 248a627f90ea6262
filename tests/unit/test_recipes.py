"""Every recipe the project ships is parsed, down to the names of the trainer's own settings."""

import dataclasses
from pathlib import Path

import pytest
from transformers import TrainingArguments

from valley.collection.config import CollectConfig
from valley.collection.source import SOURCES
from valley.instruct.recipe import InstructSettings
from valley.instruct.task import TASKS
from valley.training.config import TrainConfig, checked, read_fields
from valley.training.language_pretraining import LanguageConfig
from valley.training.vision_pretraining import VisionConfig

RECIPES = Path(__file__).parents[2] / "recipes"
SCHEMAS = {
    "align": TrainConfig,
    "instruct": TrainConfig,
    "language": LanguageConfig,
    "vision": VisionConfig,
}
TRAINER_SETTINGS = {field.name for field in dataclasses.fields(TrainingArguments)}
OTHERS = ("distributed", "collect", "write")
PATHS = sorted(p for p in RECIPES.rglob("*.yaml") if p.parent.name not in OTHERS)
COLLECT_PATHS = sorted((RECIPES / "collect").glob("*.yaml"))
WRITE_PATHS = sorted((RECIPES / "write").glob("*.yaml"))


@pytest.mark.parametrize("path", PATHS, ids=lambda p: str(p.relative_to(RECIPES)))
def test_a_recipe_fits(path):
    fields = read_fields(path)
    config = checked(SCHEMAS[fields["stage"]], fields, where=str(path))
    if isinstance(config, TrainConfig):
        assert set(config.trainer) <= TRAINER_SETTINGS


def test_the_documented_stages_are_there():
    assert {"align.yaml", "instruct.yaml"} <= {p.name for p in PATHS if p.parent == RECIPES}


@pytest.mark.parametrize("path", COLLECT_PATHS, ids=lambda p: p.name)
def test_a_recipe_for_collecting_fits(path):
    config = checked(CollectConfig, read_fields(path), where=str(path))
    assert {source.source for source in config.sources} <= set(SOURCES.names())
    assert config.out is not None


def test_the_documented_recipes_for_collecting_are_there():
    assert {"folder.yaml", "mixed.yaml"} <= {p.name for p in COLLECT_PATHS}


@pytest.mark.parametrize("path", WRITE_PATHS, ids=lambda p: p.name)
def test_a_recipe_for_writing_fits(path):
    settings = checked(InstructSettings, read_fields(path), where=str(path))
    assert set(settings.tasks) <= set(TASKS.names())


def test_the_papers_mix_is_about_half_dialogue_and_a_third_reasoning():
    weights = read_fields(RECIPES / "write" / "paper.yaml")["tasks"]
    total = sum(weights.values())
    assert weights["dialogue"] / total == pytest.approx(0.5, abs=0.02)
    assert (weights["complex_reasoning"] + weights["causal_inference"]) / total == pytest.approx(
        0.35, abs=0.03
    )
