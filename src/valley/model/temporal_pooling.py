"""Temporal poolings: how the patch features of a clip's frames become the visual tokens of the whole clip.

To add one, write a class with `pool` (and `frame_groups`, where tokens stand for less than a clip) and add it
to `TEMPORAL_POOLINGS`. Frames that only pad a batch are dropped before `pool`: no pooling sees them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .tensor_types import Bool, Float


@dataclass(frozen=True, eq=False)
class PooledTokens:
    """The pooled patch tokens of one clip.

    Attributes:
        tokens: groups of equal size, in time order; within a group the patches keep their order.
        spans_s: for each group the times at which its first and its last frame are shown, in seconds.
    """

    tokens: Float[Tensor, "token dim"]
    spans_s: Float[Tensor, "group 2"]


class TemporalPooling(nn.Module):
    """Pool ``features[frame patch dim]`` of one clip over time.

    Args:
        dim: width of the features, which is the language model's.
        num_patches: patches of one frame.
    """

    def __init__(self, *, dim: int, num_patches: int) -> None:
        super().__init__()
        self.dim = dim
        self.num_patches = num_patches
        self.options: dict[str, Any] = {}

    @staticmethod
    def frame_groups(num_frames: int) -> list[range]:
        """List the frames that each group of patch tokens stands for; by default one group for the clip."""
        return [range(num_frames)]

    def num_tokens(self, num_frames: int, num_patches: int) -> int:
        """Count the tokens of a clip before any forward pass."""
        return len(self.frame_groups(num_frames, **self.options)) * num_patches

    def pool(self, features: Float[Tensor, "frame patch dim"]) -> Float[Tensor, "token dim"]:
        """Pool the real frames of one clip (at least one)."""
        raise NotImplementedError

    def forward(
        self,
        features: Float[Tensor, "frame patch dim"],
        shown_at_s: Float[Tensor, " frame"],
        mask: Bool[Tensor, " frame"] | None = None,
    ) -> PooledTokens:
        """Pool one clip.

        Args:
            features: projected patch features.
            shown_at_s: when each frame is shown, in seconds.
            mask: True for real frames, False for padding; all are real by default.

        Raises:
            ValueError: no frame is real.
        """
        if mask is not None:
            features, shown_at_s = features[mask], shown_at_s[mask]
        if features.shape[0] == 0:
            raise ValueError("a clip needs at least one frame, got none")
        groups = self.frame_groups(features.shape[0], **self.options)
        spans_s = torch.stack([shown_at_s[[group.start, group.stop - 1]] for group in groups])
        return PooledTokens(self.pool(features), spans_s)


class MeanPooling(TemporalPooling):
    """Average over time (Valley v1)."""

    def pool(self, features: Float[Tensor, "frame patch dim"]) -> Float[Tensor, "token dim"]:
        """Average the frames."""
        return features.mean(0)


class FrameScore(nn.Module):
    """One number for each frame from all its patches.

    A sum of products instead of a matrix product: summed pairwise, the thousands of terms keep their last
    digits, whatever the machine's matrix library does. And no `nn.Linear`, which engines put their own for.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, num_features))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, features: Float[Tensor, "frame flat"]) -> Float[Tensor, " frame"]:
        """Score frames, in float32."""
        return (features.float() * self.weight.float()).sum(-1) + self.bias.float()


class ImportancePooling(TemporalPooling):
    """Weighted sum over time; a linear layer scores each frame's flattened patches (Valley v2)."""

    def __init__(self, *, dim: int, num_patches: int) -> None:
        super().__init__(dim=dim, num_patches=num_patches)
        self.pooling_layer = FrameScore(num_patches * dim)

    def importance(self, features: Float[Tensor, "frame patch dim"]) -> Float[Tensor, " frame"]:
        """Give each frame its weight; the weights sum to one.

        Raises:
            ValueError: the frames have another number of patches than the layer was made for.
        """
        if features.shape[1] != self.num_patches:
            raise ValueError(
                f"importance pooling was made for {self.num_patches} patches, got {features.shape[1]}"
            )
        return self.pooling_layer(features.flatten(1)).softmax(0).to(features.dtype)

    def pool(self, features: Float[Tensor, "frame patch dim"]) -> Float[Tensor, "token dim"]:
        """Sum the frames by importance."""
        return (features * self.importance(features)[:, None, None]).sum(0)


class SelfAttention(nn.Module):
    """Attention of a time series to itself, with the names of `nn.MultiheadAttention`'s weights.

    That module reaches into its output layer, and so breaks where an engine puts its own layer there.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"num_heads: want a divisor of the width {dim}, got {num_heads}")
        self.num_heads, self.dropout = num_heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, series: Float[Tensor, "frame patch dim"]) -> Float[Tensor, "frame patch dim"]:
        """Let every frame look at all frames, each patch at its own series."""
        num_frames, num_patches, dim = series.shape
        projected = F.linear(series, self.in_proj_weight, self.in_proj_bias)
        heads = projected.view(num_frames, num_patches, 3, self.num_heads, dim // self.num_heads)
        query, key, value = heads.permute(2, 1, 3, 0, 4)
        seen = F.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        return self.out_proj(seen.permute(2, 0, 1, 3).reshape(series.shape))


class EncoderLayer(nn.Module):
    """One layer of a transformer with norms behind its steps (Attention Is All You Need, section 3.1)."""

    def __init__(self, dim: int, num_heads: int, feed_forward_dim: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(dim, num_heads, dropout)
        self.linear1 = nn.Linear(dim, feed_forward_dim)
        self.linear2 = nn.Linear(feed_forward_dim, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, series: Float[Tensor, "frame patch dim"]) -> Float[Tensor, "frame patch dim"]:
        """Attend, then transform each place on its own."""
        series = self.norm1(series + self.dropout(self.self_attn(series)))
        inner = self.dropout(F.relu(self.linear1(series)))
        return self.norm2(series + self.dropout(self.linear2(inner)))


class Encoder(nn.Module):
    """Layers one behind the other."""

    def __init__(self, *layers: EncoderLayer) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, series: Float[Tensor, "frame patch dim"]) -> Float[Tensor, "frame patch dim"]:
        """Run them all."""
        for layer in self.layers:
            series = layer(series)
        return series


class TransformerPooling(TemporalPooling):
    """Mean plus the last position of a one-layer transformer over each patch's time series (Valley v3).

    The positions are a buffer that is saved with the weights: a published checkpoint's own values count.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_patches: int,
        num_heads: int = 8,
        feed_forward_dim: int = 2048,
        max_positions: int = 2048,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dim=dim, num_patches=num_patches)
        self.options = {
            "num_heads": num_heads,
            "feed_forward_dim": feed_forward_dim,
            "max_positions": max_positions,
            "dropout": dropout,
        }
        self.encoder = Encoder(EncoderLayer(dim, num_heads, feed_forward_dim, dropout))
        self.register_buffer("position_matrix", sinusoids(max_positions, dim))

    @staticmethod
    def frame_groups(num_frames: int, **_: Any) -> list[range]:  # noqa: ANN401
        """One group for the whole clip."""
        return [range(num_frames)]

    def positions(self, num_frames: int) -> Float[Tensor, "frame dim"]:
        """Give the saved positions, followed by computed ones where the clip is longer."""
        saved: Tensor = self.get_buffer("position_matrix")
        if num_frames <= saved.shape[0]:
            return saved[:num_frames]
        return torch.cat([saved, sinusoids(num_frames, self.dim).to(saved)[saved.shape[0] :]])

    def pool(self, features: Float[Tensor, "frame patch dim"]) -> Float[Tensor, "token dim"]:
        """Add what the encoder saw by the last frame to the mean without positions."""
        series = features + self.positions(features.shape[0]).to(features.dtype)[:, None]
        return self.encoder(series)[-1] + features.mean(0)

    def fresh_positions(self) -> Float[Tensor, "position dim"]:
        """Compute the positions that a new pooling starts with."""
        return sinusoids(self.options["max_positions"], self.dim)


class ChunkPooling(TemporalPooling):
    """Average over chunks of consecutive frames, so that a long clip keeps its order.

    The last chunk holds what is left. With at least as many frames per chunk as the clip has it is the mean.
    """

    def __init__(self, *, dim: int, num_patches: int, frames_per_chunk: int = 4) -> None:
        super().__init__(dim=dim, num_patches=num_patches)
        if frames_per_chunk < 1:
            raise ValueError(f"frames_per_chunk: want at least 1, got {frames_per_chunk}")
        self.options = {"frames_per_chunk": frames_per_chunk}

    @staticmethod
    def frame_groups(num_frames: int, *, frames_per_chunk: int = 4) -> list[range]:
        """One group for each chunk."""
        return [
            range(first, min(first + frames_per_chunk, num_frames))
            for first in range(0, num_frames, frames_per_chunk)
        ]

    def pool(self, features: Float[Tensor, "frame patch dim"]) -> Float[Tensor, "token dim"]:
        """Average each chunk."""
        return torch.cat([chunk.mean(0) for chunk in features.split(self.options["frames_per_chunk"])])


class NoPooling(TemporalPooling):
    """Keep every patch of every frame, for short clips and for comparison."""

    @staticmethod
    def frame_groups(num_frames: int) -> list[range]:
        """One group for each frame."""
        return [range(i, i + 1) for i in range(num_frames)]

    def pool(self, features: Float[Tensor, "frame patch dim"]) -> Float[Tensor, "token dim"]:
        """Lay the frames one after the other."""
        return features.flatten(0, 1)


TEMPORAL_POOLINGS: dict[str, type[TemporalPooling]] = {
    "mean": MeanPooling,
    "importance": ImportancePooling,
    "transformer": TransformerPooling,
    "chunk": ChunkPooling,
    "none": NoPooling,
}


def sinusoids(num_positions: int, dim: int) -> Float[Tensor, "position dim"]:
    """Compute sinusoidal positions, sine and cosine interleaved (Attention Is All You Need, section 3.5)."""
    rate = 1 / torch.pow(10000, torch.arange(0, dim, 2) / dim)
    angles = torch.arange(num_positions)[:, None] * rate
    table = torch.zeros(num_positions, dim)
    table[:, 0::2] = torch.sin(angles)
    table[:, 1::2] = torch.cos(angles[:, : dim // 2])
    return table


def pooling_class(name: str) -> type[TemporalPooling]:
    """Look a pooling up by its name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in TEMPORAL_POOLINGS:
        near = difflib.get_close_matches(name, TEMPORAL_POOLINGS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"temporal_pooling: want one of {', '.join(TEMPORAL_POOLINGS)}, got {name!r}{hint}")
    return TEMPORAL_POOLINGS[name]


def frame_groups(name: str, options: Mapping[str, Any], num_frames: int) -> Sequence[range]:
    """List the frames that each group of patch tokens stands for, without building the pooling."""
    return pooling_class(name).frame_groups(num_frames, **options)


def build_temporal_pooling(
    name: str, options: Mapping[str, Any], *, dim: int, num_patches: int
) -> TemporalPooling:
    """Make the pooling called `name`.

    Raises:
        ValueError: the name is unknown, or it does not take one of the options.
    """
    try:
        return pooling_class(name)(dim=dim, num_patches=num_patches, **options)
    except TypeError as error:
        raise ValueError(f"temporal_pooling_config of {name!r}: {error}") from error
