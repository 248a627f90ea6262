"""From frames to visual tokens: each medium goes through the tower once, those that wait go together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from valley.errors import BackendError
from valley.inference.backends._row import RowMedium
from valley.inference.media import SeenMedium
from valley.inference.work_cache import WorkCache
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.model.video_processing_valley import Clip


class Seeing:
    """Encodes media and keeps their visual tokens."""

    def __init__(
        self, model: ValleyForConditionalGeneration, processor: ValleyProcessor, cache: WorkCache
    ) -> None:
        self._model = model
        self._processor = processor
        self._cache = cache

    def pixels(self, seen: SeenMedium) -> NDArray[np.float32] | None:
        """Scale frames for the tower; None where the visual tokens are known. Needs no engine thread."""
        if self._cache.has("features", seen.key):
            return None
        if seen.use.kind == "image":
            return self._processor.image_processor.pixels([seen.frames.pixels[0]])
        clip = Clip(seen.frames.pixels, seen.frames.shown_at_s, seen.use.path)
        return self._processor.video_processor.pixels(clip)

    def recall(self, medium: RowMedium) -> None:
        """Fill in the visual tokens of a medium that was encoded before."""
        medium.tokens = self._cache.get("features", medium.medium.seen.key)

    def encode(self, media: Sequence[RowMedium]) -> None:
        """Fill in the visual tokens of media, in one pass where the tower takes them at one size.

        Raises:
            BackendError: the network gives another number of tokens than the prompt has.
        """
        by_key: dict[Hashable, list[RowMedium]] = defaultdict(list)
        for medium in media:
            by_key[medium.medium.seen.key].append(medium)
        by_size: dict[Hashable, list[tuple[SeenMedium, NDArray[np.float32]]]] = defaultdict(list)
        for same in by_key.values():
            seen = same[0].medium.seen
            pixels = next((m.pixels for m in same if m.pixels is not None), None)
            pixels = self.pixels(seen) if pixels is None else pixels
            assert pixels is not None
            by_size[pixels.shape[-2:]].append((seen, pixels))
        for alike in by_size.values():
            for (seen, _), tokens in zip(alike, self._tokens(alike), strict=True):
                self._cache.put("features", seen.key, tokens, tokens.nbytes)
                for medium in by_key[seen.key]:
                    medium.tokens, medium.pixels = tokens, None

    def _tokens(self, media: Sequence[tuple[SeenMedium, NDArray[np.float32]]]) -> list[Tensor]:
        device = self._model.device
        images = [(n, p) for n, (seen, p) in enumerate(media) if seen.use.kind == "image"]
        clips = [(n, p) for n, (seen, p) in enumerate(media) if seen.use.kind == "video"]
        times = [torch.from_numpy(media[n][0].frames.shown_at_s.astype(np.float32)) for n, _ in clips]
        image_tokens, clip_tokens = self._model.model.encode_media(
            [torch.from_numpy(p[0]).to(device) for _, p in images],
            [torch.from_numpy(p).to(device) for _, p in clips],
            [t.to(device) for t in times],
        )
        numbered = zip((n for n, _ in (*images, *clips)), (*image_tokens, *clip_tokens), strict=True)
        # A clone each: what is kept must not hold the whole batch's memory.
        return [tokens.clone() for _, tokens in sorted(numbered, key=lambda pair: pair[0])]


def check_tokens(media: Sequence[RowMedium]) -> None:
    """Refuse visual tokens that do not fit the prompt.

    Raises:
        BackendError: their number differs from that of the placeholders.
    """
    for medium in media:
        wanted = len(medium.medium.placeholders)
        if medium.tokens is not None and len(medium.tokens) != wanted:
            raise BackendError(
                f"{medium.medium.seen.use.path}: the prompt has {wanted} visual tokens, "
                f"the network gives {len(medium.tokens)}: processor and model do not belong together"
            )
