"""Valley on vLLM: our visual encoder before whichever language model vLLM has for the checkpoint's.

Prompts and pixels come from `ValleyProcessor`, visual tokens from `VisualEncoder`: the code that the Hugging
Face model runs. Only vLLM's abstract and informing hooks are overridden; the others move between versions.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
# ruff: noqa: ANN401 - the hooks have the signatures that vLLM gives them
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import BatchFeature
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from vllm.config import VllmConfig
from vllm.model_executor.models.interfaces import SupportsMultiModal, SupportsPP
from vllm.model_executor.models.utils import (
    AutoWeightsLoader,
    WeightsMapper,
    init_vllm_registered_model,
    maybe_prefix,
)
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.parse import MultiModalDataParser
from vllm.multimodal.processing import (
    BaseDummyInputsBuilder,
    BaseMultiModalProcessor,
    BaseProcessingInfo,
    PromptReplacement,
)
from vllm.multimodal.processing.processor import PromptUpdateDetails

from valley.errors import ConfigError
from valley.inference.vllm_video import ValleyVideoBackend
from valley.model.configuration_valley import ValleyConfig
from valley.model.processing_valley import ValleyProcessor
from valley.model.visual_encoding import VisualEncoder

# vLLM measures its memory with a clip of this many frames, where so many fit into a prompt.
MOST_FRAMES = 32
_MODALITIES = ("image", "video")


class EngineProcessor:
    """`ValleyProcessor` as the plug-in calls it: media in, one entry for each out, with its prompt's ids."""

    def __init__(self, processor: ValleyProcessor) -> None:
        self.processor = processor
        self.tokens = {"image": processor.image_token, "video": processor.video_token}

    def __call__(
        self,
        text: str | None = None,
        images: Sequence[Any] | None = None,
        videos: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Process media; what the prompt says around them is vLLM's."""
        given = {"image": list(images or ()), "video": list(videos or ())}
        kwargs.pop("truncation", None)
        inputs = self.processor(
            text=[self.tokens["image"] * len(given["image"]) + self.tokens["video"] * len(given["video"])],
            images=given["image"] or None,
            videos=given["video"] or None,
            return_text_replacement_offsets=True,
            **kwargs,
        )
        fields = {
            name: inputs[name] for name in (*_FIELDS["image"][:-1], *_FIELDS["video"][:-1]) if name in inputs
        }
        for modality in _MODALITIES:
            written = [
                o["replacement"] for o in inputs["text_replacement_offsets"][0] if o["type"] == modality
            ]
            encoded = [self.processor.tokenizer.encode(w, add_special_tokens=False) for w in written]
            if encoded:
                fields[_FIELDS[modality][-1]] = [torch.tensor(ids) for ids in encoded]
        return BatchFeature(fields)


# Fields of each medium; the last is what stands for it in the prompt.
_FIELDS = {
    "image": ("pixel_values", "image_prompt_ids"),
    "video": ("pixel_values_videos", "video_timestamps", "video_prompt_ids"),
}


class ValleyProcessingInfo(BaseProcessingInfo):
    """What vLLM asks before it has seen a medium."""

    def __init__(self, ctx: Any) -> None:
        super().__init__(ctx)
        # The reader of clips is vLLM's, and is not told which model it reads for.
        ValleyVideoBackend.own_sampling = self.valley_processor().sampling

    def valley_processor(self) -> ValleyProcessor:
        """Give the checkpoint's processor."""
        return self.ctx.get_hf_processor(ValleyProcessor)

    def get_hf_config(self) -> ValleyConfig:
        """Give the checkpoint's config."""
        return self.ctx.get_hf_config(ValleyConfig)

    def get_hf_processor(self, **_: object) -> Any:
        """Give what turns media into fields."""
        return EngineProcessor(self.valley_processor())

    def get_supported_mm_processor_kwargs(self) -> dict[str, set[str]]:
        """Leave a request's options as they are."""
        return {}

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """Take any number of pictures and clips."""
        return dict.fromkeys(_MODALITIES)

    def get_data_parser(self) -> MultiModalDataParser:
        """Ask for clips together with their times."""
        return MultiModalDataParser(
            expected_hidden_size=self._get_expected_hidden_size(), video_needs_metadata=True
        )

    def most_frames(self, seq_len: int) -> int:
        """Say how long the clip may be with which memory is measured."""
        processor, wanted = self.valley_processor(), self.get_hf_config().num_frames
        for num_frames in range(max(wanted, MOST_FRAMES), wanted, -1):
            if processor.num_clip_tokens(np.arange(num_frames)) <= seq_len:
                return num_frames
        return wanted

    def get_mm_max_tokens_per_item(self, seq_len: int, mm_counts: Mapping[str, int]) -> Mapping[str, int]:
        """Count what a picture and the longest clip take in a prompt."""
        processor = self.valley_processor()
        return {
            "image": processor.num_clip_tokens([0.0]),
            "video": processor.num_clip_tokens(np.arange(self.most_frames(seq_len))),
        }


class ValleyDummyInputsBuilder(BaseDummyInputsBuilder):
    """White media, with which vLLM measures its memory."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        """Write a prompt of media alone."""
        tokens = self.info.get_hf_processor().tokens
        return "".join(tokens[modality] * mm_counts.get(modality, 0) for modality in _MODALITIES)

    def get_dummy_mm_data(
        self, seq_len: int, mm_counts: Mapping[str, int], mm_options: Any = None, **_: object
    ) -> dict[str, Any]:
        """Make the media, of the size that the tower takes."""
        height_px, width_px = self.info.valley_processor().video_processor.settings.output_size_px
        num_frames = self.info.most_frames(seq_len)
        clip = np.full((num_frames, height_px, width_px, 3), 255, np.uint8)
        metadata = {"timestamps_s": [float(i) for i in range(num_frames)]}
        return {
            "image": [Image.new("RGB", (width_px, height_px), "white")] * mm_counts.get("image", 0),
            "video": [(clip, metadata)] * mm_counts.get("video", 0),
        }


class ValleyMultiModalProcessor(BaseMultiModalProcessor):
    """Which field is whose, and what stands for a medium in the prompt."""

    def _get_mm_fields_config(
        self, hf_inputs: BatchFeature, hf_processor_mm_kwargs: Mapping[str, object]
    ) -> Mapping[str, MultiModalFieldConfig]:
        return {
            name: MultiModalFieldConfig.batched(modality)
            for modality, names in _FIELDS.items()
            for name in names
        }

    def _get_prompt_updates(
        self, mm_items: Any, hf_processor_mm_kwargs: Mapping[str, object], out_mm_kwargs: Any
    ) -> Sequence[PromptReplacement]:
        tokenizer, config = self.info.get_tokenizer(), self.info.get_hf_config()

        def replacement(modality: str) -> Any:
            def of_item(number: int) -> PromptUpdateDetails:
                ids = out_mm_kwargs[modality][number][_FIELDS[modality][-1]].data
                return PromptUpdateDetails.select_token_id(ids.tolist(), config.im_patch_token_id)

            return of_item

        return [
            PromptReplacement(
                modality=modality,
                target=tokenizer.encode(token, add_special_tokens=False),
                replacement=replacement(modality),
            )
            for modality, token in self.info.get_hf_processor().tokens.items()
            if modality in out_mm_kwargs
        ]


@MULTIMODAL_REGISTRY.register_processor(
    ValleyMultiModalProcessor, info=ValleyProcessingInfo, dummy_inputs=ValleyDummyInputsBuilder
)
class ValleyForVllm(nn.Module, VisualEncoder, SupportsMultiModal, SupportsPP):
    """The network as vLLM runs it."""

    hf_to_vllm_mapper = WeightsMapper(
        orig_to_new_prefix={
            "model.language_model.": "language_model.model.",
            "lm_head.": "language_model.lm_head.",
        }
    )

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        config: ValleyConfig = vllm_config.model_config.hf_config
        if config.legacy:
            raise ConfigError(
                "this checkpoint was converted with --legacy, whose quirks need the whole batch at once; "
                "vLLM serves it when it is converted without"
            )
        self.config = config
        with self._mark_tower_model(vllm_config, {"image", "video"}):
            self.make_visual_parts(config)
            for part in (self.vision_tower, self.multi_modal_projector, self.temporal_pooling):
                part.to(vllm_config.model_config.dtype)
        with self._mark_language_model(vllm_config):
            text = config.text_config
            self.language_model = init_vllm_registered_model(
                vllm_config=vllm_config,
                hf_config=text,
                prefix=maybe_prefix(prefix, "language_model"),
                architectures=text.architectures or [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[text.model_type]],
            )
        self.make_empty_intermediate_tensors = self.language_model.make_empty_intermediate_tensors

    @classmethod
    def get_placeholder_str(cls, modality: str, i: int) -> str | None:
        """Say what stands for a medium where no chat template does."""
        return f"<{modality}>"

    def embed_multimodal(self, **kwargs: Any) -> list[Tensor]:
        """Give the visual tokens of each picture or clip; vLLM hands over one kind at a time."""
        tokens: list[Tensor] = []
        if kwargs.get("pixel_values") is not None:
            pictures: Any = self.get_image_features(kwargs["pixel_values"])
            tokens += pictures.pooler_output
        if kwargs.get("pixel_values_videos") is not None:
            tokens += self.encode_clips(list(kwargs["pixel_values_videos"]), list(kwargs["video_timestamps"]))
        return tokens

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        intermediate_tensors: Any = None,
        inputs_embeds: Tensor | None = None,
        **_: object,
    ) -> Any:
        """Run the language model."""
        if intermediate_tensors is not None:
            inputs_embeds = None
        return self.language_model.model(
            input_ids, positions, intermediate_tensors, inputs_embeds=inputs_embeds
        )

    def compute_logits(self, hidden_states: Tensor) -> Tensor | None:
        """Run the head."""
        return self.language_model.compute_logits(hidden_states)

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        """Load a checkpoint: the visual parts here, the language model by its own rules.

        Raises:
            ConfigError: a weight of the visual parts is missing, or has another shape.
        """
        ours = {
            f"{part}.{name}": tensor
            for part in ("vision_tower", "multi_modal_projector", "temporal_pooling")
            for name, tensor in getattr(self, part).state_dict().items()
        }
        loaded: set[str] = set()

        def others() -> Iterator[tuple[str, Tensor]]:
            for name, tensor in weights:
                inner = name.removeprefix("model.")
                if inner not in ours:
                    yield name, tensor
                    continue
                if ours[inner].shape != tensor.shape:
                    raise ConfigError(f"{name}: want {tuple(ours[inner].shape)}, got {tuple(tensor.shape)}")
                ours[inner].copy_(tensor)
                loaded.add(inner)

        with torch.no_grad():
            loaded |= AutoWeightsLoader(self).load_weights(others(), mapper=self.hf_to_vllm_mapper)
        missing = sorted(ours.keys() - loaded)
        if missing and next(self.vision_tower.parameters(), None) is not None:
            raise ConfigError(f"the checkpoint lacks {', '.join(missing)}")
        return loaded
