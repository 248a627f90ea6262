"""Valley: an open, trainable, multilingual video assistant.

Importing this package imports nothing heavy; names are loaded on first use, and transformers' Auto classes
know its models from then on.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from valley.registering import register_when_wanted

__version__ = "0.1.0"

if TYPE_CHECKING:
    from valley.conversation import Conversation, Image, Message, Text, Video
    from valley.inference.valley import Valley
    from valley.model.configuration_valley import ValleyConfig
    from valley.model.modeling_valley import ValleyForConditionalGeneration, ValleyModel
    from valley.model.processing_valley import ValleyProcessor

_LAZY = {
    "Conversation": "valley.conversation",
    "Image": "valley.conversation",
    "Message": "valley.conversation",
    "Text": "valley.conversation",
    "Video": "valley.conversation",
    "Valley": "valley.inference.valley",
    "ValleyConfig": "valley.model.configuration_valley",
    "ValleyForConditionalGeneration": "valley.model.modeling_valley",
    "ValleyModel": "valley.model.modeling_valley",
    "ValleyProcessor": "valley.model.processing_valley",
}

__all__ = [
    "Conversation",
    "Image",
    "Message",
    "Text",
    "Valley",
    "ValleyConfig",
    "ValleyForConditionalGeneration",
    "ValleyModel",
    "ValleyProcessor",
    "Video",
    "__version__",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Load a public name on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'valley' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


register_when_wanted()
