"""One conversation and its media become one row of tensors, with labels on the assistant's words alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from valley.conversation import Conversation, Message, Text, Video
from valley.errors import ConversationError
from valley.model.processing_valley import ValleyProcessor
from valley.training.feature_cache import SeenMedium
from valley.training.media import Medium, Sample
from valley.video.frames import Frames

IGNORED_LABEL = -100  # what torch's cross entropy and transformers' Trainer skip and do not count


def encode(processor: ValleyProcessor, sample: Sample, *, max_length: int | None = None) -> dict[str, Tensor]:
    """Turn a sample into the model's inputs.

    Returns:
        input_ids, attention_mask, mm_token_type_ids and labels, each i64[token]; where there are media also
        pixel_values f32[image, 3, h, w], pixel_values_videos f32[video, frame, 3, h, w], video_frame_mask
        bool[video, frame] and video_timestamps f[video, frame]; where features are kept, in the place of
        pixels pixel_features f[image, token, vision_dim] and pixel_features_videos f[video, frame, token,
        vision_dim]. Labels are -100 outside the assistant's words and the token that ends its turn;
        everywhere for an unreadable sample, which is encoded without its media.

    Raises:
        ConversationError: the assistant says nothing, so there is nothing to learn.
    """
    readable = not sample.unreadable
    conversation = sample.conversation if readable else _without_media(sample.conversation)
    if not any(m.role == "assistant" and m.text for m in conversation.messages):
        raise ConversationError(
            f"sample {conversation.id or 'no id'}: the assistant says nothing to learn from"
        )
    options: dict[str, Any] = {} if max_length is None else {"truncation": True, "max_length": max_length}
    encoded = processor.apply_chat_template(
        typed_messages(conversation, sample),
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        return_assistant_tokens_mask=True,
        processor_kwargs=options,
    )
    row = {name: value for name, value in encoded.items() if name != "assistant_masks"}
    for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
        if name in row:
            row[name] = row[name][0]
    if readable:
        _put_features(row, sample.media)
    said = torch.as_tensor(encoded["assistant_masks"])[0].bool()
    row["labels"] = row["input_ids"].masked_fill(~said if readable else torch.ones_like(said), IGNORED_LABEL)
    return row


def _put_features(row: dict[str, Any], media: Sequence[Medium]) -> None:
    """Put what is kept of a sample's media in the place of their pixels.

    Raises:
        ConversationError: of some media the features are kept, of others not.
    """
    seen = [m for m in media if isinstance(m, SeenMedium)]
    if not seen:
        return
    if len(seen) < len(media):
        raise ConversationError(
            "only some of its media are in the feature cache: the others could not be read when it was "
            "filled, and can be now; start the run again"
        )
    pictures = [m.features for m in seen if m.is_picture]
    clips = [m.features for m in seen if not m.is_picture]
    if pictures:
        del row["pixel_values"]
        row["pixel_features"] = torch.cat(pictures)
    if clips:
        del row["pixel_values_videos"]
        row["pixel_features_videos"] = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)


def _shown(medium: Medium) -> Any:  # noqa: ANN401
    """Give what the processor is shown: for kept features empty frames, which say how many and when."""
    if not isinstance(medium, SeenMedium):
        return medium
    empty = np.zeros((len(medium.shown_at_s), 2, 2, 3), np.uint8)
    return empty[0] if medium.is_picture else Frames(empty, medium.shown_at_s)


def _without_media(conversation: Conversation) -> Conversation:
    messages = tuple(
        Message(m.role, tuple(p for p in m.parts if isinstance(p, Text))) for m in conversation.messages
    )
    return Conversation(messages, conversation.language, conversation.id, conversation.metadata)


def typed_messages(conversation: Conversation, sample: Sample) -> list[dict[str, Any]]:
    """Write a conversation as the processor takes it, with the sample's media in their places."""
    subtitles = sample.subtitles or ("",) * len(sample.media)
    remaining = iter(zip(sample.media, subtitles, strict=True))

    def part(p: Any) -> dict[str, Any]:  # noqa: ANN401
        if isinstance(p, Text):
            return {"type": "text", "text": p.text}
        medium, words = next(remaining)
        if isinstance(p, Video):
            return {"type": "video", "video": _shown(medium), "subtitles_text": words}
        return {"type": "image", "image": _shown(medium)}

    return [{"role": m.role, "content": [part(p) for p in m.parts]} for m in conversation.messages]
