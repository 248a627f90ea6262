"""What every Valley network shares: outputs, how new weights start, what transformers may do with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.utils.generic import ModelOutput

from .configuration_valley import ValleyConfig
from .temporal_pooling import ImportancePooling, SelfAttention, TransformerPooling


@dataclass
class ValleyModelOutputWithPast(BaseModelOutputWithPast):
    """Hidden states of the language model, with the visual tokens that were put in (one tensor a medium)."""

    image_hidden_states: list[Tensor] | None = None
    video_hidden_states: list[Tensor] | None = None


@dataclass
class ValleyCausalLMOutputWithPast(ModelOutput):
    """Loss and logits, with the visual tokens that were put in (one tensor a medium)."""

    loss: Any = None  # a tensor; ModelOutput also takes a dict of all fields here, and accelerate gives one
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    image_hidden_states: list[Tensor] | None = None
    video_hidden_states: list[Tensor] | None = None


class ValleyPreTrainedModel(PreTrainedModel):
    """Weights, saving and what the parts support."""

    config: ValleyConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = ValleyConfig
    base_model_prefix = "model"
    input_modalities = ("image", "video", "text")  # pyright: ignore[reportAssignmentType]
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    def _upload_modified_files(self, working_dir: str | Path, repo_id: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Publish a folder with a card that says what it is; `push_to_hub` comes here in the end."""
        from .model_card import complete_card

        complete_card(Path(working_dir), self.config, name=repo_id)
        parent: Any = super()
        return parent._upload_modified_files(working_dir, repo_id, *args, **kwargs)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Start the learned poolings as the mean, everything else as Hugging Face does."""
        super()._init_weights(module)
        if isinstance(module, ImportancePooling):
            init.zeros_(module.pooling_layer.weight)
            init.zeros_(module.pooling_layer.bias)
        elif isinstance(module, SelfAttention):
            init.xavier_uniform_(module.in_proj_weight)
            init.zeros_(module.in_proj_bias)
        elif isinstance(module, TransformerPooling):
            init.copy_(module.get_buffer("position_matrix"), module.fresh_positions())
            for layer in module.encoder.layers:
                init.zeros_(layer.get_parameter("norm2.weight"))
                init.zeros_(layer.get_parameter("norm2.bias"))
