"""The projector: from the vision tower's width to the language model's, before the pooling as in 2023."""

from __future__ import annotations

from torch import Tensor, nn
from transformers.activations import ACT2FN

from .configuration_valley import ValleyConfig
from .tensor_types import Float


class ValleyMultiModalProjector(nn.Module):
    """One linear layer ("linear"), or two with an activation between ("mlp2x_gelu")."""

    def __init__(self, config: ValleyConfig) -> None:
        super().__init__()
        vision_dim, dim = config.vision_config.hidden_size, config.text_config.hidden_size
        self.linear_1 = nn.Linear(vision_dim, dim, bias=config.projector_bias)
        self.act: nn.Module | None = None
        self.linear_2: nn.Linear | None = None
        if config.projector_type == "mlp2x_gelu":
            self.act = ACT2FN[config.projector_hidden_act]
            self.linear_2 = nn.Linear(dim, dim, bias=config.projector_bias)

    def forward(self, features: Float[Tensor, "*axes vision_dim"]) -> Float[Tensor, "*axes dim"]:
        """Project the last axis."""
        projected = self.linear_1(features)
        if self.act is None or self.linear_2 is None:
            return projected
        return self.linear_2(self.act(projected))
