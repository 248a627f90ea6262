"""What this code computed with tiny checkpoints when `make_own.py` recorded it, it still computes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("make_own", HERE / "make_own.py")
make_own = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_own)
IDENTICAL = ("input_ids", "labels", "greedy")


@pytest.mark.parametrize("pooling", make_own.POOLINGS)
def test_recorded_numbers_have_not_moved(pooling: str) -> None:
    recorded = load_file(HERE / "own" / pooling / "recorded.safetensors")
    computed = make_own.record(HERE / "own" / pooling)
    assert computed.keys() == recorded.keys()
    for name, tensor in recorded.items():
        if name in IDENTICAL:
            assert torch.equal(computed[name], tensor), name
        else:
            error = float((computed[name] - tensor).abs().max() / tensor.abs().max())
            assert error < 1e-5, f"{name}: off by {error:.1e} of the largest value"


def test_the_recordings_differ() -> None:
    """A recording that every pooling would meet would prove nothing."""
    tokens = {
        p: load_file(HERE / "own" / p / "recorded.safetensors")["video_tokens"] for p in make_own.POOLINGS
    }
    names = list(tokens)
    for one in names:
        for other in names:
            if one != other:
                same_shape = tokens[one].shape == tokens[other].shape
                assert not (same_shape and torch.allclose(tokens[one], tokens[other], atol=1e-3)), (
                    one,
                    other,
                )
