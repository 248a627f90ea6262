"""Keys and values of several rows in one padded cache; rows come and go at any step.

Every row ends in the newest column; shorter rows are padded on the left, as transformers pads prompts, so any
model that takes a left-padded batch takes this cache. Columns are written in place into buffers with room to
grow: a step copies nothing, a row that comes or goes copies itself alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

# Buffers grow by half of what they hold, and at least by this many columns: a copy every 64 tokens or more.
_MIN_GROWTH = 64


def can_be_batched(config: PretrainedConfig) -> bool:
    """Say whether a model's cache is nothing but keys and values, one a token, that can be padded and joined.

    State space layers, and those with an index of their own, keep what has no column for each token.
    """
    layers = DynamicCache(config=config).layers
    return bool(layers) and all(type(layer) in _LAYERS for layer in layers)


@dataclass(frozen=True)
class KeptRow:
    """Keys and values of one row, each [1, head, token, dim], a pair a layer; nobody writes into them."""

    layers: tuple[tuple[Tensor, Tensor] | None, ...]
    num_tokens: int

    @property
    def num_bytes(self) -> int:
        """Count the memory held."""
        return sum(k.nbytes + v.nbytes for k, v in filter(None, self.layers))

    def get_seq_length(self) -> int:
        """Count the tokens held."""
        return self.num_tokens


class RowsLayer(CacheLayerMixin):
    """One layer of `RowsCache`: buffers [row, head, column, dim] with columns `start` to `end` in use.

    A layer with a sliding window keeps every column, and shows the attention those within the window.
    """

    is_croppable = True

    def __init__(self, window: int | None = None) -> None:
        super().__init__()
        self.window = window
        self.is_sliding = window is not None
        self.num_rows = self.start = self.end = 0
        self.buffers: tuple[Tensor, Tensor]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Learn number of heads, dimensions, type and device from the first keys and values."""
        self.buffers = _zeros(key_states, 0, 0), _zeros(value_states, 0, 0)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write new columns for all rows; give those that the attention sees."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        past, new = self._seen(), key_states.shape[2]
        self.num_rows = len(key_states)
        self.reserve(self.num_rows, 0, new)
        for here, states in zip(self._at(self.end, self.end + new), (key_states, value_states), strict=True):
            here.copy_(states)
        self.end += new
        return self._at(self.end - new - past, self.end)

    def get_seq_length(self) -> int:
        """Count the columns in use, padding too."""
        return self.end - self.start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Give how many columns the attention will see, and how many it will not, before them."""
        return self._seen() + query_length, self.get_seq_length() - self._seen()

    def get_max_length(self) -> int:
        """There is none."""
        return -1

    def reserve(self, num_rows: int, left: int, right: int) -> None:
        """Make room for so many rows, and for columns on either side of the end."""
        rows, _, columns, _ = self.buffers[0].shape
        if num_rows <= rows and left <= self.end and self.end + right <= columns:
            return
        width = self.get_seq_length()
        left = max(left, width)
        columns = left + max(right, _MIN_GROWTH, left // 2)
        rows = num_rows if num_rows <= rows else max(num_rows, 2 * rows)
        old, self.buffers = (
            self.buffers,
            (
                _zeros(self.buffers[0], rows, columns),
                _zeros(self.buffers[1], rows, columns),
            ),
        )
        if width and self.num_rows:
            for here, there in zip(self.buffers, old, strict=True):
                here[: self.num_rows, :, left - width : left] = there[
                    : self.num_rows, :, self.start : self.end
                ]
        self.start, self.end = left - width, left

    def row(self, number: int, length: int) -> tuple[Tensor, Tensor]:
        """Show the newest columns of a row."""
        keys, values = self.buffers
        columns = slice(self.end - length, self.end)
        return keys[number : number + 1, :, columns], values[number : number + 1, :, columns]

    def write(self, number: int, pair: tuple[Tensor, Tensor], length: int) -> None:
        """Put the first `length` columns of `pair` behind each other so that they end where all rows end."""
        for here, there in zip(self.row(number, length), pair, strict=True):
            here.copy_(there[:, :, :length])

    def _seen(self) -> int:
        past = self.get_seq_length()
        return past if self.window is None else min(past, self.window - 1)

    def _at(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        keys, values = self.buffers
        return keys[: self.num_rows, :, first:last], values[: self.num_rows, :, first:last]


class RowsCache(Cache):
    """A transformers cache of rows of different lengths.

    Attributes:
        lengths: the tokens of each row.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        """Make an empty one for a model for which `can_be_batched` holds."""
        made = DynamicCache(config=config).layers
        self.lengths: list[int] = []
        super().__init__(layers=[_LAYERS[type(layer)](layer) for layer in made])

    @property
    def past(self) -> Cache:
        """What the network takes as `past_key_values`."""
        return self

    @property
    def num_bytes_a_token(self) -> int:
        """Count the memory of one token of one row."""
        pairs = [layer.row(0, 1) for layer in self._layers()]
        return sum(k.nbytes + v.nbytes for k, v in pairs)

    def fill(self, kept: Sequence[KeptRow | None], lengths: Sequence[int]) -> None:
        """Begin with rows that are known already, up to `lengths`; None and 0 where nothing is."""
        self.lengths = list(lengths)
        width = max(lengths)
        for number, layer in enumerate(self.layers):
            pairs = [None if row is None else row.layers[number] for row in kept]
            some = next((pair for pair in pairs if pair is not None), None)
            if some is None or not isinstance(layer, RowsLayer):
                continue
            layer.lazy_initialization(*some)
            layer.reserve(len(lengths), width, 0)
            layer.num_rows, layer.start = len(lengths), layer.end - width
            for row, (pair, length) in enumerate(zip(pairs, lengths, strict=True)):
                if pair is not None:
                    layer.write(row, pair, length)

    def begin(self) -> int:
        """Leave out columns that no row needs any more; give the width of what is left."""
        width = max(self.lengths, default=0)
        for layer in self._layers():
            layer.start = layer.end - width
        return width

    def advanced(self, lengths: Sequence[int]) -> None:
        """Note the lengths after a pass of the network."""
        self.lengths = list(lengths)

    def rewind(self, width: int) -> None:
        """Undo a pass that failed between two layers."""
        for layer in self._layers():
            layer.end = layer.start + width

    def join(self, other: RowsCache) -> None:
        """Take in all rows of another cache."""
        if not self.lengths:
            self.layers, self.lengths = other.layers, list(other.lengths)
            return
        first, num_rows, width = len(self.lengths), len(self.lengths) + len(other.lengths), max(other.lengths)
        pairs = list(zip(self._layers(), other._layers(), strict=True))
        for here, _ in pairs:  # all memory first: where it runs out, nothing has changed
            here.reserve(num_rows, width, 0)
        for here, there in pairs:
            here.num_rows = num_rows
            for row, length in enumerate(other.lengths):
                here.write(first + row, there.row(row, length), length)
        self.lengths += other.lengths

    def keep(self, number: int) -> KeptRow:
        """Copy a row out."""
        length = self.lengths[number]
        layers = []
        for layer in self.layers:
            pair = layer.row(number, length) if isinstance(layer, RowsLayer) else None
            layers.append(None if pair is None else (pair[0].clone(), pair[1].clone()))
        return KeptRow(tuple(layers), length)

    def remove(self, number: int) -> None:
        """Take a row out; the last one moves to its place."""
        last = len(self.lengths) - 1
        for layer in self._layers():
            if number != last:
                layer.write(number, layer.row(last, self.lengths[last]), self.lengths[last])
            layer.num_rows = last
        self.lengths[number] = self.lengths[last]
        self.lengths.pop()

    def _layers(self) -> list[RowsLayer]:
        return [layer for layer in self.layers if isinstance(layer, RowsLayer) and layer.is_initialized]


def _zeros(like: Tensor, num_rows: int, num_columns: int) -> Tensor:
    """Make a buffer; zeros, because padding is masked by a weight of zero, and zero times NaN is NaN."""
    return torch.zeros(
        num_rows, like.shape[1], num_columns, like.shape[3], dtype=like.dtype, device=like.device
    )


_LAYERS: dict[type, Any] = {
    DynamicLayer: lambda _: RowsLayer(),
    DynamicSlidingWindowLayer: lambda layer: RowsLayer(layer.sliding_window),
    DummyLayer: lambda _: DummyLayer(),
}
