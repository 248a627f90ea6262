"""From a decoded frame to RGB: rotation, scale, alpha over white. Only wanted frames come here."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

Size: TypeAlias = "tuple[int, int] | int | None"
Picture: TypeAlias = NDArray[np.uint8]


def format_has_alpha(name: str) -> bool:
    """Whether a pixel format of this FFmpeg name carries transparency (a palette may)."""
    return name.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya", "ayuv", "vuya", "pal8"))


def fit_size(width_px: int, height_px: int, size_px: Size) -> tuple[int, int]:
    """Say how large a picture becomes.

    Args:
        width_px: of the picture as displayed.
        height_px: of the picture as displayed.
        size_px: (width, height) exactly; or the most that the shorter side may have (never enlarges).

    Returns:
        (width, height).
    """
    if size_px is None:
        return width_px, height_px
    if not isinstance(size_px, int):
        return size_px
    shorter = min(width_px, height_px)
    if shorter <= size_px:
        return width_px, height_px
    return max(1, round(width_px * size_px / shorter)), max(1, round(height_px * size_px / shorter))


def quarter_turns(rotation_deg: float | int) -> int:
    """Count the quarter turns against the clock that bring a picture upright; odd angles round."""
    return round(rotation_deg / 90) % 4


def to_rgb(frame: VideoFrame, size_px: tuple[int, int]) -> Picture:
    """Convert one frame to u8 [height, width, 3] of the displayed size (width, height), upright."""
    turns = quarter_turns(frame.rotation)
    width_px, height_px = size_px if turns % 2 == 0 else size_px[::-1]
    scaled = (width_px, height_px) != (frame.width, frame.height)
    how: dict[str, Any] = (
        {"width": width_px, "height": height_px, "interpolation": "BICUBIC"} if scaled else {}
    )
    with_alpha = format_has_alpha(frame.format.name)
    converted = cast("Picture", frame.to_ndarray(format="rgba" if with_alpha else "rgb24", **how))
    picture = over_white(converted) if with_alpha else converted
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def over_white(rgba: NDArray[np.uint8]) -> Picture:
    """Lay u8 [height, width, 4] over white."""
    alpha = rgba[..., 3:].astype(np.uint16)
    blended = rgba[..., :3].astype(np.uint16) * alpha + 255 * (255 - alpha)
    return ((blended + 127) // 255).astype(np.uint8)
