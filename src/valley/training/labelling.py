"""One conversation and its media become one row of tensors, with labels on the assistant's words alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from valley.conversation import Conversation, Message, Text, Video
from valley.errors import ConversationError
from valley.model.processing_valley import ValleyProcessor
from valley.training.media import Sample

IGNORED_LABEL = -100  # what torch's cross entropy and transformers' Trainer skip and do not count


def encode(processor: ValleyProcessor, sample: Sample, *, max_length: int | None = None) -> dict[str, Tensor]:
    """Turn a sample into the model's inputs.

    Returns:
        input_ids, attention_mask, mm_token_type_ids and labels, each i64[token]; where there are media also
        pixel_values f32[image, 3, h, w], pixel_values_videos f32[video, frame, 3, h, w], video_frame_mask
        bool[video, frame] and video_timestamps f[video, frame]. Labels are -100 outside the assistant's
        words and the token that ends its turn; everywhere for an unreadable sample, which is encoded without
        its media.

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
        _typed_messages(conversation, sample),
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
    said = torch.as_tensor(encoded["assistant_masks"])[0].bool()
    row["labels"] = row["input_ids"].masked_fill(~said if readable else torch.ones_like(said), IGNORED_LABEL)
    return row


def _without_media(conversation: Conversation) -> Conversation:
    messages = tuple(
        Message(m.role, tuple(p for p in m.parts if isinstance(p, Text))) for m in conversation.messages
    )
    return Conversation(messages, conversation.language, conversation.id, conversation.metadata)


def _typed_messages(conversation: Conversation, sample: Sample) -> list[dict[str, Any]]:
    subtitles = sample.subtitles or ("",) * len(sample.media)
    remaining = iter(zip(sample.media, subtitles, strict=True))

    def part(p: Any) -> dict[str, Any]:  # noqa: ANN401
        if isinstance(p, Text):
            return {"type": "text", "text": p.text}
        medium, words = next(remaining)
        if isinstance(p, Video):
            return {"type": "video", "video": medium, "subtitles_text": words}
        return {"type": "image", "image": medium}

    return [{"role": m.role, "content": [part(p) for p in m.parts]} for m in conversation.messages]
