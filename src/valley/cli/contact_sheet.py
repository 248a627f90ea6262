"""A picture of sampled frames with their times, to see what the model sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from valley.cli import text
from valley.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageDraw

    from valley.video.frames import Frames

_TILE_PX = 240  # width of one frame; eight of them, four a row, fit on a screen
_COLUMNS = 4
_LABEL_PX = 18
_MARGIN_PX = 4


def write_contact_sheet(path: Path, clips: Sequence[tuple[str, Frames]]) -> Path:
    """Draw every frame of every clip with its time beneath; write a picture in the format of the suffix.

    Raises:
        ConfigError: the suffix is no picture format.
        OSError: the file cannot be written.
    """
    from PIL import Image

    if path.suffix.lower() not in Image.registered_extensions():
        raise ConfigError(f"{path}: want a picture, such as sheet.png")
    strips = [_strip(name, frames) for name, frames in clips]
    sheet = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    sheet.save(path)
    return path


def _strip(name: str, frames: Frames) -> Image.Image:
    from PIL import Image, ImageDraw

    height_px, width_px = frames.pixels.shape[1:3]
    tile_px = (_TILE_PX, max(1, round(_TILE_PX * height_px / width_px)))
    columns = min(_COLUMNS, len(frames))
    rows = -(-len(frames) // columns)
    cell_px = (tile_px[0] + _MARGIN_PX, tile_px[1] + _LABEL_PX)
    strip = Image.new("RGB", (columns * cell_px[0] + _MARGIN_PX, rows * cell_px[1] + _LABEL_PX), "white")
    draw = ImageDraw.Draw(strip)
    draw.text((_MARGIN_PX, 3), _drawable(name), fill="black")
    for i, (pixels, time_s) in enumerate(zip(frames.pixels, frames.shown_at_s, strict=True)):
        row, column = divmod(i, columns)
        corner = (_MARGIN_PX + column * cell_px[0], _LABEL_PX + row * cell_px[1])
        _tile(strip, draw, pixels, corner, tile_px, label=text.clock(float(time_s)))
    return strip


def _tile(
    strip: Image.Image,
    draw: ImageDraw.ImageDraw,
    pixels: NDArray[np.uint8],
    corner: tuple[int, int],
    tile_px: tuple[int, int],
    *,
    label: str,
) -> None:
    from PIL import Image

    strip.paste(Image.fromarray(pixels).resize(tile_px), corner)
    draw.text((corner[0], corner[1] + tile_px[1] + 2), label, fill="black")


def _drawable(name: str) -> str:
    """Keep to what Pillow's built-in font can draw."""
    return name.encode("latin-1", "replace").decode("latin-1")
