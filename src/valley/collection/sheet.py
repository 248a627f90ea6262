"""Little pictures of the shots of a collection: the first of them, from the middle of each."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from valley.collection.joining import Medium, join_tables
from valley.errors import MediaError, SamplingError
from valley.video.decoding import read_frames
from valley.video.limits import DecodeLimits
from valley.video.sampling import FrameSampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_TILES = 48  # half a megabyte of pictures
MOST_TILES_A_MEDIUM = 4  # or one film would fill the sheet
_SHORTER_SIDE_PX = 144
_JPEG_QUALITY = 75
_NUM_READERS = 4  # each waits for a process that reads a moment
# The files were read before, so they may be large; a picture of one is not worth waiting long for.
_LIMITS = DecodeLimits(timeout_s=20.0, max_memory_bytes=2**30)


@dataclass(frozen=True)
class Tile:
    """A shot, or a picture, which has no times.

    Attributes:
        name: what the source calls the medium.
        jpeg: address of the picture's bytes ("data:..."); empty where it could not be read.
        fault: why not.
    """

    name: str
    media_id: str
    licence: str
    number: int
    start_s: float | None
    end_s: float | None
    transition: str
    jpeg: str
    fault: str
    width_px: int
    height_px: int


def shot_tiles(
    corpus: Path, *, most: int = MOST_TILES, most_a_medium: int = MOST_TILES_A_MEDIUM
) -> list[Tile]:
    """Read the pictures, each file in a process of its own; one that cannot be read says why."""
    chosen: list[tuple[Medium, int]] = []
    num_left = most
    for medium in join_tables(corpus):
        if num_left <= 0:
            break
        wanted = min(most_a_medium, num_left, len(medium.shots) or medium.row["kind"] == "image")
        if wanted:
            chosen.append((medium, wanted))
            num_left -= wanted
    with ThreadPoolExecutor(_NUM_READERS) as readers:
        found = readers.map(lambda one: list(_tiles_of(corpus, *one)), chosen)
        return [tile for tiles in found for tile in tiles]


def _tiles_of(corpus: Path, medium: Medium, most: int) -> Iterator[Tile]:
    path = corpus / medium.row["uri"]
    shots = medium.shots[:most]
    middles = tuple((s["start_us"] + s["end_us"]) / 2e6 for s in shots)
    pictures: Sequence[NDArray[np.uint8] | None]
    fault = ""
    try:
        sampling = FrameSampling(times_s=middles) if shots else None
        source = path if shots else [path]
        frames = read_frames(source, sampling, size_px=_SHORTER_SIDE_PX, limits=_LIMITS, isolated=True)
        pictures = list(frames.pixels)
    except (MediaError, SamplingError, OSError) as error:
        fault = error.reason if isinstance(error, MediaError) else str(error)
        pictures = [None] * max(1, len(shots))
    for number, picture in enumerate(pictures):
        shot = shots[number] if shots else None
        yield Tile(
            name=medium.row["source_item_id"],
            media_id=medium.id,
            licence=medium.row["licence"],
            number=number + 1,
            start_s=shot["start_us"] / 1e6 if shot else None,
            end_s=shot["end_us"] / 1e6 if shot else None,
            transition=(shot["transition"] or "") if shot else "",
            jpeg="" if picture is None else _as_address(picture),
            fault=fault,
            width_px=0 if picture is None else picture.shape[1],
            height_px=0 if picture is None else picture.shape[0],
        )


def _as_address(picture: NDArray[np.uint8]) -> str:
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")
