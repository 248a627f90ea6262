"""Packed and padded batches are the same step: loss and gradients agree, whatever is packed with what."""

from __future__ import annotations

import copy

import pytest
import torch

from valley.conversation import Conversation, Image, Video, assistant, user
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.training.collator import Collator, fill_rows
from valley.training.labelling import encode
from valley.training.loss import make_assistant_loss
from valley.training.media import Sample
from valley.video.frames import Frames


@pytest.fixture
def rows(tiny_processor, make_clip):
    """Samples of every kind and of different length."""

    def sample(question: str, answer: str, *media) -> dict:
        parts = tuple(Video("") if isinstance(m, Frames) else Image("") for m in media)
        conversation = Conversation((user(*parts, question), assistant(answer)))
        return encode(tiny_processor, Sample(conversation, media))

    def clip(num_frames: int, seed: int) -> Frames:
        return Frames.from_arrays(make_clip(num_frames, seed=seed), [0.5 * i for i in range(num_frames)])

    return [
        sample("Which way?", "To the right.", clip(3, 1)),
        sample("Hello", "Hello there. " * 20),
        sample("What is it?", "A circle.", make_clip(1, seed=2)[0]),
        sample("And both?", "To the right, the blue square.", make_clip(1, seed=3)[0], clip(2, 4)),
        sample("So?", "Yes."),
    ]


@pytest.fixture(params=["eager", "sdpa"])
def model(request, tiny_checkpoint):
    made = ValleyForConditionalGeneration.from_pretrained(
        tiny_checkpoint, dtype=torch.float32, attn_implementation=request.param
    ).train()
    made.loss_function = make_assistant_loss(made)
    return made


def step(model, batch):
    model.zero_grad()
    loss = model(**batch, use_cache=False).loss
    loss.backward()
    return loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("one_row", [False, True])
def test_packed_loss_and_gradients_equal_padded_ones(one_row: bool, model, rows, tiny_processor) -> None:
    pad = tiny_processor.tokenizer.pad_token_id
    padded, packed = Collator(pad)(rows), Collator(pad, packing=True, one_row=one_row)(rows)
    assert packed["input_ids"].shape[0] < padded["input_ids"].shape[0]
    assert packed["input_ids"].numel() < padded["input_ids"].numel()
    assert "attention_mask" not in packed
    wanted, wanted_gradients = step(model, padded)
    got, gradients = step(model, packed)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)
    assert gradients.keys() == wanted_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted_gradients[name], rtol=1e-3, atol=1e-5, msg=name)


def test_no_word_of_one_sample_reaches_another(model, rows, tiny_processor) -> None:
    collate = Collator(tiny_processor.tokenizer.pad_token_id, packing=True, one_row=True)
    other = copy.deepcopy(rows)
    other[0]["input_ids"][-3:] = 7
    with torch.no_grad():
        one, two = (model(**collate(r), use_cache=False).logits[0] for r in (rows, other))
    behind = len(rows[0]["input_ids"])
    torch.testing.assert_close(one[behind:], two[behind:], rtol=0, atol=1e-6)


def test_nothing_is_learned_from_the_step_between_samples(rows, tiny_processor) -> None:
    batch = Collator(tiny_processor.tokenizer.pad_token_id, packing=True, one_row=True)(rows)
    starts = (batch["position_ids"][0] == 0).nonzero().flatten()
    assert len(starts) == len(rows)
    assert (batch["labels"][0, starts] == -100).all()


def test_rows_are_filled_closely_and_in_order() -> None:
    assert fill_rows([9, 2, 7, 1, 3], 10) == [[0, 3], [1], [2, 4]]
    filled = fill_rows([5, 5, 4, 3, 2, 1], 10)
    assert sorted(n for row in filled for n in row) == list(range(6))
    assert len(filled) == 2
    assert fill_rows([4], 4) == [[0]]


def test_a_spare_frame_goes_along_where_there_is_no_medium(model, rows, tiny_processor) -> None:
    spare = torch.zeros(1, 3, 32, 32)
    collate = Collator(tiny_processor.tokenizer.pad_token_id, spare=spare)
    assert "spare_pixel_values" not in collate(rows)
    words = [rows[1], rows[4]]
    batch = collate(words)
    assert batch["spare_pixel_values"] is spare
    got, gradients = step(model, batch)
    wanted, _ = step(model, Collator(tiny_processor.tokenizer.pad_token_id)(words))
    torch.testing.assert_close(got, wanted)
    projector = gradients["model.multi_modal_projector.linear_1.weight"]
    assert (projector == 0).all()


def test_features_stand_for_pixels(model, rows, tiny_processor) -> None:
    collate = Collator(tiny_processor.tokenizer.pad_token_id)
    batch = collate(rows)
    with torch.no_grad():
        wanted = model(**batch, use_cache=False).loss
        featured = [dict(row) for row in rows]
        for row in featured:
            if "pixel_values" in row:
                row["pixel_features"] = model.model.tower_features(row.pop("pixel_values"))
            if "pixel_values_videos" in row:
                clips = row.pop("pixel_values_videos")
                row["pixel_features_videos"] = model.model.tower_features(clips[0])[None]
        got = model(**collate(featured), use_cache=False).loss
    torch.testing.assert_close(got, wanted)
