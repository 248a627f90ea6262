"""Answers with a Valley checkpoint in plain transformers: streamed, repeatable, many at once.

Streams that run at the same time are encoded and generated together. Vision features are computed once for
each medium, keys and values once for each token of a conversation.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

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
from valley.inference.backends._batch import Batch
from valley.inference.backends._engine import Engine
from valley.inference.backends._loading import context_length, load
from valley.inference.backends._next_token import NextToken
from valley.inference.backends._row import Ended, Row, RowMedium
from valley.inference.backends._seeing import Seeing
from valley.inference.detokenizing import Detokenizer
from valley.inference.media import MediaReader
from valley.inference.planning import cure_for
from valley.inference.prefix import PrefixStore
from valley.inference.prompting import BuiltPrompt, build_prompt
from valley.inference.resolving import ModelPlace
from valley.inference.weights import weights_of
from valley.inference.work_cache import WorkCache
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.video.frames import Frames
from valley.video.sampling import FrameSampling

# Sixteen rows: most of what rows gain from each other they gain by then (`benchmarks/engine.py`), and each
# row more makes the words of all others come later and takes memory as long as the longest.
MAX_BATCH_SIZE = 16
# A model of 7B parameters keeps half a megabyte a token, so these are ten conversations about a clip of 264
# visual tokens; or the frames of forty clips of eight full HD frames, or thousands of clips' visual tokens.
DEFAULT_CACHE_BYTES = 2**31


class TransformersBackend:
    """Runs `ValleyForConditionalGeneration`.

    Up to `max_batch_size` streams are answered together; more wait their turn. A model whose cache cannot be
    padded (state space layers) answers one after the other.
    """

    def __init__(
        self,
        model: ValleyForConditionalGeneration,
        processor: ValleyProcessor,
        *,
        name: str = "valley",
        places: Sequence[ModelPlace] = (),
        max_batch_size: int = MAX_BATCH_SIZE,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        max_decodes: int | None = None,
    ) -> None:
        """Take a model and its processor.

        Args:
            model: the network.
            processor: the checkpoint's.
            name: signs the answers.
            places: where the weights came from.
            max_batch_size: streams that are answered together.
            cache_bytes: of frames, visual tokens, and keys and values that are kept for later questions, all
                together; 0 keeps nothing.
            max_decodes: files that are decoded at once; None takes one a core.
        """
        if max_batch_size < 1:
            raise ConfigError(f"max_batch_size must be at least 1, got {max_batch_size}")
        self._places = tuple(places)
        self.model = model.eval()
        self.processor = processor
        self._cache = WorkCache(cache_bytes)
        self._seeing = Seeing(model, processor, self._cache)
        batch = Batch(model, self._seeing, PrefixStore(self._cache))
        max_rows = max_batch_size if batch.can_batch else 1
        sampling = FrameSampling(**processor.sampling)
        self.capabilities = Capabilities(
            model=name,
            media=("image", "video"),
            max_context_tokens=context_length(model.config),
            default_sampling=sampling,
            reuses_prefix=True,
            question_first=bool(processor.dialogue.get("question_first")),
            max_concurrency=max_rows,
        )
        self._media = MediaReader(sampling, cache=self._cache, max_decodes=max_decodes)
        self._stop_ids = _stop_ids(model, processor)
        self._engine = Engine(
            batch,
            max_batch_size=max_rows,
            forget=lambda cache=self._cache: cache.clear("features", "prefixes"),
            out_of_memory=lambda row: _out_of_memory(name, model, row.prompt),
            name=name,
        )

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        *,
        dtype: object = None,
        device: object = None,
        **options: Any,  # noqa: ANN401
    ) -> TransformersBackend:
        """Load a checkpoint; see `Valley.from_pretrained`. `options` are those of the constructor."""
        loaded = load(name_or_path, dtype=dtype, device=device)
        return cls(loaded.model, loaded.processor, name=loaded.name, places=loaded.places, **options)

    def look(self, medium: Image | Video, params: GenerationParams) -> Frames:
        """Give the frames that the model is shown of a medium."""
        return self._media.shown(medium, params).frames

    def stream(self, conversation: Conversation, params: GenerationParams) -> Generator[Piece, None, None]:
        """Yield the answer; see `Backend.stream`."""
        started_s = time.perf_counter()
        seen = [self._media.shown(m, params) for m in conversation.media]
        prompt = build_prompt(self.processor, conversation, seen, answer_language=params.answer_language)
        row = self._row(prompt, params)
        prepared_s = time.perf_counter()
        self._engine.submit(row)
        try:
            while not isinstance(piece := row.take(), Ended):
                yield Piece(piece)
        finally:
            row.is_cancelled = True
        usage = Usage(len(prompt.input_ids), prompt.num_visual_tokens, piece.completion, piece.cached)
        timing = Timing(*(at_s - started_s for at_s in (prepared_s, piece.first_s, piece.ended_s)))
        media = tuple(s.use for s in seen)
        yield Piece(piece.text, Finish(piece.reason, usage, timing, media, prompt.input_ids))

    def identity(self) -> dict[str, Any]:
        """Say what decides the answers; see `Backend.identity`."""
        return {
            "engine": "transformers",
            "model": self.capabilities.model,
            "weights": [weights_of(place) for place in self._places],
            "processor": self.processor.to_dict(),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": str(self.model.device),
        }

    def close(self) -> None:
        """End what runs, whose streams get a `BackendError`, and give back what is kept."""
        self._engine.close()
        self.forget()

    def forget(self) -> None:
        """Drop what is kept of earlier questions: frames, features, keys and values."""
        self._cache.clear()

    def cache_stats(self) -> CacheStats:
        """Count what was kept, and what that saved; see `CacheStats`."""
        return self._cache.stats()

    def _room(self, prompt: BuiltPrompt, params: GenerationParams) -> int:
        """Count the tokens the answer may have.

        Raises:
            BackendError: the prompt alone fills the context.
        """
        limit = self.capabilities.max_context_tokens
        if limit is None:
            return params.max_new_tokens
        room = limit - len(prompt.input_ids)
        if room < 1:
            raise ContextLengthError(
                f"{self.capabilities.model}: the prompt has {len(prompt.input_ids)} tokens, "
                f"{prompt.num_visual_tokens} of them visual, and the model takes {limit}: "
                + cure_for(self.processor, [m.seen for m in prompt.media], excess=1 - room)
            )
        return min(room, params.max_new_tokens)

    def _row(self, prompt: BuiltPrompt, params: GenerationParams) -> Row:
        room = self._room(prompt, params)
        dialogue = self.processor.dialogue
        words = Detokenizer(
            self.processor.tokenizer,
            stop=(*params.stop, *dialogue.get("stop_strings", ())),
            prefixes=dialogue.get("answer_prefixes", ()),
        )
        media = [RowMedium(m, self._seeing.pixels(m.seen)) for m in prompt.media]
        return Row(prompt, params.cache_scope, room, NextToken(params), words, self._stop_ids, media)


def _out_of_memory(name: str, model: ValleyForConditionalGeneration, prompt: BuiltPrompt) -> BackendError:
    frames = [len(m.seen.frames) for m in prompt.media]
    fewer = f"try --num-frames {max(max(frames) // 2, 1)}" if frames else "ask for a shorter answer"
    return EngineUnavailableError(
        f"{name}: out of memory on {model.device} with {len(prompt.input_ids)} prompt tokens, "
        f"{prompt.num_visual_tokens} of them visual; {fewer}"
    )


def _stop_ids(model: ValleyForConditionalGeneration, processor: ValleyProcessor) -> frozenset[int]:
    """Collect what ends an answer: what the checkpoint says, and the tokenizer's own end."""
    settings = model.generation_config
    given = settings.eos_token_id if settings is not None else None
    ids = given if isinstance(given, list) else [given]
    return frozenset(i for i in (*ids, processor.tokenizer.eos_token_id) if i is not None)


BACKEND = TransformersBackend
