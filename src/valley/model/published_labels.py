"""The training text and label mask of the 2023 code, quirk included, so that its losses can be reproduced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

IGNORED_LABEL = -100  # what torch's cross entropy skips
_ROLES = {"human": "Human", "gpt": "Assistant"}


def published_labels(
    tokenizer: Any,  # noqa: ANN401
    turns: Sequence[tuple[str, str]],
    *,
    system: str,
) -> tuple[Tensor, Tensor]:
    """Encode a conversation and mask it as the published code did.

    The lengths of the pieces were counted one by one, each with its own begin token, so that the masks of the
    human's turns lie one token further to the right with every turn, and some of his words are learned.

    Args:
        tokenizer: from `read_published_tokenizer`.
        turns: who speaks, as the records spell it, and the text with media written out as their placeholders.
            Only a "human" in small letters is masked.
        system: the system prompt of the conversation mode.

    Returns:
        ids and labels, i64[token] each; labels are -100 where nothing is learned.
    """
    header = f"{system}\n\n"
    pieces = [f"### {_ROLES.get(speaker.lower(), 'unknown')}: {said}\n" for speaker, said in turns]

    def ids_of(text: str) -> list[int]:
        return [tokenizer.bos_token_id, *tokenizer.encode(text, add_special_tokens=False)]

    ids = torch.tensor(ids_of(header + "".join(pieces) + "### "))
    labels, cut = ids.clone(), len(ids_of(header))
    labels[:cut] = IGNORED_LABEL
    for (speaker, _), piece in zip(turns, pieces, strict=True):
        length = len(ids_of(piece))
        if speaker == "human":
            labels[cut + 2 : cut + length] = IGNORED_LABEL
        cut += length
    return ids, labels
