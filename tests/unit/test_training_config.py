"""Recipes: read strictly, overridden by name, refused with the setting's place."""

from pathlib import Path

import pytest

from valley.errors import ConfigError
from valley.training.config import make_config, read_config, read_fields

RECIPE = """
stage: align
model: {vision_tower: tower, language_model: llm}
data:
  - path: a.jsonl
  - synthetic: {kind: captions, num_samples: 10}
    weight: 2
output_dir: out
learning_rates: {multi_modal_projector: 5e-4}
trainer: {max_steps: 3, weight_decay: 1e-2, per_device_train_batch_size: 2}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_a_recipe_is_read_with_its_numbers(recipe):
    config = read_config(recipe)
    assert config.trainer["weight_decay"] == 0.01
    assert config.parts == ("multi_modal_projector", "temporal_pooling")
    assert config.part_learning_rates == {"multi_modal_projector": 5e-4, "temporal_pooling": 1e-3}
    assert config.data[1].weight == 2
    assert [p.name for p in config.data[0].path] == ["a.jsonl"]


def test_overrides_reach_every_setting(recipe):
    overrides = ["trainer.max_steps=7", "data.0.weight=0.5", "learning_rates.temporal_pooling=2e-5", "seed=4"]
    config = read_config(recipe, [*overrides, "media.on_bad_media=skip", "out=elsewhere", "save_steps=2"])
    assert config.trainer["max_steps"] == 7
    assert config.trainer["save_steps"] == 2
    assert config.data[0].weight == 0.5
    assert config.part_learning_rates["temporal_pooling"] == 2e-5
    assert config.seed == 4
    assert config.media.on_bad_media == "skip"
    assert str(config.output_dir) == "elsewhere"


def test_a_single_source_needs_no_list(recipe):
    config = read_config(recipe, ["data={path: [a.jsonl, b.jsonl]}"])
    assert len(config.data) == 1
    assert len(config.data[0].path or ()) == 2


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("stagee=align", "stagee"),
        ("stage=pretrain", "stage"),
        ("model.vision_towr=x", "vision_towr"),
        ("model.checkpoint=x", "checkpoint already decides"),
        ("model={}", "want either a checkpoint"),
        ("model={checkpoint: x, projector_from_lessons: true}", "leave projector_from_lessons out"),
        ("model={checkpoint: x, projector_weights: p.bin}", "leave projector_weights out"),
        (
            "model={vision_tower: a, language_model: b, projector_from_lessons: true, projector_weights: p}",
            "want one projector, got projector_from_lessons and projector_weights",
        ),
        ("model={checkpoint: x, temporal_pooling_weights: y}", "leave temporal_pooling_weights out"),
        ("model={checkpoint: x, num_frames: 4}", "num_frames"),
        ("data=[]", "data"),
        ("data.0.synthetic={kind: captions, num_samples: 1}", "exactly one"),
        ("data.0.weight=-1", "weight"),
        ("data.2.weight=1", "from 0 to 1"),
        ("learning_rates.language_model=1e-4", "does not train"),
        ("learning_rates.head=1e-4", "head"),
        ("trainer.output_dir=x", "output_dir"),
        ("trainer.learning_rate=1e-3", "learning_rates"),
        ("media.max_bad_fraction=2", "max_bad_fraction"),
        ("no_equals_sign", "no_equals_sign"),
        ("stage.deep=1", "stage"),
        ("seed=[", "not YAML"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(recipe, override, named):
    with pytest.raises(ConfigError, match=named):
        read_config(recipe, [override])


def test_an_absent_recipe_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        read_config(tmp_path / "nowhere.yaml")


def test_a_config_is_frozen(recipe):
    with pytest.raises(ValueError, match="frozen"):
        read_config(recipe).seed = 1


def test_every_fault_is_reported_at_once():
    with pytest.raises(ConfigError, match=r"(?s)stage.*output_dir"):
        make_config({"stage": "x", "model": {"checkpoint": "a"}, "data": {"path": "a.jsonl"}})


@pytest.mark.parametrize("steps", [0, -3, "many"])
def test_a_run_has_at_least_one_step(steps: object) -> None:
    fields = {
        "stage": "align",
        "model": {"checkpoint": "m"},
        "data": {"synthetic": {"kind": "captions", "num_samples": 1}},
        "output_dir": "out",
        "trainer": {"max_steps": steps},
    }
    with pytest.raises(ConfigError, match="max_steps: want 1 or more"):
        make_config(fields)


def test_a_recipe_that_is_no_text_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text file"):
        read_config(tmp_path / "a.yaml")


@pytest.mark.parametrize("stage", ["vision", "language"])
def test_short_names_fit_the_recipe_of_a_part_too(stage: str) -> None:
    fields = read_fields(f"recipes/mini/{stage}.yaml", ["out=there", "max_steps=7", "save_steps=3"])
    assert (fields["output_dir"], fields["max_steps"], fields["save_every_steps"]) == ("there", 7, 3)
    assert "trainer" not in fields
