"""Rows of different length, with clips of different length, become one batch: padded, or packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from valley.training.labelling import IGNORED_LABEL

# Per row, one value a token; what fills the places behind a row's end.
_TOKEN_FILL = {"attention_mask": 0, "mm_token_type_ids": 0, "labels": IGNORED_LABEL}
# Per clip, one value a frame; what fills the places behind a clip's last frame.
_FRAME_TENSORS = ("pixel_values_videos", "pixel_features_videos", "video_frame_mask", "video_timestamps")
_PICTURE_TENSORS = ("pixel_values", "pixel_features")


@dataclass(frozen=True)
class Collator:
    """Make batches; pictures of all samples follow each other, and so do their clips.

    Attributes:
        pad_token_id: fills `input_ids` behind a row's end.
        packing: put several samples into one row. Positions begin anew with each, by which the language model
            keeps them apart; there is no attention mask then.
        one_row: pack all samples into a single row, as FlashAttention wants it; otherwise rows are as long as
            the longest sample.
        spare: a frame, or its features, for batches without any medium; see `ValleyModel.forward`.
    """

    pad_token_id: int
    packing: bool = False
    one_row: bool = False
    spare: Tensor | None = None

    def __call__(self, rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Make a batch.

        Returns:
            input_ids, mm_token_type_ids, labels i64[row, token], and attention_mask or, where samples are
            packed, position_ids; where a sample has pictures, pixel_values f32[image, 3, h, w]; where one has
            clips, pixel_values_videos f32[video, frame, 3, h, w], video_frame_mask bool[video, frame],
            video_timestamps f[video, frame].
        """
        order = list(range(len(rows)))
        if self.packing:
            lengths = [len(row["input_ids"]) for row in rows]
            bins = [order] if self.one_row else fill_rows(lengths, max(lengths))
            order = [number for content in bins for number in content]
            packed = [_joined([rows[number] for number in content]) for content in bins]
            batch = _stack_tokens(packed, self.pad_token_id)
        else:
            batch = _stack_tokens(rows, self.pad_token_id)
        ordered = [rows[number] for number in order]
        for name in _PICTURE_TENSORS:
            if pictures := [row[name] for row in ordered if name in row]:
                batch[name] = torch.cat(pictures)
        if with_clips := [row for row in ordered if "video_timestamps" in row]:
            batch |= _stack_clips(with_clips)
        if "sample_number" in rows[0]:
            batch["sample_numbers"] = torch.stack([row["sample_number"] for row in ordered])
        if self.spare is not None and not batch.keys() & {*_PICTURE_TENSORS, *_FRAME_TENSORS}:
            batch["spare_pixel_values"] = self.spare
        return batch


def fill_rows(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Put samples into as few rows as come easily: the longest first, each where it leaves least room.

    Returns:
        For each row the numbers of its samples; rows in the order of their first sample, and so inside.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda n: (-lengths[n], n)):
        fitting = [i for i, free in enumerate(room) if free >= lengths[number]]
        if fitting:
            best = min(fitting, key=lambda i: (room[i], i))
            rows[best].append(number)
            room[best] -= lengths[number]
        else:
            rows.append([number])
            room.append(row_length - lengths[number])
    return sorted(sorted(row) for row in rows)


def _joined(samples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Lay samples one behind the other; nothing is learned from the step between two of them."""
    labels = [sample["labels"].clone() for sample in samples]
    for of_sample in labels:
        of_sample[0] = IGNORED_LABEL
    row = {
        "input_ids": torch.cat([s["input_ids"] for s in samples]),
        "labels": torch.cat(labels),
        "position_ids": torch.cat([torch.arange(len(s["input_ids"])) for s in samples]),
    }
    if "mm_token_type_ids" in samples[0]:
        row["mm_token_type_ids"] = torch.cat([s["mm_token_type_ids"] for s in samples])
    return row


def _stack_tokens(rows: Sequence[dict[str, Tensor]], pad_token_id: int) -> dict[str, Tensor]:
    batch = {
        name: torch.nn.utils.rnn.pad_sequence(
            [row[name] for row in rows], batch_first=True, padding_value=_TOKEN_FILL.get(name, pad_token_id)
        )
        for name in ("input_ids", *_TOKEN_FILL)
        if name in rows[0]
    }
    if "position_ids" in rows[0]:  # what fills a row is one more sample, at which nobody looks
        longest = batch["input_ids"].shape[1]
        positions = [
            torch.cat([row["position_ids"], torch.arange(longest - len(row["position_ids"]))]) for row in rows
        ]
        batch["position_ids"] = torch.stack(positions)
    return batch


def _stack_clips(rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    num_frames = max(row["video_timestamps"].shape[1] for row in rows)
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
