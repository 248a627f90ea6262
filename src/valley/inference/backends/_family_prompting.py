"""From a conversation to the tensors that any image-text-to-text model takes, through its own processor.

The frames are those of our own reader. Their times are handed on as numbers of a clock that ticks a
thousand times a second: a processor that writes times into the prompt divides a frame's number by the rate,
and so writes when the frame is shown, at constant and at variable frame rates alike.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jinja2 import TemplateError
from PIL import Image as Pictures
from torch import Tensor

from valley.conversation import Conversation, Text
from valley.errors import BackendError
from valley.inference.media import SeenMedium
from valley.model.chat_parts import texts_joined
from valley.video.frames import Frames

TICKS_PER_SECOND = 1000

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FamilyPrompt:
    """A prompt, ready for the network.

    Attributes:
        inputs: what the model's `generate` takes, one row.
        input_ids: one id a token.
        num_visual_tokens: those of them that stand for pictures.
        seen: the media, in order.
    """

    inputs: dict[str, Tensor]
    input_ids: tuple[int, ...]
    num_visual_tokens: int
    seen: tuple[SeenMedium, ...]


def build_family_prompt(
    processor: Any,  # noqa: ANN401
    conversation: Conversation,
    seen: Sequence[SeenMedium],
    *,
    visual_ids: frozenset[int],
    name: str,
) -> FamilyPrompt:
    """Render and encode a conversation whose next turn is the assistant's.

    Args:
        processor: the model's own.
        conversation: its media in the same order as `seen`.
        seen: the frames of every medium.
        visual_ids: the tokens that stand for pictures.
        name: of the model, for errors.

    Raises:
        BackendError: the processor cannot make a prompt of this.
    """
    shown = _as_shown(processor, seen, name=name)
    messages = _messages(conversation, shown)
    clips = [s for s in shown if s.kind == "video"]
    options: dict[str, Any] = {}
    if clips:
        metadata = [clip_metadata(s.frames, duration_s=s.duration_s) for s in clips]
        options = {"do_sample_frames": False, "video_metadata": [metadata]}
    encoded = _encoded(processor, messages, options, name=name, hint=_unequal(clips))
    inputs = {key: value for key, value in encoded.items() if isinstance(value, Tensor)}
    ids = tuple(inputs["input_ids"][0].tolist())
    num_visual = sum(i in visual_ids for i in ids)
    if seen and not num_visual:
        kinds = " and ".join(sorted({s.use.kind for s in seen}))
        raise BackendError(f"{name}: its chat template has no place for {kinds}; ask another model")
    return FamilyPrompt(inputs, ids, num_visual, tuple(seen))


def clip_metadata(frames: Frames, *, duration_s: float | int) -> dict[str, Any]:
    """Describe sampled frames so that number / rate is the time of each.

    `total_num_frames` is the count at which the sampled frames' own rate comes out right: processors take
    (frames given) / (frames in all) x rate for it. A clip's length is `duration`.
    """
    times_s, count = frames.shown_at_s, len(frames)
    span_s = float(times_s[-1] - times_s[0]) if count > 1 else 0.0
    interval_s = span_s / (count - 1) if span_s > 0 else duration_s / count or 1.0
    return {
        "total_num_frames": max(round(count * interval_s * TICKS_PER_SECOND), 1),
        "fps": float(TICKS_PER_SECOND),
        "duration": float(duration_s),
        "width": frames.width_px,
        "height": frames.height_px,
        "frames_indices": [round(float(t) * TICKS_PER_SECOND) for t in times_s],
    }


@dataclass(frozen=True)
class _Shown:
    """One medium as the processor is given it: a picture, or a clip."""

    kind: Literal["image", "video"]
    frames: Frames
    duration_s: float
    subtitles: str


def _as_shown(processor: Any, seen: Sequence[SeenMedium], *, name: str) -> list[_Shown]:  # noqa: ANN401
    """Decide how each medium travels; what a family cannot take beside other media becomes a clip."""
    video = getattr(processor, "video_processor", None)
    fewest = int(getattr(video, "temporal_patch_size", None) or 1)
    kinds = {s.use.kind for s in seen}
    only_clips = len(kinds) == 2 and _share_a_tensor(processor.image_processor, video)
    if only_clips:
        _log.warning("%s: takes pictures beside clips only as clips of one frame", name)
    shown: list[_Shown] = []
    for s in seen:
        kind: Literal["image", "video"] = "video" if only_clips else s.use.kind
        frames = _at_least(s.frames, fewest) if kind == "video" else s.frames
        shown.append(_Shown(kind, frames, s.use.duration_s, s.subtitles))
    return shown


def _share_a_tensor(image_processor: Any, video_processor: Any) -> bool:  # noqa: ANN401
    """Say whether pictures and clips would overwrite each other (SmolVLM's do)."""
    return bool(set(image_processor.model_input_names) & set(video_processor.model_input_names))


def _at_least(frames: Frames, count: int) -> Frames:
    """Repeat the last frame where a model that takes several at once is given fewer."""
    lacking = max(count - len(frames), 0)
    return frames.take([*range(len(frames)), *[len(frames) - 1] * lacking]) if lacking else frames


def _unequal(clips: Sequence[_Shown]) -> str:
    """Say what helps where a family puts all clips of a conversation into one block."""
    counts = {len(s.frames) for s in clips}
    return (
        f"; its clips have {sorted(counts)} frames: try --num-frames {min(counts)}" if len(counts) > 1 else ""
    )


def _messages(conversation: Conversation, shown: Sequence[_Shown]) -> list[dict[str, Any]]:
    media = iter(shown)

    def parts(part: object) -> list[dict[str, Any]]:
        if isinstance(part, Text):
            return [{"type": "text", "text": part.text}]
        medium = next(media)
        if medium.kind == "image":
            return [{"type": "image", "image": Pictures.fromarray(medium.frames.pixels[0])}]
        made: list[dict[str, Any]] = [{"type": "video", "video": _channels_first(medium.frames)}]
        return made + ([{"type": "text", "text": medium.subtitles + "\n"}] if medium.subtitles else [])

    return [
        {"role": m.role, "content": texts_joined([made for p in m.parts for made in parts(p)])}
        for m in conversation.messages
    ]


def _channels_first(frames: Frames) -> Tensor:
    """Give u8[frame 3 height width]; processors take the first axis of three for the colours."""
    return torch.from_numpy(np.require(frames.pixels, requirements=["C", "W"])).permute(0, 3, 1, 2)


def _spells_control(processor: Any, messages: list[dict[str, Any]]) -> bool:  # noqa: ANN401
    """Say whether somebody has typed what the tokenizer would take for a control token."""
    tokens = {str(t) for t in processor.tokenizer.get_added_vocab() if str(t).strip()} | _placeholders(
        processor
    )
    texts = [p["text"] for m in messages for p in m["content"] if p["type"] == "text"]
    return any(token in text for text in texts for token in tokens)


def _can_neutralise() -> bool:
    """Say whether this transformers can encode control tokens as words; an older one ignores the wish."""
    from transformers import ProcessorMixin

    return "sanitize_control_tokens" in inspect.signature(ProcessorMixin.apply_chat_template).parameters


def _placeholders(processor: Any) -> set[str]:  # noqa: ANN401
    named = (getattr(processor, f"{kind}_token", None) for kind in ("image", "video", "audio"))
    return {str(token) for token in named if token}


def _encoded(
    processor: Any,  # noqa: ANN401
    messages: list[dict[str, Any]],
    options: dict[str, Any],
    *,
    name: str,
    hint: str,
) -> Any:  # noqa: ANN401
    spelt = _spells_control(processor, messages)
    more = {"sanitize_control_tokens": True} if spelt else {}
    try:
        if spelt and not _can_neutralise():
            raise NotImplementedError("a newer transformers is needed")
        return processor.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=options,
            **more,
        )
    except (ValueError, TypeError, LookupError, NotImplementedError, TemplateError) as error:
        if spelt:
            raise BackendError(
                f"{name}: the text spells one of the model's control tokens, and its processor cannot take "
                f"them as words ({_first_line(error)}); write it otherwise"
            ) from error
        refusal = f"{name}: its processor refuses the conversation: {_first_line(error)}{hint}"
        raise BackendError(refusal) from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
