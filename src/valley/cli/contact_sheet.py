"""A picture of sampled frames with their times, to see what the model sees; of a scene, with its truth."""

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

    from valley.synthetic.truth import ObjectTruth, Truth
    from valley.video.frames import Frames

_TILE_PX = 240  # width of one frame; eight of them, four a row, fit on a screen
_COLUMNS = 4
_LABEL_PX = 18
_MARGIN_PX = 4
_TRUTH_PX = 500
_LINE_PX = 17
_ROUNDING_S = 1e-6
_CUT = (220, 0, 120)


def write_contact_sheet(path: Path, clips: Sequence[tuple[str, Frames]]) -> Path:
    """Draw every frame of every clip with its time beneath; write a picture in the format of the suffix.

    Raises:
        ConfigError: the suffix is no picture format.
        OSError: the file cannot be written.
    """
    from PIL import Image

    _check_suffix(path)
    strips = [_strip(name, frames) for name, frames in clips]
    sheet = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    sheet.save(path)
    return path


def write_scene_sheet(path: Path, name: str, frames: Frames, truth: Truth) -> Path:
    """Draw frames of a scene, each cut as a line before the first frame behind it, and the truth beside them.

    Raises:
        ConfigError: the suffix is no picture format.
        OSError: the file cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    _check_suffix(path)
    cuts_s = [shot.start_s for shot in truth.shots[1:]]
    strip, lines = _strip(name, frames, cuts_s), truth_lines(truth)
    height_px = max(strip.height, _LABEL_PX + _LINE_PX * (len(lines) + 1))
    sheet = Image.new("RGB", (strip.width + _TRUTH_PX, height_px), "white")
    sheet.paste(strip, (0, 0))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for number, line in enumerate(lines):
        place = strip.width + 2 * _MARGIN_PX, _LABEL_PX + number * _LINE_PX
        draw.text(place, line, fill=_CUT if line.startswith("shot") else "black", font=font)
    sheet.save(path)
    return path


def truth_lines(truth: Truth) -> list[str]:
    """Say what is true of a clip: per shot a line with its times, and two lines an object."""
    lines = []
    for number, shot in enumerate(truth.shots, start=1):
        lines.append(f"shot {number}: {shot.start_s:.2f} s to {shot.end_s:.2f} s")
        for item in shot.objects:
            lines += [f"  {item.size or 'changing'} {item.color} {item.shape}", f"      {_event_line(item)}"]
    return lines


def _event_line(item: ObjectTruth) -> str:
    words = [item.event.replace("_", " ")]
    if item.partner is not None:
        words += ["by" if item.event == "pushed" else "", *item.partner]
    words += [(item.direction or "").replace("_", " and "), item.to_color or ""]
    if item.start_s is not None and item.end_s is not None:
        is_sudden = item.start_s == item.end_s
        words.append(
            f"at {item.start_s:.2f} s" if is_sudden else f"{item.start_s:.2f} s to {item.end_s:.2f} s"
        )
    return " ".join(word for word in words if word) + (", delayed" if item.delayed else "")


def _check_suffix(path: Path) -> None:
    from PIL import Image

    if path.suffix.lower() not in Image.registered_extensions():
        raise ConfigError(f"{path}: want a picture, such as sheet.png")


def _strip(name: str, frames: Frames, cuts_s: Sequence[float] = ()) -> Image.Image:
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
        before_s = frames.shown_at_s[i - 1] if i else time_s
        for cut_s in (c for c in cuts_s if before_s < c <= time_s + _ROUNDING_S):
            draw.rectangle(
                (corner[0] - _MARGIN_PX, corner[1], corner[0] - 1, corner[1] + cell_px[1]), fill=_CUT
            )
            draw.text((corner[0] + 60, corner[1] + tile_px[1] + 2), f"cut at {cut_s:.2f} s", fill=_CUT)
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
