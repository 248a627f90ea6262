"""How a clip's visual tokens are laid out in the prompt, and how many there are; knows names, not tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .temporal_pooling import frame_groups

# What each marker is called in the tokenizer; the names are the published model's.
VISUAL_TOKENS = {
    "im_start": "<im_start>",
    "im_patch": "<im_patch>",
    "im_end": "<im_end>",
    "vi_start": "<vi_start>",
    "vi_frame": "<vi_frame>",
    "vi_end": "<vi_end>",
}


@dataclass(frozen=True)
class VisualLayout:
    """``<im_start>`` pooled patches ``<im_end> <vi_start>`` frames ``<vi_end>``; a picture is one frame.

    The published layout of 2023 leaves the model to guess when a frame is shown; `frame_times` tells it.

    Attributes:
        pooling: name of the temporal pooling.
        options: its options.
        num_patches: patches of one frame.
        tokens: the markers' names, as in `VISUAL_TOKENS`.
        frame_times: whether each frame of a clip is preceded by its time in words, such as "0.6s".
    """

    pooling: str
    options: Mapping[str, Any]
    num_patches: int
    tokens: Mapping[str, str]
    frame_times: bool = False

    def num_visual_tokens(self, num_frames: int) -> int:
        """Count the tokens of a clip that carry features."""
        return len(frame_groups(self.pooling, self.options, num_frames)) * self.num_patches + num_frames

    def with_one_placeholder(self) -> VisualLayout:
        """Give the layout in which a frame's placeholder is a patch's: the network looks at neither."""
        return replace(self, tokens={**self.tokens, "vi_frame": self.tokens["im_patch"]})

    def expansion(self, shown_at_s: Sequence[float]) -> str:
        """Write the placeholders of a clip whose frames are shown at these times.

        Where the clip is pooled in several chunks, each is preceded by its time in words, such as "12.0s ";
        with `frame_times` so is each frame, without the space.
        """
        words = [f"{time_s:.1f}s" for time_s in shown_at_s]
        return self._written(words, frame_words=words if self.frame_times else [""] * len(words))

    def picture_expansion(self) -> str:
        """Write the placeholders of a picture, which has no time."""
        return self._written([""], frame_words=[""])

    def _written(self, words: Sequence[str], *, frame_words: Sequence[str]) -> str:
        groups = frame_groups(self.pooling, self.options, len(words))
        patches = self.tokens["im_patch"] * self.num_patches
        timed = self.pooling == "chunk" and len(groups) > 1
        body = "".join((f"{words[group.start]} " if timed else "") + patches for group in groups)
        frames = "".join(word + self.tokens["vi_frame"] for word in frame_words)
        markers = self.tokens
        return (
            f"{markers['im_start']}{body}{markers['im_end']}{markers['vi_start']}{frames}{markers['vi_end']}"
        )
