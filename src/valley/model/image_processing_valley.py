"""ValleyImageProcessor: pictures to pixels, without torchvision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from transformers import BatchFeature

from .pixel_settings import PixelSettings, rgb_array


class ValleyImageProcessor:
    """Turn pictures into `pixel_values`; a plain class, so that no torchvision is asked for."""

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = PixelSettings.from_dict(settings)

    def to_dict(self) -> dict[str, Any]:
        """Write the settings for processor_config.json."""
        return {"image_processor_type": type(self).__name__, **self.settings.to_dict()}

    def pixels(self, images: Sequence[Any]) -> NDArray[np.float32]:
        """Turn pictures of any size into f32[image, 3, h, w].

        Args:
            images: Pillow images or u8[H, W, 3] arrays.

        Raises:
            ValueError: something is no picture.
        """
        return np.concatenate([self.settings(rgb_array(image)[None]) for image in images])

    def __call__(
        self,
        images: Any,  # noqa: ANN401
        return_tensors: str | None = None,
        **_: object,
    ) -> BatchFeature:
        """Turn one picture, or several, into `pixel_values`, as Hugging Face's image processors do."""
        pictures = images if isinstance(images, (list, tuple)) else [images]
        return BatchFeature({"pixel_values": self.pixels(pictures)}, tensor_type=return_tensors)


__all__ = ["ValleyImageProcessor"]
