"""Cross entropy over the assistant's words, safe for a step in which there are none."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.loss.loss_utils import ForCausalLMLoss

from valley.training.labelling import IGNORED_LABEL


def assistant_loss(
    logits: Tensor,
    labels: Tensor,
    vocab_size: int,
    num_items_in_batch: Tensor | int | None = None,
    **kwargs: Any,  # noqa: ANN401
) -> Tensor:
    """Take transformers' causal loss, but give 0 (with zero gradients) where no token is labelled.

    A step whose every clip was unreadable has no labelled token; 0/0 would turn the weights into NaN.
    """
    if num_items_in_batch is None:
        num_items_in_batch = (labels[..., 1:] != IGNORED_LABEL).sum()
    num_items_in_batch = torch.as_tensor(num_items_in_batch).clamp(min=1)
    return ForCausalLMLoss(logits, labels, vocab_size, num_items_in_batch, **kwargs)
