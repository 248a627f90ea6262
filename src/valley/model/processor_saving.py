"""How a processor's settings are written beside a checkpoint, and read again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.processing_utils import ProcessorMixin

from .image_processing_valley import ValleyImageProcessor
from .remote_code import PROCESSOR_AUTO_MAP, copy_code
from .video_processing_valley import ValleyVideoProcessor

_SAVED = (
    "image_settings",
    "video_settings",
    "sampling",
    "pooling",
    "visual_tokens",
    "frame_times",
    "dialogue",
)


class SavedProcessor(ProcessorMixin):
    """Saving and loading; the settings named in `_SAVED` are attributes, and arguments of the constructor."""

    image_processor: ValleyImageProcessor
    video_processor: ValleyVideoProcessor

    def to_dict(self) -> dict[str, Any]:
        """Write settings, with sections where other tools look for the processors."""
        sections = {
            "image_processor": self.image_processor.to_dict(),
            "video_processor": self.video_processor.to_dict(),
        }
        plain = {name: self.__dict__[name] for name in _SAVED}
        named = {"processor_class": type(self).__name__, "auto_map": dict(PROCESSOR_AUTO_MAP)}
        return {**plain, **sections, **named}

    @classmethod
    def from_args_and_dict(cls, args: Sequence[Any], processor_dict: dict[str, Any], **kwargs: Any) -> Any:  # noqa: ANN401
        """Make a processor from a tokenizer and saved settings.

        Raises:
            PromptError: the folder holds no settings of a Valley processor.
        """
        names = (*_SAVED, "chat_template")
        settings = {name: value for name, value in {**processor_dict, **kwargs}.items() if name in names}
        processor = cls(*args, **settings)
        return (processor, {}) if kwargs.get("return_unused_kwargs") else processor

    def save_pretrained(
        self,
        save_directory: str | Path,
        push_to_hub: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,  # noqa: ANN401
    ) -> list[str]:
        """Save tokenizer, settings, template and code; and the file where vLLM finds the clip processor."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        copy_code(folder, "processing_valley")
        self.video_processor.save_pretrained(folder)
        return super().save_pretrained(str(folder), push_to_hub=push_to_hub, **kwargs)
