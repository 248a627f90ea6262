"""Any cache of transformers, for models whose state cannot be padded: one row at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import Cache


class OneRowCache:
    """A cache with at most one row, in the manner of `RowsCache`.

    Attributes:
        lengths: the tokens of the row, if there is one.
    """

    def __init__(self, config: PretrainedConfig, past: Cache | None = None, num_tokens: int = 0) -> None:
        """Begin with `num_tokens` that `past` holds, or with nothing."""
        self.past = past if past is not None else DynamicCache(config=config)
        self.lengths = [num_tokens]

    @property
    def num_bytes(self) -> int:
        """Count the memory held."""
        return sum(t.nbytes for layer in self.past.layers for t in _tensors(vars(layer).values()))

    def begin(self) -> int:
        """Give the number of tokens held."""
        return max(self.lengths, default=0)

    def advanced(self, lengths: Sequence[int]) -> None:
        """Note the length after a pass of the network."""
        self.lengths = list(lengths)


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """Find the tensors among a layer's fields; some keep several states in a dictionary or list."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, dict):
            found += _tensors(value.values())
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found
