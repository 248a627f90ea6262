"""When the frames that a wish chooses are shown, without decoding any: what `valley plan` counts with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from valley.video.indexing import index_stream
from valley.video.limits import DecodeLimits, Guard
from valley.video.opening import ends_early, open_media, video_stream
from valley.video.pictures import is_still, list_folder, name_of
from valley.video.sampling import FrameSampling, choose


@dataclass(frozen=True, eq=False)
class SampledTimes:
    """The same times that `read_frames` gives for the same wish.

    Attributes:
        shown_at_s: f64 [frame].
        end_s: when the clip ends.
    """

    shown_at_s: NDArray[np.float64]
    end_s: float


def sampled_times(
    source: str | Path | bytes, sampling: FrameSampling | None = None, *, limits: DecodeLimits | None = None
) -> SampledTimes:
    """Choose frames by a file's packet index, or by a folder's list.

    Raises:
        MediaError: the file is no sound video; damage within its frames is not seen here.
        SamplingError: the wish does not fit the clip.
    """
    sampling = sampling or FrameSampling()
    guard = Guard(name_of(source), limits or DecodeLimits())
    if not isinstance(source, bytes) and Path(source).is_dir():
        return _of_list(list_folder(Path(source))[1], sampling)
    if is_still(source):
        return _of_list(np.zeros(1), sampling)
    with open_media(source, guard) as container:
        stream = video_stream(container, guard)
        index = index_stream(container, stream, guard, is_cut=ends_early(source, guard)).index
        rate = float(stream.average_rate) if stream.average_rate else None
    guard.duration(index.end_s)
    chosen = choose(sampling, index.shown_at_s, index.keyframe, average_fps=rate, end_s=index.end_s)
    return SampledTimes(index.shown_at_s[chosen], index.end_s)


def _of_list(times_s: NDArray[np.float64], sampling: FrameSampling) -> SampledTimes:
    chosen = choose(sampling, times_s, np.ones(len(times_s), dtype=np.bool_))
    return SampledTimes(times_s[chosen], float(times_s[-1]))
