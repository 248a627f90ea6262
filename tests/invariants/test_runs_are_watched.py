"""What a run shows of itself, keeps, and survives: report, card, features, an index, Ctrl-C, budgets."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import TrainerControl, TrainerState, TrainingArguments

from valley.errors import ConfigError, ConversationError
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.training.config import make_config
from valley.training.conversation_store import open_store
from valley.training.licences import strictest
from valley.training.progress import read_metrics
from valley.training.run import StoppedError, train
from valley.training.run_folder import unfinished_folder
from valley.training.watching import BatchCounter, Watchdog


@pytest.fixture
def data(tmp_path: Path, clip_files: Path) -> Path:
    """Eight conversations about a clip, its other half, a picture, and nothing."""
    media = [
        [{"type": "video", "path": str(clip_files / "a.mp4")}],
        [{"type": "video", "path": str(clip_files / "b.mp4"), "start_s": 1.0}],
        [{"type": "image", "path": str(clip_files / "photo.png")}],
        [],
    ]
    lines = []
    for number in range(8):
        asked = [*media[number % 4], {"type": "text", "text": f"Which way, {number}?"}]
        messages = [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": [{"type": "text", "text": "To the right."}]},
        ]
        lines.append(json.dumps({"id": str(number), "messages": messages}))
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def config(base: Path, data: Path, tmp_path: Path):
    def make(trainer=None, **fields):
        return make_config(
            {
                "stage": "instruct",
                "model": {"checkpoint": str(base)},
                "data": {"path": str(data), "licence": "CC-BY-4.0"},
                "licences": {"checkpoint": "Apache-2.0"},
                "output_dir": str(tmp_path / "out"),
                "index_dir": str(tmp_path / "index"),
                "feature_cache": {"folder": str(tmp_path / "features"), "use": "never"},
                "report": False,
                "trainer": {"max_steps": 4, "per_device_train_batch_size": 4, "logging_steps": 1}
                | (trainer or {}),
            }
            | fields
        )

    return make


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return ValleyForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).state_dict()


def test_a_run_can_be_looked_at(config) -> None:
    run = config(report=True, report_samples=3)
    train(run)
    page = (run.output_dir / "report.html").read_text()
    assert (run.output_dir / "report.png").read_bytes().startswith(b"\x89PNG")
    assert page.count("<tr><td>") == 3
    assert "Which way, 0?" in page
    assert "To the right." in page
    assert list((run.output_dir / "tensorboard").glob("events*"))
    curve = read_metrics(run.output_dir / "metrics.jsonl")
    assert all(line["tokens_per_s"] > line["visual_tokens_per_s"] > 0 for line in curve)
    card = ModelCard.load(run.output_dir / "README.md")
    assert card.data.pipeline_tag == "video-text-to-text"
    assert card.data.license == "CC-BY-4.0"
    assert "data.jsonl (licence: CC-BY-4.0)" in card.text
    assert str(run.model.checkpoint) not in card.text


def test_the_strictest_licence_counts_and_an_unknown_one_counts_as_unknown() -> None:
    assert strictest(["MIT", "CC-BY-SA-4.0", "Apache-2.0"]) == "CC-BY-SA-4.0"
    assert strictest(["CC-BY-NC-4.0", "llama3"]) == "CC-BY-NC-4.0"
    assert strictest(["MIT", "a licence of one's own"]) == "a licence of one's own"
    assert strictest(["MIT", None]) is None
    assert strictest([]) is None


def test_features_are_computed_once_and_change_nothing(config, tmp_path: Path) -> None:
    plain = config(output_dir=str(tmp_path / "plain"))
    train(plain)
    cache = {"folder": str(tmp_path / "features"), "use": "always"}
    events = []
    kept = config(output_dir=str(tmp_path / "kept"), feature_cache=cache)
    train(kept, events.append)
    files = sorted((tmp_path / "features").rglob("*.safetensors"))
    assert len(files) == 3  # two clips and a picture, each once
    assert any("features of 3/3 media" in event.message for event in events)
    one, other = weights(plain.output_dir), weights(kept.output_dir)
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=1e-4, atol=1e-6, msg=name)
    times = [file.stat().st_mtime_ns for file in files]
    seen = []
    train(config(stage="align", output_dir=str(tmp_path / "again"), feature_cache=cache), seen.append)
    assert not any("features of" in event.message for event in seen)  # another stage, the same tower
    assert sorted((tmp_path / "features").rglob("*.safetensors")) == files
    assert len(times) == len(files)


def test_a_cache_that_is_too_small_says_so(config, tmp_path: Path) -> None:
    tight = {"folder": str(tmp_path / "features"), "use": "always", "max_gb": 1e-6}
    with pytest.raises(ConfigError, match="max_gb is 1e-06; raise it"):
        train(config(feature_cache=tight))
    with pytest.raises(ConfigError, match="this run trains the tower"):
        config(train_parts=["vision_tower"], feature_cache={"use": "always"})


def test_small_data_over_several_epochs_is_kept_by_itself(config, tmp_path: Path) -> None:
    auto = {"folder": str(tmp_path / "features")}
    train(config(feature_cache=auto, trainer={"max_steps": 1}))
    assert not (tmp_path / "features").exists()
    train(config(feature_cache=auto, output_dir=str(tmp_path / "more"), trainer={"max_steps": 4}))
    assert len(list((tmp_path / "features").rglob("*.safetensors"))) == 3


def test_lines_are_looked_up_not_held(data: Path, tmp_path: Path) -> None:
    store = open_store(data, tmp_path / "index")
    assert len(store) == 8
    assert store[3].id == "3"
    assert store[1].media[0].start_s == 1.0
    assert store.sha256() == open_store(data, tmp_path / "index").sha256()
    assert len(list((tmp_path / "index").iterdir())) == 1
    with data.open("a") as file:
        file.write("{}\n")
    with pytest.raises(ConversationError, match=r"data\.jsonl:9: want an object"):
        open_store(data, tmp_path / "index")
    assert len(list((tmp_path / "index").iterdir())) == 1  # nothing half-written is left


def test_a_token_budget_takes_some_samples(config, data: Path) -> None:
    run = config(data={"path": str(data), "max_tokens": 120}, trainer={"max_steps": 1})
    train(run)
    record = json.loads((run.output_dir / "training.json").read_text())
    assert 1 <= record["data"]["num_samples"] < 8
    with pytest.raises(ConfigError, match="not one sample is as short"):
        train(config(data={"path": str(data), "max_tokens": 3}, output_dir=str(run.output_dir) + "2"))


@pytest.mark.parametrize("lora", [None, {"rank": 4}], ids=["whole", "lora"])
def test_ctrl_c_saves_and_the_run_goes_on_as_if_nothing_had_been(lora, config, tmp_path: Path) -> None:
    fields = {} if lora is None else {"lora": lora}
    through = config(output_dir=str(tmp_path / "through"), **fields)
    train(through)
    broken = config(**fields)

    def press(event) -> None:
        if event.kind == "step" and event.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)  # a launcher hands on what was heard already

    with pytest.raises(StoppedError, match="stopped after step 2 of 4, which is saved"):
        train(broken, press)
    assert unfinished_folder(broken.output_dir).is_dir()
    train(broken)
    from safetensors.torch import load_file

    name = "model.safetensors" if lora is None else "adapter_model.safetensors"
    one, other = load_file(through.output_dir / name), load_file(broken.output_dir / name)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    losses = [
        [line["loss"] for line in read_metrics(r.output_dir / "metrics.jsonl")] for r in (through, broken)
    ]
    assert losses[0] == losses[1]


def test_a_step_that_hangs_is_named(caplog, tmp_path: Path) -> None:
    counter = BatchCounter(samples=[7, 9])
    dog = Watchdog(counter, slow_s=0.2)

    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    state, control = TrainerState(global_step=3), TrainerControl()
    with caplog.at_level(logging.WARNING):
        dog.on_train_begin(arguments, state, control)
        time.sleep(0.6)
        dog.on_train_end(arguments, state, control)
    assert "rank 0: step 4 has taken" in caplog.text
    assert "samples [7, 9]" in caplog.text
    assert caplog.text.count("has taken") == 1


def test_packing_changes_no_step(config, tmp_path: Path) -> None:
    settings = {"adam_epsilon": 1e-3}
    plain, packed = (
        config(output_dir=str(tmp_path / name), packing=name == "packed", trainer=settings)
        for name in ("plain", "packed")
    )
    train(plain)
    train(packed)
    one, other = weights(plain.output_dir), weights(packed.output_dir)
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=1e-3, atol=1e-5, msg=name)
    losses = [
        [line["loss"] for line in read_metrics(r.output_dir / "metrics.jsonl")] for r in (plain, packed)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert np.isfinite(losses[0]).all()


def test_kept_features_go_with_half_precision(config, tmp_path: Path) -> None:
    cache = {"folder": str(tmp_path / "features"), "use": "always"}
    run = config(feature_cache=cache, trainer={"bf16": True, "max_steps": 2})
    train(run)
    assert all(np.isfinite(line["loss"]) for line in read_metrics(run.output_dir / "metrics.jsonl"))
    kept = next((tmp_path / "features").rglob("*.safetensors"))
    from safetensors.torch import load_file

    assert load_file(kept)["features"].dtype == torch.float16


def test_a_licence_goes_from_one_stage_to_the_next(config, tmp_path: Path) -> None:
    first = config(stage="align", output_dir=str(tmp_path / "first"), trainer={"max_steps": 1})
    train(first)
    again = config(
        model={"checkpoint": str(first.output_dir)}, licences={}, output_dir=str(tmp_path / "second")
    )
    train(again)
    card = ModelCard.load(again.output_dir / "README.md")
    assert "Base model: first (licence: CC-BY-4.0)" in card.text
    assert card.data.license == "CC-BY-4.0"
