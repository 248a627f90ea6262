"""An optimizer with a learning rate per part: AdamW, and Muon for the layers of parts that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import nn

from valley.training.config import Part
from valley.training.muon import Muon
from valley.training.stages import part_of


def parameter_groups(
    model: nn.Module,
    *,
    learning_rates: Mapping[Part, float],
    muon_learning_rates: Mapping[Part, float],
    weight_decay: float,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Group the parameters that move by part and weight decay; return the groups for AdamW and for Muon.

    Decay pulls matrices and filters; biases, norms (one-dimensional) and embedding tables are left alone.
    Muon takes the matrices inside the layers; embedding tables and the head are no maps between hidden
    states, so they stay with AdamW (as the method's author advises).
    """
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)} - tables
    groups: dict[tuple[Part, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        part = part_of(name)
        decays = parameter.ndim >= 2 and id(parameter) not in tables
        by_muon = (
            part in muon_learning_rates and id(parameter) in matrices and not name.startswith("lm_head.")
        )
        groups.setdefault((part, decays, by_muon), []).append(parameter)
    adamw, muon = [], []
    for (part, decays, by_muon), parameters in groups.items():
        rate = muon_learning_rates[part] if by_muon else learning_rates[part]
        group = {"params": parameters, "part": part, "lr": rate, "weight_decay": weight_decay * decays}
        (muon if by_muon else adamw).append(group)
    return adamw, muon


class PartwiseOptimizer:
    """An optimizer factory for transformers.Trainer.

    Trainer calls ``PartwiseOptimizer()(model, **kwargs)`` once the model is where it will be trained.
    """

    def __call__(
        self,
        model: nn.Module,
        *,
        learning_rates: Mapping[Part, float],
        muon_learning_rates: Mapping[Part, float],
        weight_decay: float,
        betas: tuple[float, float],
        eps: float,
    ) -> torch.optim.Optimizer:
        """Make the optimizer for the parameters of `model` that move."""
        adamw_groups, muon_groups = parameter_groups(
            model,
            learning_rates=learning_rates,
            muon_learning_rates=muon_learning_rates,
            weight_decay=weight_decay,
        )
        # The default rate is what schedules with a floor measure themselves against.
        adamw = torch.optim.AdamW(
            adamw_groups, lr=max(learning_rates.values()), betas=betas, eps=eps, fused=True
        )
        if not muon_groups:
            return adamw
        return OptimizerPair(adamw, Muon(muon_groups))


class OptimizerPair(torch.optim.Optimizer):
    """Two optimizers that step together; schedules see the groups of both."""

    def __init__(self, first: torch.optim.Optimizer, second: torch.optim.Optimizer) -> None:
        self.pair = (first, second)
        self.defaults = first.defaults
        super().__init__(list(chain(first.param_groups, second.param_groups)), self.defaults)
        # The very dicts of the two: a rate that a schedule sets reaches them.
        self.param_groups = [*first.param_groups, *second.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Step both; a closure is not supported."""
        if closure is not None:
            raise ValueError("want no closure: the two optimizers would evaluate it twice")
        for optimizer in self.pair:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Give the states of both."""
        return {"pair": [optimizer.state_dict() for optimizer in self.pair]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the states of both, and hold on to their new groups."""
        for optimizer, state in zip(self.pair, state_dict["pair"], strict=True):
            optimizer.load_state_dict(state)
        self.param_groups = [*self.pair[0].param_groups, *self.pair[1].param_groups]
