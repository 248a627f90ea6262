"""What must hold for every run: only named parts move; accumulation and interruption change nothing."""

import json

import pytest
import torch
from safetensors.torch import load_file

from valley.errors import ConfigError
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.training.config import make_config
from valley.training.dataset import SampleError
from valley.training.progress import read_metrics
from valley.training.run import train
from valley.training.run_folder import unfinished_folder
from valley.training.stages import part_of


@pytest.fixture
def config(base, tmp_path):
    """Make a config for a short run on rendered clips; keyword arguments override."""

    def make(*, trainer=None, **fields):
        settings = {"max_steps": 3, "per_device_train_batch_size": 2, "logging_steps": 1}
        return make_config(
            {
                "stage": "align",
                "model": {"checkpoint": str(base)},
                "data": {"synthetic": {"kind": "captions", "num_samples": 12, "languages": ["en"]}},
                "output_dir": str(tmp_path / "out"),
                "learning_rates": {},
                "trainer": settings | (trainer or {}),
                "report": False,
            }
            | fields
        )

    return make


def weights(folder):
    model = ValleyForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return {name: value.clone() for name, value in model.state_dict().items()}


def moved_parts(before, after):
    assert before.keys() == after.keys()
    return {part_of(name) for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("fields", "moving"),
    [
        ({"stage": "align"}, {"multi_modal_projector", "temporal_pooling"}),
        ({"stage": "instruct"}, {"multi_modal_projector", "temporal_pooling", "language_model"}),
        ({"stage": "align", "train_parts": ["multi_modal_projector"]}, {"multi_modal_projector"}),
        ({"stage": "instruct", "train_parts": ["vision_tower"]}, {"vision_tower"}),
    ],
    ids=["align", "instruct", "projector-only", "tower-only"],
)
def test_exactly_the_named_parts_move(base, config, fields, moving):
    run = config(**fields)
    result = train(run)
    assert result.num_steps == 3
    before, after = weights(base), weights(run.output_dir)
    assert moved_parts(before, after) == moving
    # Every tensor of a moving part moves, but for the tower's last layer, at which nobody looks.
    if "vision_tower" not in moving:
        still = {n for n in before if part_of(n) in moving and torch.equal(before[n], after[n])}
        assert still == set()


def test_the_record_tells_the_run(config):
    run = config(stage="instruct", learning_rates={"multi_modal_projector": 1e-3}, seed=5)
    events = []
    train(run, events.append)
    record = json.loads((run.output_dir / "training.json").read_text())
    assert record["seed"] == 5
    assert record["num_steps"] == 3
    assert record["config"]["stage"] == "instruct"
    assert set(record["trained"]) == {"multi_modal_projector", "temporal_pooling", "language_model"}
    assert record["parameters"]["language_model"] == record["trained"]["language_model"]
    assert len(record["data"]["sha256"]) == 64
    assert record["versions"]["torch"] == torch.__version__
    curve = read_metrics(run.output_dir / "metrics.jsonl")
    assert [line["step"] for line in curve] == [1, 2, 3]
    assert curve[0]["learning_rates"].keys() == set(record["trained"])
    kinds = [event.kind for event in events]
    assert kinds[0] == "started"
    assert kinds[-1] == "finished"
    assert kinds.count("step") == 3
    assert [e.remaining_s for e in events if e.kind == "step"][-1] == 0
    assert not (run.output_dir / "checkpoints").exists()
    ValleyProcessor.from_pretrained(run.output_dir)


def test_four_batches_of_one_equal_one_batch_of_four(config, tmp_path):
    settings = {"stage": "instruct", "learning_rates": {"language_model": 1e-3}}
    # AdamW makes a whole step of rounding in a gradient near zero; a large epsilon keeps steps in proportion.
    one = config(
        trainer={"per_device_train_batch_size": 4, "adam_epsilon": 1e-3},
        output_dir=str(tmp_path / "one"),
        **settings,
    )
    four = config(
        trainer={"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4, "adam_epsilon": 1e-3},
        output_dir=str(tmp_path / "four"),
        **settings,
    )
    train(one)
    train(four)
    losses = [[line["loss"] for line in read_metrics(c.output_dir / "metrics.jsonl")] for c in (one, four)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    mine, other = weights(one.output_dir), weights(four.output_dir)
    for name in mine:
        torch.testing.assert_close(mine[name], other[name], atol=1e-5, rtol=0, msg=name)


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


def kill_after(step):
    def on_event(event):
        if event.kind == "step" and event.step == step:
            raise Killed

    return on_event


@pytest.mark.parametrize("muon", [{}, {"language_model": 1e-3}], ids=["adamw", "muon"])
def test_a_killed_run_goes_on_to_the_same_weights(config, tmp_path, muon):
    fields = {
        "stage": "instruct",
        "muon_learning_rates": muon,
        "trainer": {"max_steps": 7, "save_steps": 2, "lr_scheduler_type": "cosine"},
    }
    whole = config(output_dir=str(tmp_path / "whole"), **fields)
    killed = config(output_dir=str(tmp_path / "killed"), **fields)
    train(whole)
    with pytest.raises(Killed):
        train(killed, kill_after(3))
    assert not killed.output_dir.exists()
    # A kill while a checkpoint is written leaves one without its end; it must be passed over.
    (unfinished_folder(killed.output_dir) / "checkpoints" / "checkpoint-3").mkdir()
    steps = []
    with pytest.raises(Killed):
        train(killed, kill_after(5))
    train(killed, lambda event: steps.append(event.step))
    assert steps[0] == 4
    expected, got = weights(whole.output_dir), weights(killed.output_dir)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    curves = [read_metrics(c.output_dir / "metrics.jsonl") for c in (whole, killed)]
    assert [(x["step"], x["loss"]) for x in curves[0]] == [(x["step"], x["loss"]) for x in curves[1]]


def test_a_finished_run_is_not_overwritten_unless_told(config):
    run = config(trainer={"max_steps": 1})
    train(run)
    with pytest.raises(ConfigError, match="finished run"):
        train(run)
    again = config(trainer={"max_steps": 2})
    assert train(again, restart=True).num_steps == 2


def test_an_unfinished_run_does_not_go_on_with_other_settings(config):
    with pytest.raises(Killed):
        train(config(), kill_after(1))
    with pytest.raises(ConfigError, match=r"another seed"):
        train(config(seed=1))


def test_the_loss_falls_on_a_handful_of_samples(config):
    run = config(
        stage="instruct",
        data={"synthetic": {"kind": "captions", "num_samples": 2, "languages": ["en"]}},
        learning_rates={"language_model": 1e-2, "multi_modal_projector": 1e-2},
        trainer={"max_steps": 40, "lr_scheduler_type": "constant"},
    )
    result = train(run)
    assert result.last_loss < 0.5 * result.first_loss


def test_loader_processes_change_nothing(config, tmp_path):
    alone = config(output_dir=str(tmp_path / "alone"))
    helped = config(output_dir=str(tmp_path / "helped"), trainer={"dataloader_num_workers": 1})
    train(alone)
    train(helped)
    expected, got = weights(alone.output_dir), weights(helped.output_dir)
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def write_conversations(path, media):
    lines = [
        {
            "id": name,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "path": name}, {"type": "text", "text": "What?"}],
                },
                {"role": "assistant", "content": "This."},
            ],
        }
        for name in media
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def pictures(tmp_path):
    """Four pictures, one of them empty, and a file of conversations about them."""
    from PIL import Image

    for i in range(3):
        Image.new("RGB", (40, 30), (60 * i, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "bad.png").write_bytes(b"")
    path = tmp_path / "pictures.jsonl"
    write_conversations(path, ["0.png", "bad.png", "1.png", "2.png"])
    return path


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_bad_picture_stops_the_run_in_one_sentence(config, pictures, num_workers):
    run = config(
        data={"path": str(pictures)},
        trainer={"per_device_train_batch_size": 4, "max_steps": 1, "dataloader_num_workers": num_workers},
    )
    with pytest.raises(SampleError, match=r"^sample 1: .*bad\.png: [^\n]*$"):
        train(run)


def test_bad_pictures_go_to_quarantine_and_keep_the_step_count(config, pictures):
    run = config(
        data={"path": str(pictures)},
        media={"on_bad_media": "quarantine", "max_bad_fraction": 0.3},
        trainer={"per_device_train_batch_size": 1, "num_train_epochs": 1, "max_steps": -1},
    )
    result = train(run)
    assert result.num_steps == 4
    assert result.num_bad_media == 1
    (line,) = (run.output_dir / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["sample"] == "bad.png"
    after = weights(run.output_dir)
    assert all(torch.isfinite(value).all() for value in after.values())


def test_what_is_saved_in_float16_is_asked_in_what_was_trained(config):
    """Autocast on a CPU knows no float16: the answers at the end need what the run computed in."""
    run = config(
        model={"checkpoint": str(config().model.checkpoint), "save_dtype": "float16"},
        report=True,
        trainer={"bf16": True},
    )
    train(run)
    assert (run.output_dir / "report.html").is_file()
    saved = load_file(run.output_dir / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values() if tensor.is_floating_point()} == {torch.float16}


def test_a_run_that_died_behind_its_last_step_makes_no_other_one(config, tmp_path):
    """The folder cannot get its name; all steps are in a checkpoint, and only saving them is left."""
    other = config(output_dir=str(tmp_path / "other"), trainer={"lr_scheduler_type": "constant"})
    train(other)
    run = config(trainer={"lr_scheduler_type": "constant"})

    def be_in_the_way(event):
        if event.step == 3 and not run.output_dir.exists():
            run.output_dir.write_text("something else")

    with pytest.raises(NotADirectoryError):
        train(run, be_in_the_way)
    run.output_dir.unlink()
    result = train(run)
    assert result.num_steps == 3
    expected, got = weights(other.output_dir), weights(run.output_dir)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
