"""Rows of different length, with clips of different length, become one padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from valley.training.labelling import IGNORED_LABEL

# Per row, one value a token; what fills the places behind a row's end.
_TOKEN_FILL = {"attention_mask": 0, "mm_token_type_ids": 0, "labels": IGNORED_LABEL}
# Per clip, one value a frame; what fills the places behind a clip's last frame.
_FRAME_TENSORS = ("pixel_values_videos", "video_frame_mask", "video_timestamps")


@dataclass(frozen=True)
class Collator:
    """Pad on the right; images of all rows follow each other, and so do their clips.

    Attributes:
        pad_token_id: fills `input_ids` behind a row's end.
    """

    pad_token_id: int

    def __call__(self, rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Make a batch.

        Returns:
            input_ids, attention_mask, mm_token_type_ids, labels i64[batch, token]; where a row has pictures,
            pixel_values f32[image, 3, h, w]; where one has clips, pixel_values_videos
            f32[video, frame, 3, h, w], video_frame_mask bool[video, frame], video_timestamps f[video, frame].
        """
        batch = {
            name: torch.nn.utils.rnn.pad_sequence(
                [row[name] for row in rows],
                batch_first=True,
                padding_value=_TOKEN_FILL.get(name, self.pad_token_id),
            )
            for name in ("input_ids", *_TOKEN_FILL)
            if name in rows[0]
        }
        images = [row["pixel_values"] for row in rows if "pixel_values" in row]
        if images:
            batch["pixel_values"] = torch.cat(images)
        with_clips = [row for row in rows if "pixel_values_videos" in row]
        if with_clips:
            batch |= _stack_clips(with_clips)
        return batch


def _stack_clips(rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    num_frames = max(row["pixel_values_videos"].shape[1] for row in rows)
    return {
        name: torch.cat([_fill_frames(row[name], num_frames) for row in rows])
        for name in _FRAME_TENSORS
        if name in rows[0]
    }


def _fill_frames(clips: Tensor, num_frames: int) -> Tensor:
    """Lengthen clips [video, frame, ...] with zeros (False in the mask) to `num_frames`."""
    missing = num_frames - clips.shape[1]
    if missing == 0:
        return clips
    return torch.cat([clips, clips.new_zeros(clips.shape[0], missing, *clips.shape[2:])], dim=1)
