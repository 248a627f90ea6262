"""From pixels to visual tokens: tower, projector, pooling; whatever runs the language model behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils.generic import can_return_tuple

from .configuration_valley import ValleyConfig
from .multi_modal_projector import ValleyMultiModalProjector
from .temporal_pooling import TemporalPooling, build_temporal_pooling
from .tensor_types import Bool, Float


class VisualEncoder:
    """What a module with Valley's three visual parts can do; the parts are the module's own."""

    config: ValleyConfig
    vision_tower: nn.Module
    multi_modal_projector: ValleyMultiModalProjector
    temporal_pooling: TemporalPooling

    def make_visual_parts(self, config: ValleyConfig) -> None:
        """Make tower, projector and pooling anew."""
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.multi_modal_projector = ValleyMultiModalProjector(config)
        self.temporal_pooling = build_temporal_pooling(
            config.temporal_pooling,
            config.temporal_pooling_config,
            dim=config.text_config.hidden_size,
            num_patches=config.num_patches,
        )

    def encode_frames(
        self, pixel_values: Float[Tensor, "frame 3 height width"]
    ) -> Float[Tensor, "frame token dim"]:
        """Run tower and projector: for every frame its frame token, then its patch tokens."""
        return self.multi_modal_projector(self.tower_features(pixel_values))

    def tower_features(
        self, pixel_values: Float[Tensor, "frame 3 height width"]
    ) -> Float[Tensor, "frame token vision_dim"]:
        """Run the tower alone: what the projector takes, for every frame its frame token, then its patches.

        Raises:
            ValueError: the tower gives another number of tokens than the config says.
        """
        if self.config.pixel_dtype is not None:
            pixel_values = pixel_values.to(getattr(torch, self.config.pixel_dtype))
        pixel_values = pixel_values.to(self.multi_modal_projector.linear_1.weight.dtype)
        outputs = self.vision_tower(pixel_values, output_hidden_states=True, return_dict=True)
        features = outputs.hidden_states[self.config.vision_feature_layer]
        num_prefix, num_patches = self.config.num_prefix_tokens, self.config.num_patches
        if features.ndim != 3 or features.shape[1] != num_prefix + num_patches:
            raise ValueError(
                f"want {num_prefix} prefix and {num_patches} patch tokens from the vision tower, "
                f"got a tensor of shape {tuple(features.shape)}"
            )
        patches = features[:, num_prefix:]
        frame_token = features[:, :1] if num_prefix else patches.mean(1, keepdim=True)
        return torch.cat([frame_token, patches], dim=1)

    def pool_clip(
        self, features: Float[Tensor, "frame token dim"], shown_at_s: Float[Tensor, " frame"]
    ) -> Float[Tensor, "visual dim"]:
        """Make one clip's visual tokens: the pooled patch tokens, then the frame tokens."""
        pooled = self.temporal_pooling(features[:, 1:], shown_at_s)
        return torch.cat([pooled.tokens, features[:, 0]])

    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: Float[Tensor, "image 3 height width"],
        **kwargs: Any,  # noqa: ANN401
    ) -> BaseModelOutputWithPooling:
        """Encode pictures, each as a clip of one frame; `pooler_output` lists their visual tokens."""
        features = self.encode_frames(pixel_values)
        at_start = torch.zeros(1, device=features.device)
        tokens = [self.pool_clip(picture[None], at_start) for picture in features]
        return BaseModelOutputWithPooling(last_hidden_state=features, pooler_output=tokens)  # pyright: ignore[reportArgumentType]

    @can_return_tuple
    def get_video_features(
        self,
        pixel_values_videos: Float[Tensor, "video frame 3 height width"],
        video_frame_mask: Bool[Tensor, "video frame"] | None = None,
        video_timestamps: Float[Tensor, "video frame"] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> BaseModelOutputWithPooling:
        """Encode clips; `pooler_output` lists their visual tokens, as many as each clip's length asks for.

        Args:
            pixel_values_videos: frames; shorter clips are padded at the end.
            video_frame_mask: True for real frames; all are real by default. Padding never enters the tower.
            video_timestamps: seconds at which each frame is shown; one frame a second by default.
            kwargs: ignored, as other models of the library take more.
        """
        num_videos, num_frames = pixel_values_videos.shape[:2]
        device = pixel_values_videos.device
        if video_frame_mask is None:
            video_frame_mask = torch.ones(num_videos, num_frames, dtype=torch.bool, device=device)
        if video_timestamps is None:
            video_timestamps = torch.arange(num_frames, device=device).float().expand(num_videos, -1)
        features = self.encode_frames(pixel_values_videos[video_frame_mask])
        lengths = video_frame_mask.sum(1).tolist()
        times = video_timestamps.to(device)[video_frame_mask].split(lengths)
        tokens = self._pooled(features.split(lengths), times)
        return BaseModelOutputWithPooling(last_hidden_state=features, pooler_output=tokens)  # pyright: ignore[reportArgumentType]

    def encode_media(
        self,
        images: Sequence[Tensor],
        clips: Sequence[Tensor],
        shown_at_s: Sequence[Tensor],
        *,
        are_features: bool = False,
    ) -> tuple[list[Float[Tensor, "_ dim"]], list[Float[Tensor, "_ dim"]]]:
        """Give the visual tokens of pictures and of clips, after one pass of all frames through the tower.

        One pass, whatever there is: processes that train together must meet the same layers equally often.

        Args:
            images: f[3 height width] of each picture.
            clips: f[frame 3 height width] of each clip, real frames alone.
            shown_at_s: f[frame] of each clip, seconds at which they are shown.
            are_features: pictures and frames come as `tower_features` gave them.
        """
        dtype = self.multi_modal_projector.linear_1.weight.dtype
        # Kept features may be of another type than autocast mixes with.
        media = [m.to(dtype) for m in (*images, *clips)] if are_features else [*images, *clips]
        frames = torch.cat([m[None] if number < len(images) else m for number, m in enumerate(media)])
        features = self.multi_modal_projector(frames) if are_features else self.encode_frames(frames)
        lengths = [1] * len(images) + [len(clip) for clip in clips]
        at_start = torch.zeros(1, device=features.device)
        tokens = self._pooled(features.split(lengths), [at_start] * len(images) + list(shown_at_s))
        return tokens[: len(images)], tokens[len(images) :]

    def encode_clips(
        self, clips: Sequence[Tensor], shown_at_s: Sequence[Tensor]
    ) -> list[Float[Tensor, "_ dim"]]:
        """Give each clip's visual tokens; see `encode_media`."""
        return self.encode_media((), clips, shown_at_s)[1]

    def _pooled(self, clips: Sequence[Tensor], shown_at_s: Sequence[Tensor]) -> list[Tensor]:
        return [
            self.pool_clip(clip, times.to(clip.device)) for clip, times in zip(clips, shown_at_s, strict=True)
        ]


__all__ = ["VisualEncoder"]
