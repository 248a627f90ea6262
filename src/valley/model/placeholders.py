"""Placeholders in a prompt: which are whose, do their numbers fit the visual tokens, and what goes where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .tensor_types import Float, Int

WORD, IMAGE, VIDEO = 0, 1, 2
_NAMES = {IMAGE: "image", VIDEO: "video"}


def fill_placeholders(
    inputs_embeds: Float[Tensor, "batch token dim"],
    input_ids: Int[Tensor, "batch token"] | None,
    mm_token_type_ids: Int[Tensor, "batch token"] | None,
    *,
    features: Mapping[int, Sequence[Tensor] | None],
    placeholder_token_ids: Sequence[int],
) -> Float[Tensor, "batch token dim"]:
    """Put the visual tokens of pictures and clips where the prompt stands for them.

    Args:
        inputs_embeds: embeddings of the whole prompt.
        input_ids: the prompt, where it came as ids.
        mm_token_type_ids: what the processor said of each position.
        features: for `IMAGE` and `VIDEO` the visual tokens of each medium, or None.
        placeholder_token_ids: the ids that stand for visual tokens.

    Raises:
        ValueError: placeholders and visual tokens differ in number, or nothing says which belong together.
    """
    given = [kind for kind, media in features.items() if media is not None]
    types = placeholder_types(
        input_ids,
        mm_token_type_ids,
        placeholder_token_ids=placeholder_token_ids,
        only=None if len(given) > 1 else (given or [VIDEO])[0],
    )
    return match_placeholders(inputs_embeds, types, features)


def placeholder_types(
    input_ids: Int[Tensor, "batch token"] | None,
    mm_token_type_ids: Int[Tensor, "batch token"] | None,
    *,
    placeholder_token_ids: Sequence[int],
    only: int | None,
) -> Int[Tensor, "batch token"] | None:
    """Say for each position whether it is a word, or stands for a picture's or a clip's token.

    Args:
        input_ids: the prompt.
        mm_token_type_ids: what the processor said; it wins, so that generated ids are never placeholders.
        placeholder_token_ids: the ids that stand for visual tokens.
        only: the kind of all media where there is one kind; None where both are given.

    Returns:
        The types, or None for a prompt of embeddings about which nothing is known.

    Raises:
        ValueError: pictures and clips are both given, but not which placeholder belongs to which.
    """
    if mm_token_type_ids is not None or input_ids is None:
        return mm_token_type_ids
    if only is None:
        raise ValueError(
            "want mm_token_type_ids when a batch has images and videos, got none; the processor returns them"
        )
    found = torch.isin(input_ids, torch.tensor(placeholder_token_ids, device=input_ids.device))
    return found.long() * only


def match_placeholders(
    inputs_embeds: Float[Tensor, "batch token dim"],
    types: Int[Tensor, "batch token"] | None,
    features: Mapping[int, Sequence[Tensor] | None],
) -> Float[Tensor, "batch token dim"]:
    """Put the visual tokens of each kind at their placeholders.

    Raises:
        ValueError: the numbers differ; the message gives both.
    """
    if types is None:
        if any(f is not None for f in features.values()):
            raise ValueError("want input_ids or mm_token_type_ids that say where the media go, got neither")
        return inputs_embeds
    for kind, media in features.items():
        where = types == kind
        wanted, got = int(where.sum()), sum(len(tokens) for tokens in media or ())
        if wanted != got:
            raise ValueError(
                f"the prompt has {wanted} {_NAMES[kind]} placeholders but {len(media or ())} {_NAMES[kind]}s "
                f"give {got} visual tokens; let the processor write the prompt and the pixels together"
            )
        if media:
            tokens = torch.cat(list(media)).to(inputs_embeds.device, inputs_embeds.dtype)
            inputs_embeds = inputs_embeds.masked_scatter(where[..., None], tokens)
    return inputs_embeds


def fill_as_published(
    inputs_embeds: Float[Tensor, "batch token dim"],
    input_ids: Int[Tensor, "batch token"],
    mm_token_type_ids: Int[Tensor, "batch token"] | None,
    *,
    features: Mapping[int, Sequence[Tensor] | None],
    num_patches: int,
    token_ids: Mapping[str, int | None],
) -> Float[Tensor, "batch token dim"]:
    """Put visual tokens in as the code of 2023 did, quirks and all.

    Every tag of a sample gets the pooled tokens of its first medium. Frame tokens are filled only where the
    sample has as many as that medium has frames, and left as plain embeddings elsewhere.

    Args:
        inputs_embeds: embeddings of the whole prompt.
        input_ids: the prompt.
        mm_token_type_ids: what the processor said of each position; needed where both kinds are given.
        features: for `IMAGE` and `VIDEO` the visual tokens of each medium: one a tag, or one a sample.
        num_patches: pooled tokens of a medium; the rest are frame tokens.
        token_ids: of "im_start", "im_patch" and "vi_frame"; without the last, frame tokens stay unfilled.
    """
    filled = inputs_embeds.clone()
    given = {kind: list(media) for kind, media in features.items() if media is not None}
    tags = [(ids == token_ids["im_start"]).nonzero().flatten().tolist() for ids in input_ids]
    kinds = [
        [
            int(mm_token_type_ids[row, at + 1]) if mm_token_type_ids is not None else next(iter(given))
            for at in starts
        ]
        for row, starts in enumerate(tags)
    ]
    one_a_tag = {kind: len(media) == sum(row.count(kind) for row in kinds) for kind, media in given.items()}
    for row, of_tags in enumerate(kinds):
        if not of_tags:
            continue
        tokens = given[of_tags[0]][0].to(filled)
        for kind in given:
            used = of_tags.count(kind) if one_a_tag[kind] else int(kind in of_tags)
            del given[kind][:used]
        patches = (input_ids[row] == token_ids["im_patch"]).nonzero().flatten()
        frame_id = -1 if token_ids["vi_frame"] is None else token_ids["vi_frame"]
        frames = (input_ids[row] == frame_id).nonzero().flatten()
        filled[row, patches] = tokens[:num_patches].repeat(len(patches) // num_patches, 1)
        if len(frames) and len(frames) == len(tokens) - num_patches:
            filled[row, frames] = tokens[num_patches:]
    return filled


def expand_media(
    media: Mapping[str, Tensor],
    input_ids: Int[Tensor, "batch token"] | None,
    mm_token_type_ids: Int[Tensor, "batch token"] | None,
    *,
    start_token_id: int | None,
    expand_size: int,
) -> dict[str, Tensor]:
    """Repeat the media of each sample `expand_size` times, sample by sample, as `generate` repeats the ids.

    Raises:
        ValueError: several samples, and nothing says which medium belongs to which.
    """
    counts = _media_per_sample(input_ids, mm_token_type_ids, start_token_id)
    expanded = {}
    for name, tensor in media.items():
        per_sample = None if counts is None else counts[IMAGE if name == "pixel_values" else VIDEO]
        if per_sample is None or sum(per_sample) != len(tensor):
            if input_ids is not None and len(input_ids) == 1:
                per_sample = [len(tensor)]
            else:
                raise ValueError(f"{name}: cannot tell which of {len(tensor)} media belongs to which prompt")
        samples = tensor.split(per_sample)
        expanded[name] = torch.cat([sample for sample in samples for _ in range(expand_size)])
    return expanded


def _media_per_sample(
    input_ids: Tensor | None, mm_token_type_ids: Tensor | None, start_token_id: int | None
) -> dict[int, list[int]] | None:
    if input_ids is None or start_token_id is None:
        return None
    starts = input_ids == start_token_id
    if mm_token_type_ids is None:
        every = starts.sum(1).tolist()
        return {IMAGE: every, VIDEO: every}
    counts: dict[int, list[int]] = {IMAGE: [], VIDEO: []}
    for start, types in zip(starts, mm_token_type_ids, strict=True):
        # The kind of a medium is the kind of the first placeholder behind its start marker.
        kinds = [int(types[i:][types[i:] != WORD][0]) for i in start.nonzero().flatten().tolist()]
        for kind, numbers in counts.items():
            numbers.append(kinds.count(kind))
    return counts
