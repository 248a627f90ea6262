"""What a question about given media will cost, before any weight is loaded.

Reads the packet index of each clip, the checkpoint's config and processor, and the headers of its weights.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from valley.conversation import Conversation, Image, Video, user
from valley.inference.media import MediaReader, SeenMedium
from valley.inference.prompting import build_prompt
from valley.inference.resolving import resolve
from valley.inference.weights import ParameterCount, count_parameters
from valley.model.configuration_valley import ValleyConfig
from valley.model.processing_valley import ValleyProcessor
from valley.video.sampling import FrameSampling

_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# A weight of a quantised layer; every 64 weights share a scale of two bytes, at most.
_QUANTISED_BYTES = {"int8": 1.03, "int4": 0.53}


@dataclass(frozen=True)
class MediumPlan:
    """One medium: when its frames are shown, and how many visual tokens they become."""

    path: str
    timestamps_s: tuple[float, ...]
    visual_tokens: int


@dataclass(frozen=True)
class Plan:
    """The cost of one question.

    Attributes:
        model: its name.
        dtype: of weights and cache.
        media: each medium's frames and tokens.
        visual_tokens: placeholders of all media; the processor makes exactly as many.
        prompt_tokens: the whole prompt of a question without words.
        max_new_tokens: room for the answer.
        kv_cache_bytes: keys and values of prompt and answer.
        weights_bytes: all parameters, as loaded.
        activation_bytes: an estimate of what the largest forward pass holds besides.
        max_context_tokens: what the language model was made for; None where its config does not say.
        cure: what would make the prompt fit, or an empty string.
    """

    model: str
    dtype: str
    media: tuple[MediumPlan, ...]
    visual_tokens: int
    prompt_tokens: int
    max_new_tokens: int
    kv_cache_bytes: int
    weights_bytes: int
    activation_bytes: int
    max_context_tokens: int | None
    cure: str = ""

    @property
    def fits_context(self) -> bool:
        """Whether prompt and answer fit into the context."""
        return not self.cure

    @property
    def total_bytes(self) -> int:
        """Memory in all."""
        return self.weights_bytes + self.kv_cache_bytes + self.activation_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return what `valley plan --json` prints."""
        return {**asdict(self), "fits_context": self.fits_context, "total_bytes": self.total_bytes}


def make_plan(
    model: str,
    media: Sequence[Image | Video],
    *,
    question: str = "",
    sampling: FrameSampling | None = None,
    max_new_tokens: int = 256,
    dtype: str | None = None,
    device: str | None = None,
) -> Plan:
    """Plan one question about these media.

    Args:
        model: embedded name, folder or hub id.
        media: in the order the model meets them.
        question: its words, if they are known already.
        sampling: which frames; the checkpoint's own rule unless given.
        max_new_tokens: room for the answer.
        dtype: of weights and cache; as `Valley.from_pretrained` would choose unless given.
        device: where the model would run; likewise.

    Raises:
        MediaError: a medium cannot be opened.
        ConfigError: there is no such model.
    """
    from valley.inference.backends._loading import choose_device, choose_dtype, context_length, read_parts

    place = resolve(model)
    config, processor = read_parts(place)
    reader = MediaReader(FrameSampling(**processor.sampling))
    seen = [reader.glance(m, sampling=sampling) for m in media]
    prompt = build_prompt(processor, Conversation((user(*media, question),)), seen)
    parameters = count_parameters(place)
    name = choose_dtype(dtype, choose_device(device))
    name = parameters.dtype if name == "auto" else name
    num_bytes = _DTYPE_BYTES[name]
    limit, tokens = context_length(config), len(prompt.input_ids)
    num_frames = max((len(s.frames) for s in seen), default=0)
    excess = 0 if limit is None else max(tokens + max_new_tokens - limit, 0)
    return Plan(
        model=place.name,
        dtype=name,
        media=tuple(
            MediumPlan(m.seen.use.path, m.seen.use.timestamps_s, len(m.placeholders)) for m in prompt.media
        ),
        visual_tokens=prompt.num_visual_tokens,
        prompt_tokens=tokens,
        max_new_tokens=max_new_tokens,
        kv_cache_bytes=kv_cache_bytes(config, tokens + max_new_tokens, num_bytes),
        weights_bytes=_weights_bytes(parameters, num_bytes, dtype),
        activation_bytes=activation_bytes(config, tokens, num_frames, num_bytes),
        max_context_tokens=limit,
        cure=cure_for(processor, seen, excess=excess) if excess else "",
    )


def _weights_bytes(parameters: ParameterCount, num_bytes: int, asked: str | None) -> int:
    small = _QUANTISED_BYTES.get(asked or "", float(num_bytes))
    rest = parameters.num_parameters - parameters.num_in_layers
    return round(rest * num_bytes + parameters.num_in_layers * small)


def kv_cache_bytes(config: ValleyConfig, num_tokens: int, dtype_bytes: int) -> int:
    """Count keys and values of every layer for so many tokens."""
    text = config.text_config.to_dict()
    num_heads = text["num_attention_heads"]
    num_kv_heads = text.get("num_key_value_heads") or num_heads
    head_dim = text.get("head_dim") or text["hidden_size"] // num_heads
    return 2 * text["num_hidden_layers"] * num_kv_heads * head_dim * num_tokens * dtype_bytes


def activation_bytes(config: ValleyConfig, num_tokens: int, num_frames: int, dtype_bytes: int) -> int:
    """Estimate what the larger of the two passes, tower or prompt, holds at once.

    The tower keeps every layer's hidden state of a clip's frames and one layer's feed-forward, the language
    model a few hidden states of the prompt, and one layer's gated feed-forward. Attention is tiled.
    """
    vision, text = config.vision_config.to_dict(), config.text_config.to_dict()
    vision_width = vision["hidden_size"] * (vision["num_hidden_layers"] + 6) + vision["intermediate_size"]
    tower = num_frames * (config.num_patches + 1) * vision_width
    text_width = 8 * text["hidden_size"] + 3 * text.get("intermediate_size", 4 * text["hidden_size"])
    return dtype_bytes * max(tower, num_tokens * text_width)


def cure_for(processor: ValleyProcessor, seen: Sequence[SeenMedium], *, excess: int) -> str:
    """Say how a prompt that is `excess` tokens too long can be made to fit.

    Where times are written in words, those of the last frames stand for those of any fewer: none are longer.
    """
    clips = [s.frames.shown_at_s for s in seen if s.use.kind == "video"]
    longest = max(map(len, clips), default=0)

    def num_tokens(limit: int) -> int:
        return sum(processor.num_clip_tokens(times[-limit:]) for times in clips)

    if longest:
        fewer = range(1, longest)
        fitting = bisect.bisect_right(fewer, num_tokens(longest) - excess, key=num_tokens)
        if fitting:
            return f"try --num-frames {fewer[fitting - 1]}"
    return "ask about fewer media, or with fewer words"
