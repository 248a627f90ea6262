"""Choose the next token from logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from valley.inference.backend import GenerationParams


class NextToken:
    """The likeliest token at temperature 0, else a seeded draw from the likeliest ones (top_p)."""

    def __init__(self, params: GenerationParams) -> None:
        """Take the parameters of one answer; the draw has a generator of its own."""
        self._temperature = params.temperature
        self._top_p = params.top_p
        # Drawn on the CPU, so that a seed means the same on every device.
        self._generator = torch.Generator()
        if params.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(params.seed)

    @property
    def is_greedy(self) -> bool:
        """Whether it is the likeliest token each time."""
        return self._temperature == 0

    def __call__(self, logits: Tensor) -> int:
        """Choose from logits f[vocabulary]."""
        if self._temperature == 0:
            return int(logits.argmax())
        # Double precision: tiny temperatures would overflow single.
        scaled = (logits.double().cpu() - logits.max().double().cpu()) / self._temperature
        probabilities = scaled.softmax(-1)
        if self._top_p < 1:
            probabilities = _nucleus(probabilities, self._top_p)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Keep the likeliest tokens that together reach top_p, always at least one."""
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(-1) - ordered
    return torch.zeros_like(probabilities).scatter(-1, order, ordered.where(before < top_p, 0))


def choose_all(choosers: Sequence[NextToken], logits: Tensor) -> list[int]:
    """Choose for every row of logits f[row vocabulary]; the likeliest ones come from one pass over all."""
    likeliest = logits.argmax(-1).tolist() if any(c.is_greedy for c in choosers) else []
    return [c(logits[n]) if not c.is_greedy else likeliest[n] for n, c in enumerate(choosers)]
