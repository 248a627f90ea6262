"""The three published poolings against what the published code computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from valley.model.temporal_pooling import build_temporal_pooling

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "common" / "poolings.safetensors"
pytestmark = pytest.mark.skipif(not GOLDEN.is_file(), reason="../shared/golden is not beside this checkout")

# Of the tensor's largest value, as everywhere in the golden data; float32 rounds at 6e-8 of it.
TOLERANCE = 1e-6


def assert_published(got, wanted):
    error = float((got.detach() - wanted).abs().max() / wanted.abs().max())
    assert error <= TOLERANCE, f"off by {error:.1e} of the largest value"


@pytest.fixture(scope="module")
def golden():
    return load_file(GOLDEN)


def published(name, golden):
    num_patches, dim = golden["T1/mean"].shape
    options = {}
    if name == "transformer":
        positions = golden["position_matrix_first_64"]
        feed_forward_dim = golden["transformer_delta_encoder.layers.0.linear1.bias"].shape[0]
        options = {
            "num_heads": 8,
            "feed_forward_dim": feed_forward_dim,
            "max_positions": len(positions),
        }
    pooling = build_temporal_pooling(name, options, dim=dim, num_patches=num_patches)
    weights = {}
    if name == "importance":
        weights = {k: v for k, v in golden.items() if k.startswith("pooling_layer.")}
    if name == "transformer":
        prefix = "transformer_delta_encoder."
        weights = {"encoder." + k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}
        weights["position_matrix"] = golden["position_matrix_first_64"]
    pooling.load_state_dict(weights)
    return pooling.eval()


@pytest.mark.parametrize("num_frames", [1, 3, 8])
@pytest.mark.parametrize("name", ["mean", "importance", "transformer"])
def test_pooled_tokens_are_the_published_ones(name, num_frames, golden):
    pooling = published(name, golden)
    patches = golden[f"T{num_frames}/patches"]
    tokens = pooling(patches, torch.arange(float(num_frames))).tokens.detach()
    assert_published(tokens, golden[f"T{num_frames}/{name}"])


@pytest.mark.parametrize("num_frames", [1, 3, 8])
def test_importance_weights_are_the_published_ones(num_frames, golden):
    weights = published("importance", golden).importance(golden[f"T{num_frames}/patches"]).detach()
    assert_published(weights, golden[f"T{num_frames}/importance_weights"])


def test_computed_positions_are_the_published_ones(golden):
    from valley.model.temporal_pooling import sinusoids

    positions = golden["position_matrix_first_64"]
    assert_published(sinusoids(*positions.shape), positions)
