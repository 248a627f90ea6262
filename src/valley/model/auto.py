"""Tell transformers' Auto classes about Valley; happens once, when anything of `valley.model` is imported.

A checkpoint loaded as remote code brings its own registration (`auto_map`) and does not come here.
"""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
)

from .configuration_valley import ValleyConfig
from .modeling_valley import ValleyForConditionalGeneration, ValleyModel
from .processing_valley import ValleyProcessor


def register() -> None:
    """Register the config, the models and the processor; doing it twice changes nothing."""
    AutoConfig.register(ValleyConfig.model_type, ValleyConfig, exist_ok=True)
    AutoModel.register(ValleyConfig, ValleyModel, exist_ok=True)
    AutoModelForImageTextToText.register(ValleyConfig, ValleyForConditionalGeneration, exist_ok=True)
    AutoModelForMultimodalLM.register(ValleyConfig, ValleyForConditionalGeneration, exist_ok=True)
    AutoProcessor.register(ValleyConfig, ValleyProcessor, exist_ok=True)


register()
