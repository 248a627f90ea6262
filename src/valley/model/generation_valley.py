"""What `generate` must know of media: show them once, and repeat them with their sample."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import GenerationMixin

from .configuration_valley import ValleyConfig
from .placeholders import expand_media

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
        """Show the media in the first step only; later steps find them in the cache."""
        parent: Any = super()
        inputs = parent.prepare_inputs_for_generation(*args, is_first_iteration=is_first_iteration, **kwargs)
        if not is_first_iteration and kwargs.get("use_cache", True):
            for name in (*MEDIA_INPUTS, "mm_token_type_ids"):
                inputs.pop(name, None)
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
