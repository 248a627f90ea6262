"""What `generate` must know of media: show them once, and repeat them with their sample."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from transformers import GenerationMixin

from .configuration_valley import ValleyConfig
from .placeholders import WORD, expand_media

MEDIA_INPUTS = ("pixel_values", "pixel_values_videos", "video_frame_mask", "video_timestamps")


class ValleyGenerationMixin(GenerationMixin):
    """Hand media on in the first step, and give each beam its own sample's media."""

    config: ValleyConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def prepare_inputs_for_generation(
        self,
        *args: Any,  # noqa: ANN401
        is_first_iteration: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Show the media in the first step only; later steps find them in the cache.

        A model that guesses ahead for another is never in a "first iteration", but its cache is empty once;
        what is guessed are words.
        """
        cache = kwargs.get("past_key_values")
        is_first = is_first_iteration or (cache is not None and cache.get_seq_length() == 0)
        parent: Any = super()
        inputs = parent.prepare_inputs_for_generation(*args, is_first_iteration=is_first, **kwargs)
        if not is_first and kwargs.get("use_cache", True):
            for name in (*MEDIA_INPUTS, "mm_token_type_ids"):
                inputs.pop(name, None)
        ids, types = inputs.get("input_ids"), inputs.get("mm_token_type_ids")
        if ids is not None and types is not None and types.shape[1] < ids.shape[1]:
            inputs["mm_token_type_ids"] = F.pad(types, (0, ids.shape[1] - types.shape[1]), value=WORD)
        return inputs

    def _expand_inputs_for_generation(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,  # noqa: FBT001, FBT002
        input_ids: Tensor | None = None,
        **model_kwargs: Any,  # noqa: ANN401
    ) -> tuple[Tensor | None, dict[str, Any]]:
        """Repeat each sample with its own media, for beams and several answers."""
        media = {name: model_kwargs.pop(name) for name in MEDIA_INPUTS if model_kwargs.get(name) is not None}
        if media and expand_size > 1:
            media = expand_media(
                media,
                input_ids,
                model_kwargs.get("mm_token_type_ids"),
                start_token_id=self.config.im_start_token_id,
                expand_size=expand_size,
            )
        parent: Any = super()
        input_ids, model_kwargs = parent._expand_inputs_for_generation(
            expand_size, is_encoder_decoder, input_ids, **model_kwargs
        )
        return input_ids, {**model_kwargs, **media}
