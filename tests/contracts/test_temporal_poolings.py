"""What every temporal pooling must do; a new one is covered by being in TEMPORAL_POOLINGS."""

from __future__ import annotations

import pytest
import torch

from valley.model.temporal_pooling import TEMPORAL_POOLINGS, build_temporal_pooling, frame_groups

DIM, NUM_PATCHES = 16, 4
OPTIONS = {
    "transformer": {"num_heads": 4, "feed_forward_dim": 32, "max_positions": 6, "dropout": 0.0},
    "chunk": {"frames_per_chunk": 3},
}
# Sums of a few numbers near 1 in another order.
EXACT = {"rtol": 1e-6, "atol": 1e-6}


def make(name: str, dtype: torch.dtype = torch.float32):
    torch.manual_seed(0)
    pooling = build_temporal_pooling(name, OPTIONS.get(name, {}), dim=DIM, num_patches=NUM_PATCHES)
    return pooling.to(dtype).eval()


def clip(num_frames: int, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(num_frames)
    features = torch.randn(num_frames, NUM_PATCHES, DIM, generator=generator).to(dtype)
    return features, torch.arange(num_frames) * 0.5


pytestmark = pytest.mark.parametrize("name", sorted(TEMPORAL_POOLINGS))


@pytest.mark.parametrize("num_frames", [1, 2, 3, 7, 8, 20])
def test_number_of_tokens_is_known_before_the_forward_pass(name, num_frames):
    pooling = make(name)
    wanted = pooling.num_tokens(num_frames, NUM_PATCHES)
    pooled = pooling(*clip(num_frames))
    assert pooled.tokens.shape == (wanted, DIM)
    assert wanted == len(frame_groups(name, OPTIONS.get(name, {}), num_frames)) * NUM_PATCHES


@pytest.mark.parametrize("num_frames", [1, 5, 8])
def test_spans_cover_the_clip_in_order(name, num_frames):
    _, shown_at_s = clip(num_frames)
    spans_s = make(name)(*clip(num_frames)).spans_s
    assert spans_s[0, 0] == shown_at_s[0]
    assert spans_s[-1, 1] == shown_at_s[-1]
    assert (spans_s[:, 1] >= spans_s[:, 0]).all()
    assert (spans_s[1:, 0] > spans_s[:-1, 1]).all()


@pytest.mark.parametrize("real", [1, 4, 5])
def test_padding_changes_nothing(name, real):
    pooling = make(name)
    features, shown_at_s = clip(real)
    rubbish = torch.full((3, NUM_PATCHES, DIM), 1e6)
    padded = pooling(
        torch.cat([features, rubbish]),
        torch.cat([shown_at_s, torch.zeros(3)]),
        torch.arange(real + 3) < real,
    )
    alone = pooling(features, shown_at_s)
    assert torch.equal(padded.tokens, alone.tokens)
    assert torch.equal(padded.spans_s, alone.spans_s)


def test_frames_missing_in_the_middle_are_not_there(name):
    pooling = make(name)
    features, shown_at_s = clip(6)
    mask = torch.tensor([True, False, True, True, False, True])
    assert torch.equal(
        pooling(features, shown_at_s, mask).tokens, pooling(features[mask], shown_at_s[mask]).tokens
    )


def test_a_clip_without_frames_is_refused(name):
    features, shown_at_s = clip(2)
    with pytest.raises(ValueError, match="at least one frame"):
        make(name)(features, shown_at_s, torch.zeros(2, dtype=torch.bool))


def test_gradients_reach_features_and_every_weight(name):
    pooling = make(name).train()
    features, shown_at_s = clip(5)
    features.requires_grad_()
    tokens = pooling(features, shown_at_s).tokens
    (tokens * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    assert features.grad is not None
    assert (features.grad.flatten(1).abs().sum(1) > 0).all(), "a frame was ignored"
    for weight_name, weight in pooling.named_parameters():
        assert weight.grad is not None, weight_name
        assert weight.grad.isfinite().all(), weight_name


def test_saved_and_loaded_it_is_the_same(name, tmp_path):
    from safetensors.torch import load_file, save_file

    first, second = make(name), make(name)
    for weight in second.parameters():
        weight.data.add_(1.0)
    save_file(first.state_dict(), tmp_path / "pooling.safetensors")
    second.load_state_dict(load_file(tmp_path / "pooling.safetensors"))
    assert torch.equal(first(*clip(5)).tokens, second(*clip(5)).tokens)


def test_bfloat16_stays_near_float32(name):
    exact = make(name)(*clip(8)).tokens
    features, shown_at_s = clip(8, torch.bfloat16)
    rounded = make(name, torch.bfloat16)(features, shown_at_s).tokens
    assert rounded.dtype == torch.bfloat16
    # bfloat16 has 8 bits of mantissa; a handful of roundings of numbers up to 3.
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.06)


def test_one_clip_is_one_forward_whatever_came_before(name):
    pooling = make(name)
    alone = pooling(*clip(4)).tokens
    pooling(*clip(9))
    assert torch.equal(pooling(*clip(4)).tokens, alone)


def test_one_frame_keeps_its_patches_in_a_pooling_that_averages(name):
    if name == "transformer":
        pytest.skip("adds what its encoder says even for one frame")
    features, shown_at_s = clip(1)
    torch.testing.assert_close(make(name)(features, shown_at_s).tokens, features[0], **EXACT)


def test_an_unknown_option_is_refused_by_name(name):
    with pytest.raises(ValueError, match="frames_per_chunks"):
        build_temporal_pooling(name, {"frames_per_chunks": 2}, dim=DIM, num_patches=NUM_PATCHES)
