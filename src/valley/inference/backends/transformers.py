"""Answers with a Valley checkpoint in plain transformers: streamed, repeatable, quick on a second question.

Vision features are computed once for each medium, keys and values once for each token of a conversation.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from valley.conversation import Conversation, Image, Video
from valley.errors import BackendError
from valley.inference.backend import Capabilities, Finish, GenerationParams, Piece, Timing, Usage
from valley.inference.backends._loading import context_length, load
from valley.inference.backends._next_token import NextToken
from valley.inference.detokenizing import Detokenizer
from valley.inference.media import MediaReader, SeenMedium
from valley.inference.planning import cure_for
from valley.inference.prefix import Prefix, PrefixStore
from valley.inference.prompting import BuiltPrompt, PromptMedium, build_prompt
from valley.inference.resolving import ModelPlace
from valley.inference.weights import weights_of
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.model.video_processing_valley import Clip
from valley.video.frames import Frames
from valley.video.sampling import FrameSampling

# Visual tokens of a clip are small (264 x 4096 half floats are 2 MB): a hundred clips are kept.
_MAX_FEATURES = 100


class TransformersBackend:
    """Runs `ValleyForConditionalGeneration`.

    Several streams may run at once; the newest conversation's keys and values are kept for its next question.
    """

    def __init__(
        self,
        model: ValleyForConditionalGeneration,
        processor: ValleyProcessor,
        *,
        name: str = "valley",
        places: Sequence[ModelPlace] = (),
    ) -> None:
        """Take a model and its processor; `name` signs the answers, `places` is where they came from."""
        self._places = tuple(places)
        self.model = model.eval()
        self.processor = processor
        sampling = FrameSampling(**processor.sampling)
        self.capabilities = Capabilities(
            model=name,
            media=("image", "video"),
            max_context_tokens=context_length(model.config),
            default_sampling=sampling,
            reuses_prefix=True,
            question_first=bool(processor.dialogue.get("question_first")),
        )
        self._media = MediaReader(sampling)
        self._features: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._features_lock = threading.Lock()
        self._prefixes = PrefixStore()
        self._stop_ids = _stop_ids(model, processor)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        *,
        dtype: object = None,
        device: object = None,
    ) -> TransformersBackend:
        """Load a checkpoint; see `Valley.from_pretrained`."""
        loaded = load(name_or_path, dtype=dtype, device=device)
        return cls(loaded.model, loaded.processor, name=loaded.name, places=loaded.places)

    def look(self, medium: Image | Video, params: GenerationParams) -> Frames:
        """Give the frames that the model is shown of a medium."""
        return self._seen(medium, params).frames

    def stream(self, conversation: Conversation, params: GenerationParams) -> Generator[Piece, None, None]:
        """Yield the answer; see `Backend.stream`."""
        started_s = time.perf_counter()
        seen = [self._seen(m, params) for m in conversation.media]
        prompt = build_prompt(self.processor, conversation, seen, answer_language=params.answer_language)
        room = self._room(prompt, params)
        prepared_s = first_s = time.perf_counter()
        prefix = self._take_prefix(prompt)
        choose = NextToken(params)
        dialogue = self.processor.dialogue
        words = Detokenizer(
            self.processor.tokenizer,
            stop=(*params.stop, *dialogue.get("stop_strings", ())),
            prefixes=dialogue.get("answer_prefixes", ()),
        )
        completion, reason = 0, "length"
        try:
            logits = self._prefill(prompt, prefix)
            while completion < room:
                token_id = choose(logits)
                completion += 1
                first_s = time.perf_counter() if completion == 1 else first_s
                text = "" if token_id in self._stop_ids else words.push(token_id)
                if text:
                    yield Piece(text)
                if token_id in self._stop_ids or words.stopped:
                    reason = "stop"
                    break
                if completion < room:
                    logits = self._step(token_id, prefix)
        except torch.OutOfMemoryError as error:
            raise self._out_of_memory(prompt) from error
        finally:
            self._prefixes.give(prefix)
        usage = Usage(len(prompt.input_ids), prompt.num_visual_tokens, completion)
        timing = Timing(prepared_s - started_s, first_s - started_s, time.perf_counter() - started_s)
        media = tuple(s.use for s in seen)
        yield Piece(words.finish(), Finish(reason, usage, timing, media, prompt.input_ids))

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
        """Give back what is kept."""
        self.forget()

    def forget(self) -> None:
        """Drop what is kept of earlier questions: frames, features, keys and values."""
        self._media.clear()
        self._prefixes.clear()
        with self._features_lock:
            self._features.clear()

    def _seen(self, medium: Image | Video, params: GenerationParams) -> SeenMedium:
        return self._media.read(
            medium,
            sampling=params.sampling,
            isolated=params.isolated,
            on_damage=params.on_damage,
            limits=params.limits,
            scope=params.cache_scope,
        )

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
            raise BackendError(
                f"{self.capabilities.model}: the prompt has {len(prompt.input_ids)} tokens, "
                f"{prompt.num_visual_tokens} of them visual, and the model takes {limit}: "
                + cure_for(self.processor, [m.seen for m in prompt.media], excess=1 - room)
            )
        return min(room, params.max_new_tokens)

    def _take_prefix(self, prompt: BuiltPrompt) -> Prefix:
        spans = [(m.start, m.end) for m in prompt.media]
        return self._prefixes.take(prompt.keys, media=spans) or Prefix(
            [], DynamicCache(config=self.model.config)
        )

    def _prefill(self, prompt: BuiltPrompt, prefix: Prefix) -> Tensor:
        """Run what the prefix does not hold yet; give the logits behind the last token, f[vocabulary]."""
        start = len(prefix.keys)
        ids = torch.tensor([prompt.input_ids[start:]], device=self.model.device)
        media = [(m, self._visual_tokens(m)) for m in prompt.media if m.start >= start]
        return self._forward(ids, prefix, list(prompt.keys[start:]), media, start)

    def _step(self, token_id: int, prefix: Prefix) -> Tensor:
        return self._forward(torch.tensor([[token_id]], device=self.model.device), prefix, [token_id], [], 0)

    @torch.inference_mode()
    def _forward(
        self,
        ids: Tensor,
        prefix: Prefix,
        keys: list[Hashable],
        media: list[tuple[PromptMedium, Tensor]],
        start: int,
    ) -> Tensor:
        embeds = self.model.get_input_embeddings()(ids)
        for medium, tokens in media:
            embeds[0, [i - start for i in medium.placeholders]] = tokens.to(embeds)
        total = len(prefix.keys) + len(keys)
        outputs = self.model(
            inputs_embeds=embeds,
            attention_mask=torch.ones(1, total, dtype=torch.long, device=ids.device),
            past_key_values=prefix.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        prefix.keys += keys
        return outputs.logits[0, -1].float()

    def _visual_tokens(self, medium: PromptMedium) -> Tensor:
        """Give a medium's visual tokens f[token dim]; the vision tower sees each medium once."""
        key = medium.seen.key
        with self._features_lock:
            if key in self._features:
                self._features.move_to_end(key)
                return self._features[key]
        tokens = self._encode(medium.seen)
        if len(tokens) != len(medium.placeholders):
            raise BackendError(
                f"{medium.seen.use.path}: the prompt has {len(medium.placeholders)} visual tokens, "
                f"the network gives {len(tokens)}: processor and model do not belong together"
            )
        with self._features_lock:
            self._features[key] = tokens
            while len(self._features) > _MAX_FEATURES:
                self._features.popitem(last=False)
        return tokens

    @torch.inference_mode()
    def _encode(self, seen: SeenMedium) -> Tensor:
        device = self.model.device
        if seen.use.kind == "image":
            pixels = self.processor.image_processor.pixels([seen.frames.pixels[0]])
            return self.model.get_image_features(torch.from_numpy(pixels).to(device)).pooler_output[0]
        clip = Clip(seen.frames.pixels, seen.frames.shown_at_s, seen.use.path)
        batch = {
            k: torch.from_numpy(v).to(device) for k, v in self.processor.video_processor.batch([clip]).items()
        }
        return self.model.get_video_features(**batch).pooler_output[0]

    def _out_of_memory(self, prompt: BuiltPrompt) -> BackendError:
        frames = [len(m.seen.frames) for m in prompt.media]
        fewer = f"try --num-frames {max(max(frames) // 2, 1)}" if frames else "ask for a shorter answer"
        return BackendError(
            f"{self.capabilities.model}: out of memory on {self.model.device} with {len(prompt.input_ids)} "
            f"prompt tokens, {prompt.num_visual_tokens} of them visual; {fewer}"
        )


def _stop_ids(model: ValleyForConditionalGeneration, processor: ValleyProcessor) -> frozenset[int]:
    """Collect what ends an answer: what the checkpoint says, and the tokenizer's own end."""
    settings = model.generation_config
    given = settings.eos_token_id if settings is not None else None
    ids = given if isinstance(given, list) else [given]
    return frozenset(i for i in (*ids, processor.tokenizer.eos_token_id) if i is not None)


BACKEND = TransformersBackend
