"""Freezing, optimizer groups, collation, the tally of bad media and the curve, each without a real model."""

import copy
import json

import pytest
import torch
from torch import nn

from valley.errors import ConfigError, EmptyMediaError
from valley.training.collator import Collator
from valley.training.config import MediaSettings, make_config
from valley.training.dataset import SampleError
from valley.training.loss import make_assistant_loss
from valley.training.media import BadMediaError, MediaTally
from valley.training.optimizer import PartwiseOptimizer
from valley.training.progress import read_metrics
from valley.training.record import changed_settings
from valley.training.run_folder import last_whole_checkpoint
from valley.training.stages import freeze_all_but, part_of


class Network(nn.Module):
    """The names of a Valley, with next to nothing behind them."""

    def __init__(self):
        super().__init__()
        self.model = nn.Module()
        self.model.vision_tower = nn.Linear(2, 2)
        self.model.multi_modal_projector = nn.Linear(2, 3)
        self.model.temporal_pooling = nn.Identity()
        self.model.language_model = nn.Sequential(nn.Embedding(5, 3), nn.LayerNorm(3), nn.Linear(3, 3))
        self.lm_head = nn.Linear(3, 5, bias=False)


def test_freezing_reaches_parameters_and_counts_what_moves():
    network = Network()
    assert freeze_all_but(network, ("multi_modal_projector", "temporal_pooling")) == {
        "multi_modal_projector": 9
    }
    moving = {name for name, p in network.named_parameters() if p.requires_grad}
    assert moving == {"model.multi_modal_projector.weight", "model.multi_modal_projector.bias"}
    freeze_all_but(network, ("language_model",))
    assert network.lm_head.weight.requires_grad
    assert not network.model.multi_modal_projector.weight.requires_grad


def test_a_stage_without_parameters_is_refused():
    with pytest.raises(ConfigError, match="nothing to train"):
        freeze_all_but(Network(), ("temporal_pooling",))


def test_a_foreign_parameter_is_refused():
    with pytest.raises(ConfigError, match="encoder"):
        part_of("encoder.weight")


RATES = {"multi_modal_projector": 1e-3, "language_model": 2e-5}


def make_optimizer(network, **muon_learning_rates):
    freeze_all_but(network, ("multi_modal_projector", "language_model"))
    return PartwiseOptimizer()(
        network,
        learning_rates=RATES,
        muon_learning_rates=muon_learning_rates,
        weight_decay=0.1,
        betas=(0.9, 0.99),
        eps=1e-8,
    )


def rates_and_decay(network, optimizer):
    names = {id(p): n for n, p in network.named_parameters()}
    return {
        names[id(p)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }


def test_every_part_has_its_rate_and_only_matrices_decay():
    network = Network()
    assert rates_and_decay(network, make_optimizer(network)) == {
        "model.multi_modal_projector.weight": (1e-3, 0.1),
        "model.multi_modal_projector.bias": (1e-3, 0.0),
        "model.language_model.0.weight": (2e-5, 0.0),
        "model.language_model.1.weight": (2e-5, 0.0),
        "model.language_model.1.bias": (2e-5, 0.0),
        "model.language_model.2.weight": (2e-5, 0.1),
        "model.language_model.2.bias": (2e-5, 0.0),
        "lm_head.weight": (2e-5, 0.1),
    }


def step(network, optimizer):
    for number, parameter in enumerate(p for p in network.parameters() if p.requires_grad):
        parameter.grad = torch.full_like(parameter, 0.1 * (number + 1))
    optimizer.step()


def test_muon_takes_the_layers_and_goes_on_from_its_saved_state():
    torch.manual_seed(0)
    network = Network()
    optimizer = make_optimizer(network, language_model=4e-3)
    by_muon = {n for n, (rate, _) in rates_and_decay(network, optimizer).items() if rate == 4e-3}
    assert by_muon == {"model.language_model.2.weight"}
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    twin = copy.deepcopy(network)
    step(network, optimizer)
    schedule.step()
    assert {round(g["lr"], 6) for g in optimizer.param_groups} == {5e-4, 1e-5, 2e-3}

    twin.load_state_dict(network.state_dict())
    twin_optimizer = make_optimizer(twin, language_model=4e-3)
    twin_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    step(network, optimizer)
    step(twin, twin_optimizer)
    for mine, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, other)


def row(num_tokens, *, num_frames=0, num_images=0):
    tokens = torch.arange(1, num_tokens + 1)
    made = {
        "input_ids": tokens,
        "attention_mask": torch.ones_like(tokens),
        "mm_token_type_ids": torch.zeros_like(tokens),
        "labels": tokens,
    }
    if num_frames:
        made["pixel_values_videos"] = torch.ones(1, num_frames, 3, 4, 4)
        made["video_frame_mask"] = torch.ones(1, num_frames, dtype=torch.bool)
        made["video_timestamps"] = torch.arange(num_frames)[None].float()
    if num_images:
        made["pixel_values"] = torch.ones(num_images, 3, 4, 4)
    return made


def test_text_pictures_and_clips_of_different_length_share_a_batch():
    batch = Collator(pad_token_id=9)([row(3, num_frames=2), row(5), row(4, num_frames=3, num_images=2)])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 9, 9], [1, 2, 3, 4, 5], [1, 2, 3, 4, 9]]
    assert batch["attention_mask"].sum(1).tolist() == [3, 5, 4]
    assert batch["labels"][0].tolist() == [1, 2, 3, -100, -100]
    assert batch["pixel_values"].shape == (2, 3, 4, 4)
    assert batch["pixel_values_videos"].shape == (2, 3, 3, 4, 4)
    assert batch["video_frame_mask"].tolist() == [[True, True, False], [True, True, True]]
    assert batch["video_timestamps"].tolist() == [[0, 1, 0], [0, 1, 2]]


def test_text_alone_has_no_pixels():
    assert set(Collator(pad_token_id=0)([row(2), row(3)])) == {
        "input_ids",
        "attention_mask",
        "mm_token_type_ids",
        "labels",
    }


def test_a_step_without_any_word_to_learn_leaves_zero_gradients():
    logits = torch.randn(1, 4, 7, requires_grad=True)
    labels = torch.full((1, 4), -100)
    loss = make_assistant_loss(Network())(logits, labels, 7, num_items_in_batch=torch.tensor(0))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_the_loss_is_the_mean_over_labelled_tokens():
    logits = torch.randn(1, 4, 7)
    labels = torch.tensor([[-100, -100, 3, 5]])
    expected = nn.functional.cross_entropy(logits[0, 1:3], labels[0, 2:])
    torch.testing.assert_close(make_assistant_loss(Network())(logits, labels, 7), expected)


def test_a_step_that_meets_nothing_that_moves_leaves_zero_gradients():
    network = Network()
    freeze_all_but(network, ("multi_modal_projector",))
    logits, labels = torch.randn(1, 4, 7), torch.tensor([[-100, -100, 3, 5]])
    loss = make_assistant_loss(network)(logits, labels, 7)
    loss.backward()
    assert loss.item() > 0
    assert torch.equal(network.model.multi_modal_projector.bias.grad, torch.zeros(3))
    assert network.lm_head.weight.grad is None


BAD = EmptyMediaError("a.mp4", "the file is empty")


def test_bad_media_raise_unless_told_otherwise():
    with pytest.raises(EmptyMediaError, match=r"a\.mp4"):
        MediaTally(MediaSettings()).bad(BAD, sample_id="1")


def test_quarantine_writes_each_bad_medium_down(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    tally = MediaTally(MediaSettings(on_bad_media="quarantine", max_bad_fraction=0.5), path)
    for i in range(4):
        tally.good()
        tally.bad(BAD, sample_id=str(i))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [r["sample"] for r in records] == ["0", "1", "2", "3"]
    assert records[0]["path"] == "a.mp4"
    assert records[0]["kind"] == "EmptyMediaError"
    assert (tally.num_read, tally.num_bad) == (8, 4)


def test_too_many_bad_media_stop_the_run():
    tally = MediaTally(MediaSettings(on_bad_media="skip", max_bad_fraction=0.1))
    for _ in range(17):
        tally.good()
    tally.bad(BAD, sample_id="a")
    tally.bad(BAD, sample_id="b")
    with pytest.raises(BadMediaError, match=r"3 of 20 media.*max_bad_fraction=0\.1.*a\.mp4"):
        tally.bad(BAD, sample_id="c")


def test_an_error_from_a_loader_process_becomes_one_sentence_again():
    crossed = SampleError(
        "Caught SampleError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "dataset.py", line 1\nvalley.training.dataset.SampleError: sample 3: a.mp4: it is empty\n'
    )
    assert str(SampleError.without_traceback(crossed)) == "sample 3: a.mp4: it is empty"
    plain = SampleError("sample 3: a.mp4: the file is empty")
    assert str(SampleError.without_traceback(plain)) == str(plain)


def test_a_half_written_checkpoint_is_passed_over(tmp_path):
    assert last_whole_checkpoint(tmp_path) is None
    for step, state in ((5, "{}"), (10, "{}"), (15, '{"global_'), (20, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-10"


def test_a_torn_last_line_of_the_curve_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert read_metrics(path) == [{"step": 1, "loss": 2.0}]


def test_only_settings_that_matter_count_as_changed():
    fields = {
        "stage": "align",
        "model": {"checkpoint": "base"},
        "data": {"path": "a.jsonl"},
        "output_dir": "out",
        "trainer": {"max_steps": 3, "save_steps": 2},
    }
    before = make_config(fields).model_dump(mode="json")
    trainer = {"max_steps": 3, "save_steps": 1, "logging_steps": 5}
    assert changed_settings(before, make_config({**fields, "trainer": trainer})) == []
    changed = {**fields, "seed": 1, "data": {"path": "b.jsonl"}}
    assert changed_settings(before, make_config(changed)) == ["data.0.path.0", "seed"]
