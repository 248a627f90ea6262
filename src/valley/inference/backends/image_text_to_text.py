"""Answers with any image-text-to-text model of transformers, through its own processor and chat template.

Frames and times come from our own reader; requests that wait are answered in one batch.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator
from typing import Any

import torch

from valley.conversation import Conversation, Image, Video
from valley.errors import BackendError, ConfigError, ContextLengthError, EngineUnavailableError
from valley.inference.backend import (
    CacheStats,
    Capabilities,
    Finish,
    GenerationParams,
    Piece,
    Timing,
    Usage,
)
from valley.inference.backends._family_loading import default_sampling, load_family
from valley.inference.backends._family_prompting import FamilyPrompt, build_family_prompt
from valley.inference.backends._next_token import NextToken
from valley.inference.backends._together import Row, Together
from valley.inference.detokenizing import Detokenizer
from valley.inference.media import DEFAULT_CACHE_BYTES, MediaReader
from valley.inference.resolving import ModelPlace
from valley.inference.weights import weights_of
from valley.inference.work_cache import WorkCache
from valley.video.frames import Frames

# A batch holds keys and values of every row. With a model of seven billion parameters in half precision,
# eight rows of 4,000 tokens are 2 GB where heads are grouped (57 kB a token, as in Qwen2.5-VL), which a card
# of 24 GB has beside the weights, and 17 GB where they are not.
MAX_BATCH_SIZE = 8

# Families whose batches give the words of one by one; `make test-families` shows it. Others run one by one.
BATCHED_FAMILIES = frozenset(
    {"internvl", "llava_next_video", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm"}
)


class ImageTextToTextBackend:
    """Runs a model of `AutoModelForImageTextToText`."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        processor: Any,  # noqa: ANN401
        *,
        name: str,
        place: ModelPlace | None = None,
        max_batch_size: int | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        """Take a model and its processor.

        Args:
            model: in evaluation mode.
            processor: its own.
            name: signs the answers.
            place: where both came from.
            max_batch_size: how many requests are answered at once; None takes 8 for families that were
                tested so, and 1 for others.
            cache_bytes: of decoded frames that are kept for later questions.

        Raises:
            ConfigError: a batch of none.
        """
        if max_batch_size is not None and max_batch_size < 1:
            raise ConfigError(f"max_batch_size must be at least 1, got {max_batch_size}")
        self.model = model
        self.processor = processor
        self._place = place
        tested = MAX_BATCH_SIZE if model.config.model_type in BATCHED_FAMILIES else 1
        takes_video = getattr(processor, "video_processor", None) is not None
        sampling = default_sampling(processor)
        self.capabilities = Capabilities(
            model=name,
            media=("image", "video") if takes_video else ("image",),
            max_context_tokens=getattr(model.config.get_text_config(), "max_position_embeddings", None),
            default_sampling=sampling,
            max_concurrency=max_batch_size or tested,
        )
        self._cache = WorkCache(cache_bytes)
        self._media = MediaReader(sampling, cache=self._cache)
        self._visual_ids = _visual_ids(model.config, processor)
        self._stop_ids = _stop_ids(model, processor.tokenizer)
        self._together = Together(
            model,
            pad_id=_pad_id(processor.tokenizer, self._stop_ids),
            stop_ids=self._stop_ids,
            max_batch_size=self.capabilities.max_concurrency,
        )

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        *,
        dtype: object = None,
        device: object = None,
        max_batch_size: int | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> ImageTextToTextBackend:
        """Load a checkpoint; see `Valley.from_pretrained`."""
        loaded = load_family(name_or_path, dtype=dtype, device=device)
        return cls(
            loaded.model,
            loaded.processor,
            name=loaded.place.name,
            place=loaded.place,
            max_batch_size=max_batch_size,
            cache_bytes=cache_bytes,
        )

    def look(self, medium: Image | Video, params: GenerationParams) -> Frames:
        """Give the frames that the model is shown of a medium."""
        return self._media.shown(medium, params).frames

    def stream(self, conversation: Conversation, params: GenerationParams) -> Generator[Piece, None, None]:
        """Yield the answer; see `Backend.stream`."""
        started_s = time.perf_counter()
        prompt, row = self._ready(conversation, params)
        prepared_s = time.perf_counter()
        try:
            while (said := row.said.get()) is not None:
                if isinstance(said, BaseException):
                    raise self._in_our_words(said, prompt) from said
                yield Piece(said)
        finally:
            row.is_done = True  # stops the work where the generator was closed
        ended_s = time.perf_counter()
        first_s = row.first_s or ended_s
        usage = Usage(len(prompt.input_ids), prompt.num_visual_tokens, row.num_tokens)
        timing = Timing(prepared_s - started_s, first_s - started_s, ended_s - started_s)
        media = tuple(s.use for s in prompt.seen)
        yield Piece(row.words.finish(), Finish(row.reason, usage, timing, media, prompt.input_ids))

    def identity(self) -> dict[str, Any]:
        """Say what decides the answers; see `Backend.identity`."""
        template = json.dumps(self.processor.chat_template, sort_keys=True)
        return {
            "engine": "image_text_to_text",
            "model": self.capabilities.model,
            "model_type": self.model.config.model_type,
            "weights": [] if self._place is None else [weights_of(self._place)],
            "processor": json.loads(json.dumps(self.processor.to_dict(), default=str)),
            "chat_template": hashlib.sha256(template.encode()).hexdigest(),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": str(self.model.device),
        }

    def close(self) -> None:
        """Stop what runs, refuse what waits, and give back what is kept."""
        self._together.close()
        self._cache.clear()

    def cache_stats(self) -> CacheStats:
        """Count what was kept; of a family's model that is frames alone."""
        return self._cache.stats()

    def _ready(self, conversation: Conversation, params: GenerationParams) -> tuple[FamilyPrompt, Row]:
        """Read the media, build the prompt, and hand both to the next batch."""
        self._together.announce()
        try:
            prompt = self._prompt(conversation, params)
            row = Row(
                prompt.inputs,
                NextToken(params),
                Detokenizer(self.processor.tokenizer, stop=params.stop),
                self._room(prompt, params),
            )
        except BaseException:
            self._together.withdraw()
            raise
        self._together.submit(row)
        return prompt, row

    def _prompt(self, conversation: Conversation, params: GenerationParams) -> FamilyPrompt:
        name = self.capabilities.model
        if params.answer_language is not None:
            raise BackendError(
                f"language {params.answer_language!r}: the chat template of {name} cannot ask for one; "
                "say it in --system"
            )
        kinds = {"image" if isinstance(m, Image) else "video" for m in conversation.media}
        if unfit := sorted(kinds - set(self.capabilities.media)):
            raise BackendError(
                f"{name}: takes no {' and no '.join(unfit)}; ask about pictures, or a model that does"
            )
        return build_family_prompt(
            self.processor,
            conversation,
            [self._media.shown(m, params) for m in conversation.media],
            visual_ids=self._visual_ids,
            name=name,
        )

    def _room(self, prompt: FamilyPrompt, params: GenerationParams) -> int:
        """Count the tokens the answer may have.

        Raises:
            BackendError: the prompt alone fills the context.
        """
        limit, length = self.capabilities.max_context_tokens, len(prompt.input_ids)
        if limit is None:
            return params.max_new_tokens
        if length >= limit:
            raise ContextLengthError(
                f"{self.capabilities.model}: the prompt has {length} tokens, {prompt.num_visual_tokens} of "
                f"them visual, and the model takes {limit}: {_cure(prompt, excess=length + 1 - limit)}"
            )
        return min(limit - length, params.max_new_tokens)

    def _in_our_words(self, error: BaseException, prompt: FamilyPrompt) -> BaseException:
        if not isinstance(error, torch.OutOfMemoryError):
            return error
        visual = prompt.num_visual_tokens
        return EngineUnavailableError(
            f"{self.capabilities.model}: out of memory on {self.model.device} with {len(prompt.input_ids)} "
            f"prompt tokens, {visual} of them visual; {_cure(prompt, excess=visual // 2)}"
        )


def _cure(prompt: FamilyPrompt, excess: int) -> str:
    """Say how a prompt can be made `excess` tokens shorter; frames of one clip count alike."""
    longest = max((len(s.frames) for s in prompt.seen if s.use.kind == "video"), default=0)
    fewer = longest * (prompt.num_visual_tokens - excess) // max(prompt.num_visual_tokens, 1)
    return (
        f"try --num-frames {fewer}" if 0 < fewer < longest else "ask about fewer media, or with fewer words"
    )


def _visual_ids(config: Any, processor: Any) -> frozenset[int]:  # noqa: ANN401
    """Collect the tokens that stand for pictures, by every name that families have for them."""
    names = [f"{kind}_token_{end}" for kind in ("image", "video") for end in ("id", "index")]
    found = (getattr(owner, name, None) for owner in (config, processor) for name in names)
    return frozenset(i for i in found if isinstance(i, int))


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:  # noqa: ANN401
    """Collect what ends an answer: what the checkpoint says, and the tokenizer's own end."""
    given = model.generation_config.eos_token_id
    ids = given if isinstance(given, list) else [given]
    return frozenset(i for i in (*ids, tokenizer.eos_token_id) if i is not None)


def _pad_id(tokenizer: Any, stop_ids: frozenset[int]) -> int:  # noqa: ANN401
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(stop_ids, default=0)


BACKEND = ImageTextToTextBackend
