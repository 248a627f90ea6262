"""Muon takes the steps of torch's own, and asks the device before it computes in bfloat16."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from valley.training import precision
from valley.training.muon import Muon, orthogonal
from valley.training.precision import has_bf16_products, wants_bf16


def matrices() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in ((24, 24), (24, 24), (48, 16), (16, 48))]


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon to compare with")
def test_its_steps_are_those_of_torch() -> None:
    mine = matrices()
    theirs = copy.deepcopy(mine)
    settings = {"lr": 1e-2, "weight_decay": 0.1}
    optimizers = [
        Muon(mine, **settings),
        torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **settings),
    ]
    before = [p.detach().clone() for p in mine]
    for _ in range(3):
        for one, other in zip(mine, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for start, one, other in zip(before, mine, theirs, strict=True):
        moved, their_move = (one - start).detach(), (other - start).detach()
        # torch computes in bfloat16, which has three digits
        assert (moved - their_move).abs().max() < 0.03 * moved.abs().max()


def test_a_move_is_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in ((3, 20, 20), (2, 40, 10), (2, 10, 40)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)).float())
        assert values.min() > 0.3
        assert values.max() < 1.3


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"want matrices, got a parameter of shape \(3,\)"):
        Muon([nn.Parameter(torch.zeros(3))])


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, True), ({"avx512_bf16": False, "avx2": True}, False)],
)
def test_auto_asks_the_processor(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], *, expected: bool
) -> None:
    monkeypatch.setattr(precision.torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(precision.torch.cuda, "is_available", lambda: False)
    assert has_bf16_products() is expected
    assert wants_bf16("auto") is expected
    assert wants_bf16(setting=True)
    assert not wants_bf16(setting=False)
