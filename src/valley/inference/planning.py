"""What a question about given media will cost, before any weight is loaded.

Reads the packet index of each clip, the checkpoint's config and processor, and the headers of its weight files.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_MAX_HEADER_BYTES = 100 * 2**20  # the limit of the safetensors format itself


@dataclass(frozen=True)
class MediumPlan:
    """One medium: when its frames are shown, and how many visual tokens they become."""

    path: str
    timestamps_s: tuple[float, ...]
    visual_tokens: int


@dataclass(frozen=True)
class Plan:
    """The cost of one question.

    Attributes:
        model: its name.
        dtype: of weights and cache.
        media: each medium's frames and tokens.
        visual_tokens: placeholders of all media; the processor makes exactly as many.
        prompt_tokens: the whole prompt of a question without words.
        max_new_tokens: room for the answer.
        kv_cache_bytes: keys and values of prompt and answer.
        weights_bytes: all parameters, as loaded.
        activation_bytes: an estimate of what the largest forward pass holds besides.
        max_context_tokens: what the language model was made for; None where its config does not say.
        cure: what would make the prompt fit, or an empty string.
    """

    model: str
    dtype: str
    media: tuple[MediumPlan, ...]
    visual_tokens: int
    prompt_tokens: int
    max_new_tokens: int
    kv_cache_bytes: int
    weights_bytes: int
    activation_bytes: int
    max_context_tokens: int | None
    cure: str = ""

    @property
    def fits_context(self) -> bool:
        """Whether prompt and answer fit into the context."""
        return not self.cure

    @property
    def total_bytes(self) -> int:
        """Memory in all."""
        return self.weights_bytes + self.kv_cache_bytes + self.activation_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return what `valley plan --json` prints."""
        return {**asdict(self), "fits_context": self.fits_context, "total_bytes": self.total_bytes}
