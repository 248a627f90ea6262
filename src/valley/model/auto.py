"""Tell transformers' Auto classes about Valley, each when it is in use; `valley.registering` calls this.

A checkpoint loaded as remote code brings its own registration (`auto_map`) and does not come here.
"""

from __future__ import annotations

import sys


def register_config() -> None:
    """Register the config; doing it twice changes nothing, here and below."""
    from transformers.models.auto.configuration_auto import AutoConfig

    from .configuration_valley import ValleyConfig

    AutoConfig.register(ValleyConfig.model_type, ValleyConfig, exist_ok=True)


def register_models() -> None:
    """Register the networks."""
    from transformers.models.auto import modeling_auto

    from .configuration_valley import ValleyConfig
    from .modeling_valley import ValleyForConditionalGeneration, ValleyModel

    modeling_auto.AutoModel.register(ValleyConfig, ValleyModel, exist_ok=True)
    for auto in (modeling_auto.AutoModelForImageTextToText, modeling_auto.AutoModelForMultimodalLM):
        auto.register(ValleyConfig, ValleyForConditionalGeneration, exist_ok=True)


def register_processor() -> None:
    """Register the processor."""
    from transformers.models.auto.processing_auto import AutoProcessor

    from .configuration_valley import ValleyConfig
    from .processing_valley import ValleyProcessor

    AutoProcessor.register(ValleyConfig, ValleyProcessor, exist_ok=True)


def register_video_processor() -> None:
    """Register the clip processor, which needs no torchvision."""
    from transformers.models.auto.video_processing_auto import AutoVideoProcessor

    from .configuration_valley import ValleyConfig
    from .video_processing_valley import ValleyVideoProcessor

    AutoVideoProcessor.register(ValleyConfig, ValleyVideoProcessor, exist_ok=True)


def open_video_processors() -> None:
    """Let AutoVideoProcessor be imported where torchvision is missing: it is the others that need it."""
    missing = vars(sys.modules["transformers"]).get("_object_missing_backend", {})
    missing.pop("AutoVideoProcessor", None)
