"""The network: vision tower, projector, temporal pooling and language model, in Hugging Face's manner.

It knows tensors only: no files, no tokenizer, no prompt.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.cache_utils import Cache
from transformers.utils.generic import can_return_tuple

from .configuration_valley import ValleyConfig
from .generation_valley import ValleyGenerationMixin
from .placeholders import IMAGE, VIDEO, fill_as_published, fill_placeholders
from .pretrained_valley import ValleyCausalLMOutputWithPast, ValleyModelOutputWithPast, ValleyPreTrainedModel
from .tensor_types import Bool, Float, Int
from .visual_encoding import VisualEncoder


class ValleyModel(ValleyPreTrainedModel, VisualEncoder):
    """Everything but the language model's head."""

    def __init__(self, config: ValleyConfig) -> None:
        super().__init__(config)
        self.make_visual_parts(config)
        self.language_model = AutoModel.from_config(config.text_config)
        self._takes_position_ids = "position_ids" in inspect.signature(self.language_model.forward).parameters
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Give the language model's embedding table."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's embedding table."""
        self.language_model.set_input_embeddings(value)

    @can_return_tuple
    def forward(  # noqa: PLR0913
        self,
        input_ids: Int[Tensor, "batch token"] | None = None,
        pixel_values: Float[Tensor, "image 3 height width"] | None = None,
        pixel_values_videos: Float[Tensor, "video frame 3 height width"] | None = None,
        video_frame_mask: Bool[Tensor, "video frame"] | None = None,
        video_timestamps: Float[Tensor, "video frame"] | None = None,
        pixel_features: Float[Tensor, "image visual vision_dim"] | None = None,
        pixel_features_videos: Float[Tensor, "video frame visual vision_dim"] | None = None,
        spare_pixel_values: Tensor | None = None,
        mm_token_type_ids: Int[Tensor, "batch token"] | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Int[Tensor, "batch token"] | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Float[Tensor, "batch token dim"] | None = None,
        use_cache: bool | None = None,  # noqa: FBT001
        **kwargs: Any,  # noqa: ANN401
    ) -> ValleyModelOutputWithPast:
        """Put the visual tokens at their placeholders and run the language model.

        Args:
            input_ids: prompt with placeholders.
            pixel_values: pictures, in the order of their placeholders.
            pixel_values_videos: clips, in the order of their placeholders, padded to one length.
            video_frame_mask: True for real frames.
            video_timestamps: seconds at which each frame is shown.
            pixel_features: what `tower_features` gave for the pictures, instead of their pixels.
            pixel_features_videos: the same for the clips' frames; both kinds of media, or neither.
            spare_pixel_values: a frame f[1 3 height width], or its features, that goes through the visual
                parts and counts for nothing. A process that trains with others and has no medium in a step
                gives one, so that none waits for it.
            mm_token_type_ids: 0 word, 1 placeholder of a picture, 2 of a clip; needed when both are given.
            attention_mask: 1 for tokens, 0 for padding, over the cached tokens too.
            position_ids: positions; by default counted over the attention mask: padding shifts nothing.
            past_key_values: cache of the tokens before.
            inputs_embeds: embeddings instead of ids; the visual tokens may be inside already.
            use_cache: whether to return a cache.
            kwargs: handed to the language model.

        Raises:
            ValueError: placeholders and visual tokens differ in number; ids and embeddings both or neither.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("want exactly one of input_ids and inputs_embeds")
        images, videos, spare = self._see(
            pixel_values if pixel_features is None else pixel_features,
            pixel_values_videos if pixel_features_videos is None else pixel_features_videos,
            video_frame_mask,
            video_timestamps,
            spare_pixel_values,
            are_features=pixel_features is not None
            or pixel_features_videos is not None
            or (spare_pixel_values is not None and spare_pixel_values.ndim == 3),
        )
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        assert inputs_embeds is not None
        has_past = past_key_values is not None and past_key_values.get_seq_length() > 0
        if self.config.legacy and input_ids is not None and (images is not None or videos is not None):
            inputs_embeds = fill_as_published(
                inputs_embeds,
                input_ids,
                mm_token_type_ids,
                features={IMAGE: images, VIDEO: videos},
                num_patches=self.config.num_patches,
                token_ids={
                    n: getattr(self.config, f"{n}_token_id") for n in ("im_start", "im_patch", "vi_frame")
                },
            )
        elif images is not None or videos is not None or not has_past:
            inputs_embeds = fill_placeholders(
                inputs_embeds,
                input_ids,
                mm_token_type_ids,
                features={IMAGE: images, VIDEO: videos},
                placeholder_token_ids=self.config.placeholder_token_ids,
            )
        if spare is not None:
            inputs_embeds = inputs_embeds + 0.0 * spare.sum()
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **self._positions(position_ids, attention_mask, inputs_embeds.shape[1]),
            **kwargs,
        )
        return ValleyModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=images,
            video_hidden_states=videos,
        )

    def _see(
        self,
        pictures: Tensor | None,
        clips: Tensor | None,
        mask: Tensor | None,
        shown_at_s: Tensor | None,
        spare: Tensor | None,
        *,
        are_features: bool,
    ) -> tuple[list[Tensor] | None, list[Tensor] | None, Tensor | None]:
        """Give the visual tokens of pictures, of clips (None where there are none), and of a spare frame."""
        real: list[Tensor] = []
        times: list[Tensor] = []
        if clips is not None:
            num_frames = clips.shape[1]
            if shown_at_s is None:
                shown_at_s = torch.arange(num_frames).float().expand(len(clips), -1)
            masks = torch.ones(clips.shape[:2], dtype=torch.bool) if mask is None else mask
            real = [clip[m.to(clip.device)] for clip, m in zip(clips, masks, strict=True)]
            times = [at[m.to(at.device)] for at, m in zip(shown_at_s, masks, strict=True)]
        images = [] if pictures is None else list(pictures)
        if spare is not None:
            images = [*images, spare[0]]
        if not images and not real:
            return None, None, None
        seen, clips_seen = self.encode_media(images, real, times, are_features=are_features)
        left_over = seen.pop() if spare is not None else None
        return (None if pictures is None else seen), (None if clips is None else clips_seen), left_over

    def _positions(
        self, position_ids: Tensor | None, attention_mask: Tensor | None, num_tokens: int
    ) -> dict[str, Tensor | None]:
        if not self._takes_position_ids:
            return {}
        if position_ids is None and attention_mask is not None and attention_mask.ndim == 2:
            counted = attention_mask.long().cumsum(-1) - 1
            position_ids = counted.clamp(min=0)[:, -num_tokens:]
        return {"position_ids": position_ids}


class ValleyForConditionalGeneration(ValleyPreTrainedModel, ValleyGenerationMixin):
    """Valley with its head: answers questions about pictures and clips."""

    _tied_weights_keys: Any = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: ValleyConfig) -> None:
        super().__init__(config)
        self.model = ValleyModel(config)
        self.lm_head = nn.Linear(
            config.text_config.hidden_size, config.text_config.vocab_size, bias=config.lm_head_bias
        )
        self._tied_weights_keys = {"lm_head.weight": f"model.language_model.{self._embedding_name()}.weight"}
        self.post_init()

    def _embedding_name(self) -> str:
        table = self.model.get_input_embeddings()
        return next(name for name, part in self.model.language_model.named_modules() if part is table)

    def get_output_embeddings(self) -> nn.Module:
        """Give the language model's head."""
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the language model's head."""
        self.lm_head = new_embeddings

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> Any:  # noqa: ANN401
        """Encode pictures; see `ValleyModel.get_image_features`."""
        return self.model.get_image_features(pixel_values, **kwargs)

    def get_video_features(self, pixel_values_videos: Tensor, **kwargs: Any) -> Any:  # noqa: ANN401
        """Encode clips; see `ValleyModel.get_video_features`."""
        return self.model.get_video_features(pixel_values_videos, **kwargs)

    @can_return_tuple
    def forward(  # noqa: PLR0913
        self,
        input_ids: Int[Tensor, "batch token"] | None = None,
        pixel_values: Float[Tensor, "image 3 height width"] | None = None,
        pixel_values_videos: Float[Tensor, "video frame 3 height width"] | None = None,
        video_frame_mask: Bool[Tensor, "video frame"] | None = None,
        video_timestamps: Float[Tensor, "video frame"] | None = None,
        mm_token_type_ids: Int[Tensor, "batch token"] | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Int[Tensor, "batch token"] | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Float[Tensor, "batch token dim"] | None = None,
        labels: Int[Tensor, "batch token"] | None = None,
        use_cache: bool | None = None,  # noqa: FBT001
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> ValleyCausalLMOutputWithPast:
        """Give logits, and the loss where labels are given.

        Args as in `ValleyModel.forward`, and: `labels`, the ids themselves (shifted inside), -100 where
        nothing is learned; `logits_to_keep`, how many last positions get logits (0: all) or which. What else
        is given goes to the language model and to `loss_function` (`num_items_in_batch`).
        """
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            pixel_values_videos=pixel_values_videos,
            video_frame_mask=video_frame_mask,
            video_timestamps=video_timestamps,
            mm_token_type_ids=mm_token_type_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            vocab_size = self.lm_head.out_features
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=vocab_size, **kwargs)
        return ValleyCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
            video_hidden_states=outputs.video_hidden_states,
        )


__all__ = ["ValleyForConditionalGeneration", "ValleyModel", "ValleyPreTrainedModel"]
