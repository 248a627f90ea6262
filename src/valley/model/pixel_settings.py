"""How pictures become the tower's pixels: resize, crop, scale, normalise; with Pillow and numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# CLIP's, from openai/clip-vit-large-patch14.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class PixelSettings:
    """Settings with the names of Hugging Face's preprocessor files.

    Attributes:
        size: ``{"shortest_edge": n}``, or ``{"height": h, "width": w}`` whatever the picture's shape.
        crop_size: ``{"height": h, "width": w}`` cut from the centre after resizing; None keeps all.
        resample: Pillow's number of the filter: 2 bilinear, 3 bicubic.
        image_mean: per channel, of pixels scaled to [0, 1].
        image_std: per channel.
        crop_rounding: where the crop's corner falls between two pixels: "down" as in CLIP's own
            preprocessing, or "even" (to the even one) as in torchvision's.
    """

    size: dict[str, int]
    crop_size: dict[str, int] | None = None
    resample: int = 3
    image_mean: tuple[float, ...] = CLIP_MEAN
    image_std: tuple[float, ...] = CLIP_STD
    crop_rounding: Literal["down", "even"] = "down"

    def __post_init__(self) -> None:
        """Refuse sizes that nothing is known to do with.

        Raises:
            ValueError: neither a shortest edge nor a height and a width, or the crop exceeds the size.
        """
        if set(self.size) not in ({"shortest_edge"}, {"height", "width"}):
            raise ValueError(f"size: want 'shortest_edge', or 'height' and 'width', got {self.size}")
        if self.crop_size is None and "shortest_edge" in self.size:
            raise ValueError(
                "size has only a shortest edge, so that pictures differ in shape: give a crop_size"
            )
        if self.crop_size is not None and max(self.crop_size.values()) > min(self.size.values()):
            raise ValueError(f"crop_size {self.crop_size} exceeds size {self.size}")

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> PixelSettings:
        """Read settings as Hugging Face writes them; what says nothing about pixels is left out.

        Raises:
            ValueError: a step that is always done here is switched off.
        """
        for switch in ("do_resize", "do_rescale", "do_normalize"):
            if settings.get(switch) is False:
                raise ValueError(f"{switch} is always done: want true, got false")
        known = {f.name: settings[f.name] for f in fields(cls) if settings.get(f.name) is not None}
        if settings.get("do_center_crop") is False:
            known.pop("crop_size", None)
        for name in ("size", "crop_size"):
            if isinstance(known.get(name), int):
                known[name] = _square(name, known[name])
        known |= {name: tuple(known[name]) for name in ("image_mean", "image_std") if name in known}
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Write settings as Hugging Face names them."""
        return {
            **asdict(self),
            "image_mean": list(self.image_mean),
            "image_std": list(self.image_std),
            "do_center_crop": self.crop_size is not None,
            "do_resize": True,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "do_convert_rgb": True,
        }

    @property
    def output_size_px(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        shape = self.crop_size or self.size
        return shape["height"], shape["width"]

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn u8[frame, H, W, 3] into f32[frame, 3, h, w]."""
        resized = np.stack([self._resized(frame) for frame in frames])
        height_px, width_px = self.output_size_px
        top, left = self._corner(resized.shape[1] - height_px), self._corner(resized.shape[2] - width_px)
        cropped = resized[:, top : top + height_px, left : left + width_px]
        mean, std = (np.asarray(v, dtype=np.float32) for v in (self.image_mean, self.image_std))
        normalised = (cropped.astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))

    def _corner(self, spare_px: int) -> int:
        return round(spare_px / 2) if self.crop_rounding == "even" else spare_px // 2

    def _resized(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height_px, width_px = self._target(*frame.shape[:2])
        if frame.shape[:2] == (height_px, width_px):
            return frame
        picture, resample = Image.fromarray(np.ascontiguousarray(frame)), Image.Resampling(self.resample)
        # First across, then down, whichever is cheaper: Pillow's choice has changed, and with it last digits.
        picture = picture.resize((width_px, frame.shape[0]), resample)
        return np.asarray(picture.resize((width_px, height_px), resample))

    def _target(self, height_px: int, width_px: int) -> tuple[int, int]:
        if "height" in self.size:
            return self.size["height"], self.size["width"]
        short_px, edge_px = min(height_px, width_px), self.size["shortest_edge"]
        # The longer side is cut to an integer, as CLIP's own preprocessing does.
        return (
            edge_px if height_px == short_px else int(edge_px * height_px / short_px),
            edge_px if width_px == short_px else int(edge_px * width_px / short_px),
        )


def _square(name: str, edge_px: int) -> dict[str, int]:
    return {"shortest_edge": edge_px} if name == "size" else {"height": edge_px, "width": edge_px}


def rgb_array(picture: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """Turn a Pillow image, an array or a tensor of one picture into u8[H, W, 3]; alpha is laid over white.

    Raises:
        ValueError: not whole numbers from 0 to 255, or not height x width x channels.
    """
    if isinstance(picture, Image.Image):
        if picture.has_transparency_data:
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture.convert("RGBA"))
        return np.asarray(picture.convert("RGB"))
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3:
        raise ValueError(f"want a picture as u8[H, W, 3], got {array.dtype} of shape {array.shape}")
    return array


__all__ = ["CLIP_MEAN", "CLIP_STD", "PixelSettings", "rgb_array"]
