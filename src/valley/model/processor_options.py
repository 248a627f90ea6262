"""The options of a processor call, sorted: text, sampling, and those that say nothing here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .errors_valley import PromptError
from .video_processing_valley import SAMPLING_OPTIONS

_NESTED = ("text_kwargs", "images_kwargs", "videos_kwargs", "common_kwargs")
_VIDEO = (*SAMPLING_OPTIONS, "do_sample_frames", "limits", "on_damage", "isolated")
# transformers, pipelines and vLLM pass these along; what they ask for is done always, or never concerns us.
_WITHOUT_EFFECT = (
    "return_mm_token_type_ids",
    "return_attention_mask",
    "return_token_type_ids",
    "sanitize_control_tokens",
    "audio",
    "device",
)


@dataclass
class TextOptions:
    """How prompts become rows.

    Attributes:
        padding: False, True (to the longest row) or "max_length".
        padding_side: "left" or "right"; the tokenizer's own by default.
        truncation: cut words from the tokenizer's truncation side; never a medium.
        max_length: longest row; the tokenizer's own limit by default.
        pad_to_multiple_of: lengthen rows to a multiple.
        return_tensors: "pt", "np" or None for lists.
        add_special_tokens: whether the tokenizer adds what it adds to plain text, such as a first token.
        return_assistant_tokens_mask: whether to say where the assistant speaks.
        return_metadata: also `video_metadata`: source and times of the frames of every clip.
        return_text_replacement_offsets: for engines that put media in themselves, such as vLLM: also
            `text_replacement_offsets`; every placeholder has one id, and clips are not padded to one length.
    """

    padding: bool | str = True
    padding_side: str | None = None
    truncation: bool | str = False
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: Any = "pt"
    add_special_tokens: bool = True
    return_assistant_tokens_mask: bool = False
    return_metadata: bool = False
    return_text_replacement_offsets: bool = False

    @property
    def for_engine(self) -> bool:
        """Whether an engine asks that puts the media in itself."""
        return self.return_text_replacement_offsets

    def length_limit(self, tokenizer: Any) -> int:  # noqa: ANN401
        """Give the longest row.

        Raises:
            PromptError: nothing says how long a row may be.
        """
        limit = self.max_length or tokenizer.model_max_length
        if limit > 10**9:  # transformers' way of saying that there is no limit
            raise PromptError("truncation and padding to 'max_length' need a max_length, got none")
        return limit


def sort_options(kwargs: Mapping[str, Any]) -> tuple[TextOptions, dict[str, Any]]:
    """Sort a call's keyword arguments into text options and sampling options.

    Raises:
        PromptError: an option is unknown.
    """
    flat: dict[str, Any] = {}
    for name, value in kwargs.items():
        flat.update(value if name in _NESTED else {name: value})
    text_names = {f.name for f in fields(TextOptions)}
    unknown = [n for n in flat if n not in text_names and n not in _VIDEO and n not in _WITHOUT_EFFECT]
    if unknown:
        near = difflib.get_close_matches(unknown[0], [*text_names, *_VIDEO], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PromptError(f"the processor does not know {', '.join(map(repr, unknown))}{hint}")
    text = TextOptions(**{n: v for n, v in flat.items() if n in text_names})
    return text, {n: v for n, v in flat.items() if n in _VIDEO and v is not None}
