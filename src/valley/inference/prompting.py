"""From a conversation to the tokens of its prompt, without touching the pixels of any medium."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from valley.conversation import Conversation, Text
from valley.errors import BackendError
from valley.inference.media import SeenMedium
from valley.inference.prefix import Key
from valley.model.processing_valley import ValleyProcessor
from valley.video.frames import Frames


@dataclass(frozen=True)
class PromptMedium:
    """One medium within a prompt.

    Attributes:
        seen: its frames.
        start: position of its first token.
        end: position behind its last token.
        placeholders: positions of its visual tokens, in the order of its features.
    """

    seen: SeenMedium
    start: int
    end: int
    placeholders: tuple[int, ...]


@dataclass(frozen=True)
class BuiltPrompt:
    """A prompt, ready for the network.

    Attributes:
        input_ids: one id a token.
        keys: as `valley.inference.prefix` compares prompts.
        media: in order.
    """

    input_ids: tuple[int, ...]
    keys: tuple[Key, ...]
    media: tuple[PromptMedium, ...]

    @property
    def num_visual_tokens(self) -> int:
        """Count the placeholders of all media."""
        return sum(len(m.placeholders) for m in self.media)


def build_prompt(
    processor: ValleyProcessor,
    conversation: Conversation,
    seen: Sequence[SeenMedium],
    *,
    answer_language: str | None = None,
) -> BuiltPrompt:
    """Render and encode a conversation whose next turn is the assistant's.

    Args:
        processor: the checkpoint's.
        conversation: its media in the same order as `seen`.
        seen: the frames of every medium.
        answer_language: BCP-47 tag; the chat template asks for it in its own words.

    Raises:
        BackendError: the checkpoint's chat template cannot ask for a language.
    """
    if answer_language is not None and "answer_language" not in str(processor.chat_template):
        raise BackendError(
            f"language {answer_language!r}: the checkpoint's chat template cannot ask for one; "
            "say it in --system"
        )
    encoded = processor.apply_chat_template(
        _messages(conversation, [_stand_in(processor, s) for s in seen], seen),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors=None,
        answer_language=answer_language,
    )
    ids, types = list(encoded["input_ids"][0]), list(encoded["mm_token_type_ids"][0])
    spans = processor.media_spans(ids)
    media = tuple(
        PromptMedium(s, start, end, tuple(i for i in range(start, end) if types[i]))
        for s, (start, end) in zip(seen, spans, strict=True)
    )
    keys: list[Hashable] = list(ids)
    for medium in media:
        for number, position in enumerate(medium.placeholders):
            keys[position] = (medium.seen.key, number)
    return BuiltPrompt(tuple(ids), tuple(keys), media)


def _stand_in(processor: ValleyProcessor, seen: SeenMedium) -> Any:  # noqa: ANN401
    """Frames of the same times whose pixels cost nothing: the prompt depends on the times alone."""
    size_px = processor.video_processor.settings.output_size_px
    blank = np.broadcast_to(np.zeros((), np.uint8), (len(seen.frames), *size_px, 3))
    return blank[0] if seen.use.kind == "image" else Frames(blank, seen.frames.shown_at_s)


def _messages(
    conversation: Conversation, stand_ins: Sequence[Any], seen: Sequence[SeenMedium]
) -> list[dict[str, Any]]:
    remaining = iter(zip(stand_ins, seen, strict=True))

    def part(p: object) -> dict[str, Any]:
        if isinstance(p, Text):
            return {"type": "text", "text": p.text}
        stand_in, medium = next(remaining)
        if medium.use.kind == "image":
            return {"type": "image", "image": stand_in}
        return {"type": "video", "video": stand_in, "subtitles_text": medium.subtitles}

    return [{"role": m.role, "content": [part(p) for p in m.parts]} for m in conversation.messages]
