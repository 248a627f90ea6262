"""Pictures of a clip for writers that can see, as data URLs."""

from __future__ import annotations

import base64
import io

from valley.manifest import Clip
from valley.video.decoding import read_frames, read_image
from valley.video.sampling import FrameSampling

SIDE_PX = 384
"""Of the longer side; servers shrink what is larger, and charge for it."""


def pictures_of(clip: Clip, num_frames: int) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Give the times, from the clip's beginning, and the data URLs of evenly spread frames.

    Args:
        clip: a clip or a picture.
        num_frames: of a clip at most; 0: none.

    Raises:
        MediaError: the file cannot be read.
    """
    if num_frames == 0:
        return (), ()
    if clip.kind == "image":
        return (), (_data_url(read_image(clip.path)),)
    sampling = FrameSampling(num_frames=num_frames, start_s=clip.start_s, end_s=clip.end_s)
    frames = read_frames(clip.path, sampling)
    times_s = tuple(round(float(t) - clip.start_s, 3) for t in frames.shown_at_s)
    return times_s, tuple(map(_data_url, frames.pixels))


def _data_url(pixels: object) -> str:
    import numpy as np
    import PIL.Image

    picture = PIL.Image.fromarray(np.asarray(pixels))
    picture.thumbnail((SIDE_PX, SIDE_PX))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
