"""The Muon optimizer (Jordan et al. 2024, kellerjordan.github.io/posts/muon), without bfloat16 too.

Torch has one since 2.9, which computes in bfloat16 wherever it runs: on a processor without such products its
step took longer than the forward and backward pass of a model of 2 M parameters. This one asks the device
first, and takes matrices of one shape together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from valley.training.precision import has_bf16_products

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
RMS_OF_ADAMW = 0.2
"""A step's root mean square, about that of AdamW (Liu et al. 2025, arXiv 2502.16982, section 2.2)."""


class Muon(torch.optim.Optimizer):
    """Momentum whose every step is made orthogonal; for matrices that map one hidden state to another."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        """Take matrices, f[out in] each; `lr` can be compared with AdamW's.

        Raises:
            ValueError: a parameter is no matrix.
        """
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        for parameter in (p for group in self.param_groups for p in group["params"]):
            if parameter.ndim != 2:
                raise ValueError(f"Muon: want matrices, got a parameter of shape {tuple(parameter.shape)}")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move every matrix that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape: dict[tuple[torch.Size, torch.device], list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault((parameter.shape, parameter.device), []).append(parameter)
            for (shape, _), parameters in by_shape.items():
                rate = group["lr"] * RMS_OF_ADAMW * math.sqrt(max(shape))
                moves = orthogonal(torch.stack([self._pushed(p, group["momentum"]) for p in parameters]))
                for parameter, move in zip(parameters, moves, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(move.to(parameter.dtype), alpha=-rate)
        return loss

    def _pushed(self, parameter: Tensor, momentum: float) -> Tensor:
        """Give the gradient with Nesterov momentum."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter.grad)
        state["momentum_buffer"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(state["momentum_buffer"], momentum)


def orthogonal(matrices: Tensor) -> Tensor:
    """Bring the singular values of f[matrix row column] near one, by a quintic Newton-Schulz iteration."""
    a, b, c = NEWTON_SCHULZ
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    dtype = torch.bfloat16 if has_bf16_products(matrices.device.type) else torch.float32
    x = (matrices.mT if is_tall else matrices).to(dtype)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)  # no singular value is above one then
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    return x.mT if is_tall else x
