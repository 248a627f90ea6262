"""Put a new Valley together from any Hugging Face vision tower and causal language model."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AddedToken,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
)
from transformers.utils.hub import cached_file

from .configuration_valley import ValleyConfig
from .errors_valley import PartsError
from .modeling_valley import ValleyForConditionalGeneration
from .multi_modal_projector import ValleyMultiModalProjector
from .processing_valley import ValleyProcessor
from .temporal_pooling import build_temporal_pooling
from .visual_layout import VISUAL_TOKENS

CHAT_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
END_TOKEN, PAD_TOKEN = "<|end|>", "<|pad|>"  # names of tokens, no secrets
CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")

# How far composing may move the logits of plain text: far above rounding, far below a missing scale or cap.
LOGIT_TOLERANCE = 1e-2


@dataclass(frozen=True)
class TowerShape:
    """What a vision tower turned out to give: how many tokens stand before its patches."""

    num_prefix_tokens: int


def compose(
    vision_tower: PreTrainedModel | str | Path,
    language_model: PreTrainedModel | str | Path,
    tokenizer: Any = None,  # noqa: ANN401
    *,
    image_settings: Mapping[str, Any] | None = None,
    video_settings: Mapping[str, Any] | None = None,
    frame_times: bool = False,
    **config: Any,  # noqa: ANN401
) -> tuple[ValleyForConditionalGeneration, ValleyProcessor]:
    """Make a model and its processor; projector and learned poolings are new, the parts keep their weights.

    Args:
        vision_tower: a model (it becomes part of the new one), a folder or a hub id; of a CLIP-like pair the
            tower for pictures is taken. Without a class token the mean of the patches is the frame token.
        language_model: a causal language model, a folder or a hub id.
        tokenizer: a fast tokenizer, a folder or a hub id; the language model's by default. It is copied.
        image_settings: `PixelSettings` for pictures; by default what the tower's folder says, else squashed
            to the tower's picture size and normalised as CLIP does.
        video_settings: the same for frames; the pictures' by default.
        frame_times: say in words when each frame of a clip is shown, which the published layout does not.
        config: fields of `ValleyConfig`, such as ``temporal_pooling="chunk"``.

    Returns:
        The model, in the language model's dtype and in evaluation mode, and the processor.

    Raises:
        PartsError: the parts do not fit together, or the language model's head is no plain matrix product.
        OSError: a folder or hub id cannot be loaded (transformers' own error).
    """
    tower = _load_tower(vision_tower)
    if isinstance(language_model, (str, Path)):
        tokenizer = language_model if tokenizer is None else tokenizer
        language_model = AutoModelForCausalLM.from_pretrained(language_model)
    if tokenizer is None:
        raise PartsError("want the language model's tokenizer, got none")
    if isinstance(tokenizer, (str, Path)):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer)
    tokenizer = copy.deepcopy(tokenizer)
    probe, wanted = _probe(language_model)
    settings = _config(tower, language_model, config)
    model = _assemble(settings, tower, language_model)
    _add_tokens(model, tokenizer)
    _refuse_other_logits(model, probe, wanted)
    pixels = image_settings or _saved_pixel_settings(vision_tower) or _squashing(tower.config)
    processor = ValleyProcessor(
        tokenizer,
        image_settings=pixels,
        video_settings=video_settings,
        sampling={"num_frames": settings.num_frames},
        pooling={
            "name": settings.temporal_pooling,
            "options": settings.temporal_pooling_config,
            "num_patches": settings.num_patches,
        },
        chat_template=CHAT_TEMPLATE.read_text("utf-8"),
        frame_times=frame_times,
    )
    return model.eval(), processor


def _load_tower(vision_tower: PreTrainedModel | str | Path) -> PreTrainedModel:
    tower: Any = vision_tower
    if isinstance(vision_tower, (str, Path)):
        tower = AutoModel.from_pretrained(vision_tower)
    if "vision_config" in tower.config.sub_configs:
        tower = tower.get_submodule("vision_model")
    tower = tower.base_model
    fresh = _empty(tower.config)
    if type(fresh) is not type(tower):
        raise PartsError(
            f"{type(tower).__name__}: its config makes a {type(fresh).__name__}, so that a saved "
            "checkpoint could not be read again; give the vision tower itself"
        )
    return tower


def _empty(config: Any) -> PreTrainedModel:  # noqa: ANN401
    with torch.device("meta"):
        return AutoModel.from_config(config)


@torch.no_grad()
def _tower_shape(tower: PreTrainedModel, config: ValleyConfig) -> TowerShape:
    """Look at what the tower gives for one black picture.

    Raises:
        PartsError: no hidden states, or fewer tokens than patches.
    """
    size = tower.config.image_size
    height_px, width_px = (size, size) if isinstance(size, int) else size
    black = torch.zeros(
        1, tower.config.num_channels, height_px, width_px, dtype=tower.dtype, device=tower.device
    )
    states = tower.eval()(black, output_hidden_states=True, return_dict=True).hidden_states
    if not states or states[-1].ndim != 3 or states[-1].shape[1] < config.num_patches:
        raise PartsError(f"{type(tower).__name__} gives no hidden states of {config.num_patches} patches")
    if not -len(states) <= config.vision_feature_layer < len(states):
        raise PartsError(
            f"vision_feature_layer {config.vision_feature_layer}: "
            f"{type(tower).__name__} has {len(states)} states"
        )
    return TowerShape(num_prefix_tokens=states[-1].shape[1] - config.num_patches)


def _config(
    tower: PreTrainedModel, language_model: PreTrainedModel, fields: Mapping[str, Any]
) -> ValleyConfig:
    known = set(ValleyConfig.__annotations__) - {"vision_config", "text_config"}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise PartsError(f"ValleyConfig has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    for name in ("image_size", "patch_size", "hidden_size"):
        if name not in tower.config.to_dict():
            raise PartsError(f"{type(tower).__name__}: its config has no {name}, which the projector needs")
    head = language_model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise PartsError(f"{type(language_model).__name__}: want a linear head, got {type(head).__name__}")
    # The parts keep the attention they were made with: a composite config's own would overwrite theirs.
    attention = {
        "vision_config": tower.config._attn_implementation,
        "text_config": language_model.config._attn_implementation,
    }
    parts = {"vision_config": tower.config, "text_config": language_model.config}
    config = ValleyConfig(**parts, **fields, attn_implementation=attention)  # pyright: ignore[reportCallIssue]
    for part in (config.vision_config, config.text_config):
        if Path(
            part._name_or_path
        ).exists():  # a folder of this machine; a hub id says where the part came from
            part._name_or_path = ""
    config.lm_head_bias = head.bias is not None
    config.num_prefix_tokens = _tower_shape(tower, config).num_prefix_tokens
    return config


def _assemble(
    config: ValleyConfig, tower: PreTrainedModel, language_model: PreTrainedModel
) -> ValleyForConditionalGeneration:
    """Build the frame without memory, then put the parts in; only projector and pooling are made anew."""
    model: Any
    with torch.device("meta"):
        model = ValleyForConditionalGeneration(config)
    inner = language_model.base_model
    if type(inner) is not type(model.model.language_model):
        raise PartsError(
            f"{type(language_model).__name__}: its config makes a "
            f"{type(model.model.language_model).__name__}; "
            "give a causal language model for text alone"
        )
    model.model.vision_tower = tower
    model.model.language_model = inner
    model.lm_head = language_model.get_output_embeddings()
    model.model.multi_modal_projector = ValleyMultiModalProjector(config)
    model.model.temporal_pooling = build_temporal_pooling(
        config.temporal_pooling,
        config.temporal_pooling_config or {},
        dim=config.text_config.hidden_size,
        num_patches=config.num_patches,
    )
    for part in (model.model.multi_modal_projector, model.model.temporal_pooling):
        part.apply(model._init_weights)
    if language_model.generation_config is not None:
        model.generation_config = copy.deepcopy(language_model.generation_config)
    return model.to(language_model.dtype)


def _add_tokens(model: ValleyForConditionalGeneration, tokenizer: Any) -> None:  # noqa: ANN401
    """Teach the tokenizer the control tokens, and give them embeddings."""
    before = set(tokenizer.get_vocab().values())
    names = [*CHAT_TOKENS, *VISUAL_TOKENS.values()]
    if tokenizer.pad_token is None:
        names.append(PAD_TOKEN)
    tokenizer.add_tokens(
        [AddedToken(name, special=True, normalized=False) for name in names], special_tokens=True
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = PAD_TOKEN
    tokenizer.padding_side = "left"
    if len(tokenizer) > model.config.text_config.vocab_size:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    _embed_new(model, sorted(set(tokenizer.get_vocab().values()) - before))
    for name, token in VISUAL_TOKENS.items():
        setattr(model.config, f"{name}_token_id", tokenizer.convert_tokens_to_ids(token))
    generation = model.generation_config or GenerationConfig()
    stops = (
        generation.eos_token_id if isinstance(generation.eos_token_id, list) else [generation.eos_token_id]
    )
    end = tokenizer.convert_tokens_to_ids(END_TOKEN)
    generation.eos_token_id = list(dict.fromkeys([end, *(s for s in stops if s is not None)]))
    generation.pad_token_id = tokenizer.pad_token_id
    model.generation_config = generation


@torch.no_grad()
def _embed_new(model: ValleyForConditionalGeneration, ids: Sequence[int]) -> None:
    """Start new tokens near the mean of the old ones, so that they are neither loud nor all the same."""
    if not ids:
        return
    table: Any = model.get_input_embeddings().weight
    old = [i for i in range(table.shape[0]) if i not in set(ids)]
    known = table[old].float()
    noise = torch.randn(len(ids), table.shape[1], generator=torch.Generator().manual_seed(0))
    new = known.mean(0) + 0.1 * known.std(0) * noise.to(known.device)
    table[list(ids)] = new.to(table.dtype)
    head = model.lm_head
    if head.weight is not table:
        head.weight[list(ids)] = head.weight[old].float().mean(0).to(head.weight.dtype)
    if head.bias is not None:
        head.bias[list(ids)] = head.bias[old].float().mean().to(head.bias.dtype)


@torch.no_grad()
def _probe(language_model: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """Remember what the language model says about a few ids before it is taken apart."""
    num_ids = min(language_model.config.get_text_config().vocab_size, 64)
    probe = torch.arange(1, num_ids, max(1, num_ids // 8), device=language_model.device)[None]
    return probe, language_model.eval()(input_ids=probe).logits.float()


@torch.no_grad()
def _refuse_other_logits(model: ValleyForConditionalGeneration, probe: Tensor, wanted: Tensor) -> None:
    """Make sure that text alone gives what the language model gave.

    Raises:
        PartsError: it does not: the model scales or caps its logits, which a plain head would leave out.
    """
    got = model.eval()(input_ids=probe).logits.float()[..., : wanted.shape[-1]]
    error = float((got - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6))
    if error > LOGIT_TOLERANCE:
        raise PartsError(
            f"{model.config.text_config.model_type}: its logits change by {error:.0%} under a plain linear "
            "head (a scale, cap or extra layer); this language model is not supported"
        )


def _saved_pixel_settings(source: PreTrainedModel | str | Path) -> dict[str, Any] | None:
    """Read the preprocessor file that lies beside a tower's weights."""
    if isinstance(source, PreTrainedModel):
        return None
    for name in ("preprocessor_config.json", "processor_config.json"):
        path = cached_file(str(source), name, _raise_exceptions_for_missing_entries=False)
        if path is not None:
            settings = json.loads(Path(path).read_text("utf-8"))
            settings = settings.get("image_processor", settings)
            if "size" in settings:
                return settings
    return None


def _squashing(config: Any) -> dict[str, Any]:  # noqa: ANN401
    size = config.image_size
    height_px, width_px = (size, size) if isinstance(size, int) else size
    return {"size": {"height": height_px, "width": width_px}}


__all__ = ["CHAT_TOKENS", "END_TOKEN", "compose"]
