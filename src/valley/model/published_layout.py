"""What a 2023 checkpoint says about itself, in today's terms: config, pixels, prompts, names of weights."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import AutoConfig

from .configuration_valley import ValleyConfig
from .errors_valley import PartsError

# What the language model's own config may say; the rest of a published config.json is about the picture side.
_TEXT_FIELDS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "initializer_range",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "tie_word_embeddings",
)

POOLING_HEADS = 8
"""Attention heads of the published temporal transformer: no file says it."""

# Published name -> ours, the first that matches; None: nothing reads it.
_NAMES: tuple[tuple[str, str | None], ...] = (
    (r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq", None),  # computed, in float32
    (r"model\.vision_tower\.vision_model\.embeddings\.position_ids", None),  # counted
    (r"model\.transforemr_adding_layer\..*", None),  # the template that the encoder's layer was copied from
    (r"model\.vision_tower\.vision_model\.(.*)", r"model.vision_tower.\1"),
    (r"model\.mm_projector\.(.*)", r"model.multi_modal_projector.linear_1.\1"),
    (r"model\.pooling_layer\.(.*)", r"model.temporal_pooling.pooling_layer.\1"),
    (r"model\.transformer_delta_encoder\.(.*)", r"model.temporal_pooling.encoder.\1"),
    (r"model\.position_matrix", "model.temporal_pooling.position_matrix"),
    (r"model\.((?:embed_tokens|layers|norm)\..*)", r"model.language_model.\1"),
    (r"(lm_head\..*)", r"\1"),
)

SYSTEM_PROMPTS = {
    "en": "You are Valley, a large language and vision assistant trained by ByteDance. You are able to "
    "understand the visual content or video that the user provides, and assist the user with a variety of "
    "tasks using natural language. Follow the instructions carefully and explain your answers in detail.",
    "zh": "你是大型语言视觉助手 Chinese-Valley。你能够理解用户提供的视觉内容或视频，"
    "并使用自然语言协助用户完成各种任务。请仔细按照人类的指令进行回答，并详细解释你的答案。",
}

TRAINING_SYSTEM_PROMPTS = {
    "v1": "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions.",
    "multimodal_video": "You are Valley, a large language and vision assistant trained by ByteDance.You are "
    "able to understand the visual content or video that the user provides, and assist the user with a "
    "variety of tasks using natural language.Follow the instructions carefully and explain your answers in "
    "detail.",
}
"""Of the conversation modes of the published training code."""

VIDEO_PIXELS: dict[str, Any] = {
    "size": {"shortest_edge": 256},
    "crop_size": {"height": 224, "width": 224},
    "resample": 2,
    "crop_rounding": "even",
}
"""What the published reader of videos did, whichever the tower."""


def our_name(published: str) -> str | None:
    """Give our name of a published weight; None where nothing reads it.

    Raises:
        KeyError: nothing is known of such a weight.
    """
    for pattern, ours in _NAMES:
        found = re.fullmatch(pattern, published)
        if found is not None:
            return None if ours is None else found.expand(ours)
    raise KeyError(published)


@dataclass(frozen=True)
class PublishedSettings:
    """What config.json of a 2023 checkpoint says.

    Attributes:
        text: fields of the language model's config.
        pooling: "mean", "importance" or "transformer".
        feature_layer: which hidden state of the tower is read.
        tower: the hub id of the vision tower.
        dtype: in which the weights are stored.
    """

    text: Mapping[str, Any]
    pooling: str
    feature_layer: int
    tower: str
    dtype: str

    @classmethod
    def from_json(cls, settings: Mapping[str, Any], *, where: str) -> PublishedSettings:
        """Read config.json.

        Raises:
            PartsError: it is no config of a 2023 Valley, or asks for two poolings.
        """
        missing = [n for n in ("mm_vision_tower", "mm_hidden_size", "hidden_size") if n not in settings]
        if settings.get("model_type") != "valley" or missing:
            raise PartsError(
                f"{where}: want the config of a Valley of 2023 (model_type 'valley', mm_vision_tower ...), "
                f"got model_type {settings.get('model_type')!r} without {', '.join(missing) or 'nothing'}"
            )
        if "vision_config" in settings:
            raise PartsError(f"{where}: this checkpoint is in today's format already")
        learned = {"importance": "use_patch_importance_pooling", "transformer": "use_delta_transformer"}
        chosen = [name for name, flag in learned.items() if settings.get(flag)]
        if len(chosen) > 1:
            raise PartsError(f"{where}: {' and '.join(learned.values())} are both true: want one pooling")
        return cls(
            text={n: settings[n] for n in _TEXT_FIELDS if settings.get(n) is not None},
            pooling=chosen[0] if chosen else "mean",
            feature_layer=int(settings.get("mm_vision_select_layer", -2)),
            tower=str(settings["mm_vision_tower"]),
            dtype=str(settings.get("torch_dtype", "float16")),
        )


def make_config(
    settings: PublishedSettings,
    vision_config: Any,  # noqa: ANN401
    shapes: Mapping[str, tuple[int, ...]],
    token_ids: Mapping[str, int],
    *,
    legacy: bool,
) -> ValleyConfig:
    """Write today's config.

    Args:
        settings: what config.json said.
        vision_config: config of the tower, of a whole CLIP or of its picture side.
        shapes: of the weights, by our names: they decide what no config says.
        token_ids: `im_start_token_id` and so on.
        legacy: reproduce the published quirks.

    Raises:
        PartsError: a weight that decides a size is absent.
    """
    tower = getattr(vision_config, "vision_config", vision_config)
    vocab_size = _shape(shapes, "model.language_model.embed_tokens.weight")[0]
    options: dict[str, Any] = {}
    if settings.pooling == "transformer":
        options = {
            "num_heads": POOLING_HEADS,
            "feed_forward_dim": _shape(shapes, "model.temporal_pooling.encoder.layers.0.linear1.bias")[0],
            "max_positions": _shape(shapes, "model.temporal_pooling.position_matrix")[0],
        }
    ids: dict[str, Any] = dict(token_ids)
    text: Any = AutoConfig.for_model("llama", vocab_size=vocab_size, **settings.text)
    return ValleyConfig(  # pyright: ignore[reportCallIssue]
        vision_config=json.loads(tower.to_json_string()),
        text_config=text,
        temporal_pooling=settings.pooling,
        temporal_pooling_config=options,
        num_frames=8,
        projector_type="linear",
        vision_feature_layer=settings.feature_layer,
        num_prefix_tokens=1,
        pixel_dtype="float16",
        legacy=legacy,
        dtype=settings.dtype,
        **ids,
    )


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise PartsError(f"the checkpoint lacks {name}")
    return shapes[name]


def language_of(vision_config: Any) -> str:  # noqa: ANN401
    """Say in which language a checkpoint's system prompt is: Chinese behind a Chinese-CLIP tower."""
    return "zh" if str(vision_config.model_type).startswith("chinese_clip") else "en"
