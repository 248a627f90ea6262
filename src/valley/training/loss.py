"""Cross entropy over the assistant's words, safe for a step in which nothing can be learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.loss.loss_utils import ForCausalLMLoss

from valley.training.labelling import IGNORED_LABEL


def make_assistant_loss(model: nn.Module) -> Callable[..., Tensor]:
    """Make transformers' causal loss for a model whose parts are frozen already, safe in two odd steps.

    A step whose every clip was unreadable has no labelled token: the loss is 0, not 0/0, which would turn the
    weights into NaN. A step of text alone never meets a projector: the loss then reaches what moves with a
    weight of zero, so that the step counts like any other.
    """
    moving = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def assistant_loss(
        logits: Tensor,
        labels: Tensor,
        vocab_size: int,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Tensor:
        if num_items_in_batch is None:
            num_items_in_batch = (labels[..., 1:] != IGNORED_LABEL).sum()
        num_items_in_batch = torch.as_tensor(num_items_in_batch).clamp(min=1)
        loss = ForCausalLMLoss(logits, labels, vocab_size, num_items_in_batch, **kwargs)
        if torch.is_grad_enabled() and not loss.requires_grad:
            loss = loss + sum(0.0 * parameter.sum() for parameter in moving)
        return loss

    return assistant_loss
