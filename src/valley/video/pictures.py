"""Read still pictures, and folders or lists of them, by Pillow.

A folder of frames looks like this::

frames/0001.jpg 0002.jpg 0003.jpg ... timestamps.txt     (seconds, one line a picture)

or with timestamps.json, a list of them. Times are counted from the first picture, unless timestamps.json says
that they are those of the clip which the pictures are from: `{"shown_at_s": [2.0, 2.41, ...]}`.
"""

from __future__ import annotations

import io
import json
import logging
import re
import struct
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from valley.errors import (
    EmptyMediaError,
    MediaError,
    MediaNotFoundError,
    NotAVideoError,
    TooLargeError,
    TruncatedError,
)
from valley.video.converting import Picture, Size, fit_size, over_white
from valley.video.limits import Guard

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})
# Raster formats alone: Pillow hands PostScript to another program.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
# What Pillow raises on damaged files, of which it checks little.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error)
TIMESTAMP_FILES = ("timestamps.txt", "timestamps.json")
DEFAULT_GAP_S = 1.0  # between pictures whose times nobody tells; said at warning

_logger = logging.getLogger(__name__)


def name_of(source: object) -> str:
    """Name a source in messages; never its bytes."""
    if isinstance(source, bytes):
        return f"{len(source)} bytes of video"
    return str(source) if isinstance(source, (str, Path)) else f"a {type(source).__name__} of pictures"


def is_still(source: str | Path | bytes) -> bool:
    """Whether the content (not the name) is a picture of one frame that Pillow reads."""
    try:
        with _open(source) as image:
            return _num_frames(image) == 1
    except PIL.Image.DecompressionBombError:  # a picture, only too large: reading it will say so
        return True
    except _DAMAGE:
        return False


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    PIL.Image.init()  # which formats there are depends on how Pillow was built
    return tuple(f for f in _FORMATS if f in PIL.Image.OPEN)


def _num_frames(image: PIL.Image.Image) -> int:
    if image.format == "MPO":  # a phone's photograph with a depth or brightness map behind it
        return 1
    return int(getattr(image, "n_frames", 1))  # only formats that can be animated have the attribute


def _open(source: str | Path | bytes) -> AbstractContextManager[PIL.Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)  # Guard.picture decides
        return PIL.Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_formats())


def load_still(source: str | Path | bytes, guard: Guard, *, size_px: Size = None) -> Picture:
    """Read one picture as u8 [height, width, 3]: upright, transparency over white.

    Raises:
        MediaNotFoundError: no such file.
        EmptyMediaError: no bytes.
        NotAVideoError: no picture.
        TruncatedError: the picture ends early.
        TooLargeError: too many bytes or pixels.
    """
    size_bytes = len(source) if isinstance(source, bytes) else _size_of(Path(source), guard.source)
    guard.size(size_bytes)
    if not size_bytes:
        raise EmptyMediaError(guard.source, "the file is empty", "fetch or copy it again")
    try:
        with _open(source) as image:
            guard.picture(*image.size)
            return _as_rgb(image, size_px)
    except PIL.UnidentifiedImageError as error:
        raise NotAVideoError(guard.source, "is no picture that Pillow can read", "give a picture") from error
    except PIL.Image.DecompressionBombError as error:
        raise TooLargeError(guard.source, f"has too many pixels: {error}", "scale it down") from error
    except _DAMAGE as error:
        raise TruncatedError(
            guard.source, f"the picture cannot be decoded: {error}", "fetch it again"
        ) from error


def _size_of(path: Path, name: str) -> int:
    if not path.is_file():
        raise MediaNotFoundError(name, "there is no such file", "check the path")
    return path.stat().st_size


def _as_rgb(image: PIL.Image.Image, size_px: Size) -> Picture:
    upright = PIL.ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        rgb = PIL.Image.fromarray(over_white(np.asarray(upright.convert("RGBA"))))
    elif upright.mode.startswith("I;16"):  # 16-bit gray: Pillow's own conversion clips instead of scaling
        gray = np.asarray(upright, dtype=np.uint16) >> 8
        rgb = PIL.Image.fromarray(gray.astype(np.uint8)).convert("RGB")
    else:
        rgb = upright.convert("RGB")
    size = fit_size(*rgb.size, size_px)
    return np.array(rgb if size == rgb.size else rgb.resize(size, PIL.Image.Resampling.BICUBIC))


def resize(pixels: NDArray[np.uint8], size_px: Size) -> NDArray[np.uint8]:
    """Resize u8 [frame, height, width, 3]."""
    size = fit_size(pixels.shape[2], pixels.shape[1], size_px)
    if size == (pixels.shape[2], pixels.shape[1]) or not len(pixels):
        return pixels
    bicubic = PIL.Image.Resampling.BICUBIC
    return np.stack([np.asarray(PIL.Image.fromarray(p).resize(size, bicubic)) for p in pixels])


def list_folder(folder: Path) -> tuple[list[Path], NDArray[np.float64]]:
    """List the pictures of a folder in the order of the numbers in their names, with their times.

    Raises:
        EmptyMediaError: no pictures.
        MediaError: the timestamps do not fit the pictures.
    """
    pictures = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file()]
    if not pictures:
        raise EmptyMediaError(folder, "the folder holds no pictures", "give a folder of .jpg or .png frames")
    pictures.sort(
        key=lambda p: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", p.name)]
    )
    for name in TIMESTAMP_FILES:
        if (folder / name).is_file():
            return pictures, _read_times(folder / name, len(pictures))
    return pictures, even_times(len(pictures), str(folder))


def even_times(num_pictures: int, name: str) -> NDArray[np.float64]:
    """Times of pictures that came without any: one a second, said at warning."""
    if num_pictures > 1:
        _logger.warning("%s: no timestamps given: taking one picture every %g s", name, DEFAULT_GAP_S)
    return np.arange(num_pictures, dtype=np.float64) * DEFAULT_GAP_S


def _read_times(path: Path, num_pictures: int) -> NDArray[np.float64]:
    text = path.read_text(encoding="utf-8")
    try:
        numbers = json.loads(text) if path.suffix == ".json" else [float(word) for word in text.split()]
        is_of_clip = isinstance(numbers, dict)
        times = np.asarray(numbers["shown_at_s"] if is_of_clip else numbers, dtype=np.float64)
    except (ValueError, TypeError, KeyError) as error:
        raise MediaError(path, "is no list of seconds", "write one number a picture") from error
    if times.shape != (num_pictures,) or not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise MediaError(
            path,
            f"want {num_pictures} times that never decrease, got {times.size}",
            "write one number a picture",
        )
    if is_of_clip and times[0] < 0:
        raise MediaError(path, f"want times from 0 on, got {times[0]:g}", "leave out shown_at_s")
    return times if is_of_clip else times - times[0]


def as_arrays(pictures: Sequence[Any], guard: Guard, size_px: Size) -> NDArray[np.uint8]:
    """Stack pictures (paths, bytes, PIL pictures, arrays) as u8 [frame, height, width, 3].

    Raises:
        MediaError: pictures of different size.
    """
    arrays: list[NDArray[np.uint8]] = []
    for picture in pictures:
        guard.tick()
        if isinstance(picture, (str, Path, bytes)):
            arrays.append(load_still(picture, Guard(name_of(picture), guard.limits), size_px=size_px))
        elif isinstance(picture, PIL.Image.Image):
            arrays.append(_as_rgb(picture, size_px))
        else:
            arrays.append(resize(np.asarray(picture)[None], size_px)[0])
    shapes = sorted({a.shape for a in arrays})
    if len(shapes) > 1:
        raise MediaError(guard.source, f"its pictures differ in size: {shapes}", "bring them to one size")
    return np.stack(arrays)
