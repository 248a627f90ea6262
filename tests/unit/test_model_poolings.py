from __future__ import annotations

import pytest
import torch

from valley.model.temporal_pooling import build_temporal_pooling, frame_groups, pooling_class, sinusoids

DIM, NUM_PATCHES = 8, 3


def make(name, **options):
    torch.manual_seed(0)
    return build_temporal_pooling(name, options, dim=DIM, num_patches=NUM_PATCHES).eval()


def clip(num_frames):
    return torch.randn(num_frames, NUM_PATCHES, DIM, generator=torch.Generator().manual_seed(3))


def test_one_chunk_for_all_frames_is_the_mean():
    features, times = clip(6), torch.arange(6.0)
    assert torch.equal(
        make("chunk", frames_per_chunk=6)(features, times).tokens, make("mean")(features, times).tokens
    )


def test_chunks_keep_their_order_and_times():
    features, times = clip(5), torch.tensor([0.0, 0.4, 1.0, 1.1, 7.0])
    pooled = make("chunk", frames_per_chunk=2)(features, times)
    torch.testing.assert_close(
        pooled.tokens, torch.cat([features[:2].mean(0), features[2:4].mean(0), features[4]])
    )
    torch.testing.assert_close(pooled.spans_s, torch.tensor([[0.0, 0.4], [1.0, 1.1], [7.0, 7.0]]))
    assert frame_groups("chunk", {"frames_per_chunk": 2}, 5) == [range(2), range(2, 4), range(4, 5)]


def test_importance_weights_sum_to_one_over_the_real_frames():
    pooling = make("importance")
    torch.testing.assert_close(pooling.importance(clip(5)).sum(), torch.tensor(1.0))


def test_importance_refuses_another_number_of_patches():
    with pytest.raises(ValueError, match="made for 3 patches, got 2"):
        make("importance")(clip(4)[:, :2], torch.arange(4.0))


def test_positions_go_on_beyond_the_saved_ones():
    pooling = make("transformer", num_heads=2, feed_forward_dim=8, max_positions=4)
    torch.testing.assert_close(pooling.positions(7), sinusoids(7, DIM))
    pooling.position_matrix.zero_()  # the saved values count where there are any
    assert (pooling.positions(7)[:4] == 0).all()


@pytest.mark.parametrize("dim", [7, 8])
def test_sinusoids_begin_with_zero_and_one(dim):
    table = sinusoids(3, dim)
    assert table.shape == (3, dim)
    assert (table[0, 0::2] == 0).all()
    assert (table[0, 1::2] == 1).all()


def test_an_unknown_pooling_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'importance'"):
        pooling_class("importence")
    with pytest.raises(ValueError, match="frames_per_chunk"):
        make("chunk", frames_per_chunk=0)
