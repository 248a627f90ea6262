"""ValleyProcessor: a conversation with pictures and clips becomes the model's tensors.

The second of the two places where answering and training meet. Media are attached by type; a text that spells
`<video>`, or any special token, is only text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from transformers import BatchFeature
from transformers.processing_utils import MultiModalData
from transformers.utils.chat_template_utils import render_jinja_template

from .chat_parts import ChatMedia, as_messages, flat, is_clip, load_media, neutral, read_picture, texts_of
from .errors_valley import PromptError, PromptTooLongError
from .image_processing_valley import ValleyImageProcessor
from .input_rows import as_rows, encode_sample
from .placeholders import IMAGE, VIDEO
from .processor_options import TextOptions, sort_options
from .processor_saving import SavedProcessor
from .prompt_encoding import Prompt, Replacement, choose_mark, control_pattern, neutralise
from .video_processing_valley import Clip, ValleyVideoProcessor, clips_apart
from .visual_layout import VISUAL_TOKENS, VisualLayout

IMAGE_TOKEN, VIDEO_TOKEN = "<image>", "<video>"


class ValleyProcessor(SavedProcessor):
    """Tokenizer, picture and clip processing, and the chat template, in one.

    Only the tokenizer is a Hugging Face part: `image_processor` and `video_processor` are plain classes made
    from the settings, so that no torchvision is asked for.

    Args:
        tokenizer: a fast tokenizer that knows the visual tokens.
        image_settings: `PixelSettings` for pictures.
        video_settings: `PixelSettings` for frames; the pictures' by default.
        sampling: which frames of a clip, such as ``{"num_frames": 8}``.
        pooling: ``{"name": ..., "options": {...}, "num_patches": ...}`` as in the model's config.
        visual_tokens: names of the markers; `VISUAL_TOKENS` by default.
        chat_template: Jinja template, or several by name.
        frame_times: say in words when each frame of a clip is shown; without it the layout of 2023.
        dialogue: how this checkpoint is asked and answers, where it differs: `question_first` (the question
            stands before the medium), `stop_strings` (an answer ends before them) and `answer_prefixes` (what
            it may say before its answer).
    """

    image_token = IMAGE_TOKEN
    video_token = VIDEO_TOKEN

    def __init__(  # noqa: PLR0913
        self,
        tokenizer: Any = None,  # noqa: ANN401
        image_settings: Mapping[str, Any] | None = None,
        video_settings: Mapping[str, Any] | None = None,
        sampling: Mapping[str, Any] | None = None,
        pooling: Mapping[str, Any] | None = None,
        visual_tokens: Mapping[str, str] | None = None,
        chat_template: str | dict[str, str] | None = None,
        frame_times: bool = False,  # noqa: FBT001, FBT002
        dialogue: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(tokenizer, chat_template=chat_template)
        if image_settings is None or pooling is None:
            raise PromptError("want image_settings and pooling, got none: make a processor with compose()")
        self.image_settings = dict(image_settings)
        self.video_settings = dict(video_settings or image_settings)
        self.sampling = dict(sampling or {"num_frames": 8})
        self.pooling = dict(pooling)
        self.visual_tokens = {**VISUAL_TOKENS, **(visual_tokens or {})}
        self.frame_times = frame_times
        self.dialogue = dict(dialogue or {})
        self.layout = VisualLayout(
            self.pooling["name"],
            self.pooling["options"],
            self.pooling["num_patches"],
            self.visual_tokens,
            frame_times,
        )
        self.image_processor = ValleyImageProcessor(self.image_settings)
        self.video_processor = ValleyVideoProcessor(self.video_settings, self.sampling)
        ids = tokenizer.convert_tokens_to_ids(list(self.visual_tokens.values()))
        if None in ids or tokenizer.unk_token_id in ids or not tokenizer.is_fast:
            raise PromptError(
                f"want a fast tokenizer that knows {', '.join(self.visual_tokens.values())}; "
                "compose() adds them"
            )
        self.visual_token_ids = dict(zip(self.visual_tokens, ids, strict=True))
        self.image_token_id = self.video_token_id = self.visual_token_ids["im_patch"]

    # Counting.

    def num_visual_tokens(self, num_frames: int) -> int:
        """Count the visual tokens of a clip (pooled patches and frames) before anything is read.

        The prompt has four markers more for each medium, and the words of times where the layout has them;
        `num_clip_tokens` counts all.
        """
        return self.layout.num_visual_tokens(num_frames)

    def num_clip_tokens(self, shown_at_s: ArrayLike) -> int:
        """Count all that a clip takes in the prompt: visual tokens, markers, and the words of its times.

        Args:
            shown_at_s: when each frame is shown, in seconds.
        """
        times = _prompt_times(shown_at_s)
        one_patch = replace(self.layout, num_patches=1)  # words lie between the same neighbours
        ids = self.tokenizer.encode(one_patch.expansion(times), add_special_tokens=False)
        left_out = self.num_visual_tokens(len(times)) - one_patch.num_visual_tokens(len(times))
        return len(ids) + left_out

    def media_spans(self, input_ids: Sequence[int]) -> list[tuple[int, int]]:
        """Find where each medium's tokens begin and end (exclusive) in a prompt, markers included."""
        starts = [i for i, t in enumerate(input_ids) if t == self.visual_token_ids["im_start"]]
        ends = [i + 1 for i, t in enumerate(input_ids) if t == self.visual_token_ids["vi_end"]]
        return list(zip(starts, ends, strict=True))

    def _get_num_multimodal_tokens(
        self,
        image_sizes: Sequence[Any] | None = None,
        video_sizes: Sequence[Any] | None = None,
        **_: object,
    ) -> MultiModalData:
        """Count for vLLM: sizes are (height, width) and (num_frames, height, width)."""
        data: dict[str, Any] = {}
        if image_sizes is not None:
            data["num_image_tokens"] = [self.num_visual_tokens(1)] * len(image_sizes)
            data["num_image_patches"] = [1] * len(image_sizes)
        if video_sizes is not None:
            data["num_video_tokens"] = [self.num_visual_tokens(size[0]) for size in video_sizes]
        return MultiModalData(**data)

    # Placeholders.

    def replace_image_token(self, image_inputs: Any, image_idx: int, **_: object) -> str:  # noqa: ANN401
        """Write one picture's placeholders."""
        return self.layout.picture_expansion()

    def replace_video_token(self, video_inputs: Any, video_idx: int, **_: object) -> str:  # noqa: ANN401
        """Write one clip's placeholders."""
        times = np.asarray(video_inputs["video_timestamps"][video_idx])
        mask = np.asarray(video_inputs["video_frame_mask"][video_idx])
        return self.layout.expansion(_prompt_times(times[mask]))

    # Prompts.

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        images: Any = None,  # noqa: ANN401
        text: str | Sequence[str] | None = None,
        videos: Any = None,  # noqa: ANN401
        video_metadata: Sequence[Any] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> BatchFeature:
        """Encode prompts that are written out already, with `<image>` and `<video>` where media go.

        Whoever writes a prompt writes its control tokens; text from users belongs into `apply_chat_template`.

        Args:
            images: pictures of all prompts in order, flat or one list a prompt: Pillow, u8[H, W, 3] or files.
            text: a prompt or several.
            videos: clips of all prompts in order, likewise: `Frames`, u8[frame, H, W, 3] or files.
            video_metadata: for clips without times: `fps`, `frames_indices` or `timestamps_s` of each.
            kwargs: `padding`, `padding_side`, `truncation`, `max_length`, `pad_to_multiple_of`,
                `return_tensors`, `add_special_tokens`, and `FrameSampling`'s options.

        Raises:
            PromptError: placeholders and media differ in number, or an option is unknown.
            PromptTooLongError: truncation would have to cut through a medium.
        """
        options, sampling = sort_options(kwargs)
        given = flat(videos, is_clip)
        metadata = list(video_metadata) if video_metadata is not None else [None] * len(given)
        clips = [self.video_processor.fetch(v, sampling, m) for v, m in zip(given, metadata, strict=True)]
        media = ChatMedia([read_picture(i) for i in flat(images, lambda _: False)], clips)
        prompts = None
        if text is not None:
            prompts = [Prompt(t) for t in ([text] if isinstance(text, str) else text)]
        return self._inputs(prompts, media, options)

    def apply_chat_template(  # noqa: PLR0913  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        conversation: Any,  # noqa: ANN401
        chat_template: str | None = None,
        tools: list[dict] | None = None,
        documents: list[dict[str, str]] | None = None,
        add_generation_prompt: bool = False,  # noqa: FBT001, FBT002
        continue_final_message: bool | str = False,  # noqa: FBT001, FBT002
        return_assistant_tokens_mask: bool = False,  # noqa: FBT001, FBT002
        tokenize: bool = False,  # noqa: FBT001, FBT002
        return_tensors: str | None = "pt",
        return_dict: bool = False,  # noqa: FBT001, FBT002
        processor_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Render conversations and, with `tokenize`, encode them with their media.

        Special tokens in what people wrote are only text, always.

        Args:
            conversation: messages with typed parts, or several such lists, or a `Conversation`.
            chat_template: a template or the name of one; the processor's own by default.
            tools: handed to the template.
            documents: handed to the template.
            add_generation_prompt: open the assistant's turn at the end.
            continue_final_message: leave the last turn open.
            return_assistant_tokens_mask: also `assistant_masks`, 1 where the assistant speaks.
            tokenize: give tensors instead of the prompt's text.
            return_tensors: "pt", "np" or None.
            return_dict: give all inputs instead of `input_ids` alone.
            processor_kwargs: options as of `__call__`, such as ``{"num_frames": 8}`` or ``{"fps": 1}``.
            kwargs: variables of the template.

        Raises:
            MediaError: a medium cannot be read.
            PromptError: a message or option does not fit.
            PromptTooLongError: truncation would have to cut through a medium.
        """
        kwargs.pop("sanitize_control_tokens", None)  # done always
        kwargs.pop("load_audio_from_video", None)
        options, sampling = sort_options({"return_tensors": return_tensors, **(processor_kwargs or {})})
        options.return_assistant_tokens_mask = return_assistant_tokens_mask
        batched = isinstance(conversation, (list, tuple)) and bool(conversation)
        batched = batched and not isinstance(conversation[0], Mapping)
        chats = [as_messages(c) for c in (conversation if batched else [conversation])]
        media = ChatMedia()
        if tokenize:
            if sampling.keys() & {"num_frames", "fps"}:
                sampling.setdefault("do_sample_frames", True)
            for chat in chats:
                load_media(chat, media, lambda v, own: self.video_processor.fetch(v, {**sampling, **own}))
        written = [t for chat in chats for t in texts_of(chat)] + [
            v for v in kwargs.values() if isinstance(v, str)
        ]
        mark, control = choose_mark(written), self._control_pattern()
        if tokenize:
            chats = [neutral(chat, control, mark) for chat in chats]
            kwargs = {k: neutralise(v, control, mark) if isinstance(v, str) else v for k, v in kwargs.items()}
        render: Any = render_jinja_template
        rendered, spans = render(
            conversations=chats,
            tools=tools,
            documents=documents,
            chat_template=self._resolve_chat_template(chat_template),
            return_assistant_tokens_mask=return_assistant_tokens_mask,
            continue_final_message=continue_final_message,
            add_generation_prompt=add_generation_prompt,
            **{**self.tokenizer.special_tokens_map, **kwargs},
        )
        if not tokenize:
            return rendered if batched else rendered[0]
        spans = spans if return_assistant_tokens_mask else [()] * len(rendered)
        prompts = [Prompt(text, mark, tuple(said)) for text, said in zip(rendered, spans, strict=True)]
        options.add_special_tokens = False  # the template writes them
        inputs = self._inputs(prompts, media, options)
        return inputs if return_dict else inputs["input_ids"]

    def _control_pattern(self) -> Any:  # noqa: ANN401
        added = self.tokenizer.added_tokens_decoder.values()
        special = [t.content for t in added if t.special] + list(self.tokenizer.all_special_tokens)
        return control_pattern([*special, *self.visual_tokens.values(), self.image_token, self.video_token])

    def _inputs(self, prompts: list[Prompt] | None, media: ChatMedia, options: TextOptions) -> BatchFeature:
        data: dict[str, Any] = {}
        if media.images:
            data["pixel_values"] = self.image_processor.pixels(media.images)
        if media.videos:
            data |= self.video_processor.batch(media.videos)
        offsets: list[Any] = []
        if prompts is not None:
            layout = self.layout.with_one_placeholder() if options.for_engine else self.layout
            ids = self.visual_token_ids
            placeholder_ids = (ids["im_patch"], ids["vi_frame"])
            expanded, offsets = self._expanded(prompts, media, layout)
            samples = [
                encode_sample(self.tokenizer, prompt, replacements, placeholder_ids, options)
                for prompt, replacements in expanded
            ]
            data |= as_rows(self.tokenizer, samples, options)
        inputs = BatchFeature(data, tensor_type=options.return_tensors)
        if options.for_engine:
            inputs.update(text_replacement_offsets=offsets, **clips_apart(inputs))
            inputs.pop("video_frame_mask", None)
        if options.return_metadata:
            inputs["video_metadata"] = [_metadata(clip) for clip in media.videos]
        return inputs

    def _expanded(
        self, prompts: list[Prompt], media: ChatMedia, layout: VisualLayout
    ) -> tuple[list[tuple[Prompt, list[Replacement]]], list[Any]]:
        """Write out every placeholder; give the prompts, and what transformers says of each replacement."""
        for name, token, given in (
            ("image", self.image_token, media.images),
            ("video", self.video_token, media.videos),
        ):
            wanted = sum(p.text.count(token) for p in prompts)
            if wanted != len(given):
                raise PromptError(f"the prompt has {wanted} {token} but {len(given)} {name}s are given")
        images = [layout.picture_expansion()] * len(media.images)
        videos = [layout.expansion(_prompt_times(clip.shown_at_s)) for clip in media.videos]
        # transformers' own step, so that vLLM finds the placeholders where it looks for them.
        outcome: Any = self.get_text_with_replacements([p.text for p in prompts], images, videos)
        texts, offsets = outcome
        kinds = {"image": IMAGE, "video": VIDEO}
        expanded = []
        for prompt, text, found in zip(prompts, texts, offsets, strict=True):
            replacements = [
                Replacement(f["span"][1], f["new_span"][0], f["new_span"][1], kinds[f["type"]]) for f in found
            ]
            expanded.append((Prompt(text, prompt.mark, prompt.assistant_spans), replacements))
        return expanded, offsets

    @property
    def model_input_names(self) -> list[str]:
        """Name what the model takes from here."""
        text = ["input_ids", "attention_mask", "mm_token_type_ids"]
        return text + self.image_processor.model_input_names + self.video_processor.model_input_names


def _prompt_times(shown_at_s: ArrayLike) -> list[float]:
    """Give times as `video_timestamps` has them, so that a tie is rounded alike by whoever writes words."""
    return np.asarray(shown_at_s, dtype=np.float32).tolist()


def _metadata(clip: Clip) -> dict[str, Any]:
    return {"source": clip.source, "timestamps_s": clip.shown_at_s.tolist()}


__all__ = ["IMAGE_TOKEN", "VIDEO_TOKEN", "VISUAL_TOKENS", "PromptTooLongError", "ValleyProcessor"]
