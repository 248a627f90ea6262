"""Read what a clip holds: `read_frames`, `probe`, `read_image`, `is_image`.

    >>> read_frames("a.mp4", FrameSampling(num_frames=8))
    Frames(8 x 720 x 1280, 0.00 s to 11.96 s)

Files are opened by `valley.video.opening` alone.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from valley.errors import DamagedError, EmptyMediaError, TruncatedError
from valley.video.converting import Picture, Size
from valley.video.frames import Frames
from valley.video.indexing import IndexedStream, index_stream
from valley.video.isolation import call_child, frames_of, request_of
from valley.video.limits import UNTRUSTED, DecodeLimits, Guard
from valley.video.opening import ends_early, open_media, video_stream
from valley.video.pictures import as_arrays, even_times, is_still, list_folder, load_still, name_of, resize
from valley.video.probing import VideoInfo, probe
from valley.video.sampling import FrameSampling, choose
from valley.video.walking import PacketReader, Walk

__all__ = ["UNTRUSTED", "DecodeLimits", "VideoInfo", "is_image", "probe", "read_frames", "read_image"]

Source: TypeAlias = "str | Path | bytes | Frames | Sequence[Any]"
OnDamage: TypeAlias = Literal["raise", "warn"]

_logger = logging.getLogger(__name__)


def is_image(source: str | Path | bytes) -> bool:
    """Whether this is one still picture, by content and not by name; an animated gif is a video."""
    return is_still(source)


def read_image(source: str | Path | bytes, *, limits: DecodeLimits | None = None) -> Picture:
    """Read one picture as u8 [height, width, 3]: upright by its EXIF, transparency over white.

    Raises:
        MediaError: see `load_still`.
    """
    return load_still(source, Guard(name_of(source), limits or DecodeLimits()))


def read_frames(
    source: Source,
    sampling: FrameSampling | None = None,
    *,
    size_px: Size = None,
    limits: DecodeLimits | None = None,
    on_damage: OnDamage = "raise",
    isolated: bool = False,
) -> Frames:
    """Read the frames of a clip that `sampling` asks for.

    Args:
        source: a file of any container and codec FFmpeg reads, its bytes, a still picture (a clip of one
            frame), a folder or list of pictures, or `Frames`.
        sampling: which frames; 8 spread evenly in time unless given.
        size_px: (width, height) exactly, or the most that the shorter side may have.
        limits: on bytes, pixels, time and memory.
        on_damage: "raise" where a wanted frame cannot be decoded, or "warn" and give the others; then
            `missing_s` tells which are missing.
        isolated: decode in a child process that is killed at its limits; for files of strangers.

    Raises:
        MediaError: the kind tells what is wrong with the file.
        SamplingError: the wish does not fit the clip.
    """
    sampling, limits = sampling or FrameSampling(), limits or DecodeLimits()
    guard = Guard(name_of(source), limits)
    if isinstance(source, Frames):
        return _resampled(source, sampling, size_px)
    if isolated and _names_files(source):
        request, payload = request_of("frames", source, limits)
        request |= {"sampling": dataclasses.asdict(sampling), "size_px": size_px, "on_damage": on_damage}
        return frames_of(*call_child(request, payload, guard.source, limits))
    if not isinstance(source, (str, Path, bytes)):
        return _from_list(list(source), even_times(len(source), guard.source), sampling, size_px, guard)
    if not isinstance(source, bytes) and Path(source).is_dir():
        pictures, times = list_folder(Path(source))
        return _from_list(pictures, times, sampling, size_px, guard)
    if is_still(source):
        return _from_list([source], np.zeros(1), sampling, size_px, guard)
    return _decode(source, sampling, size_px, guard, on_damage)


def _names_files(source: object) -> bool:
    """Whether reading the source means decoding files; a list of arrays needs no decoder."""
    files = source if isinstance(source, (list, tuple)) else [source]
    return all(isinstance(f, (str, Path)) for f in files) or isinstance(source, bytes)


def _resampled(frames: Frames, sampling: FrameSampling, size_px: Size) -> Frames:
    chosen = frames.take(choose(sampling, frames.shown_at_s, end_s=frames.end_s))
    return Frames(
        resize(chosen.pixels, size_px),
        chosen.shown_at_s,
        chosen.missing_s,
        chosen.frame_numbers,
        chosen.end_s,
    )


def _from_list(
    pictures: Sequence[Any], times: NDArray[np.float64], sampling: FrameSampling, size_px: Size, guard: Guard
) -> Frames:
    if not len(pictures):
        raise EmptyMediaError(guard.source, "there are no pictures", "give at least one")
    guard.count(len(pictures))
    guard.duration(float(times[-1]))
    chosen = choose(sampling, times, np.ones(len(times), dtype=np.bool_))
    pixels = as_arrays([pictures[i] for i in chosen], guard, size_px)
    return Frames(pixels, times[chosen], (), chosen)


def _decode(
    source: str | Path | bytes, sampling: FrameSampling, size_px: Size, guard: Guard, on_damage: OnDamage
) -> Frames:
    with ExitStack() as stack:
        container = stack.enter_context(open_media(source, guard))
        stream = video_stream(container, guard)
        indexed = index_stream(container, stream, guard, is_cut=ends_early(source, guard))
        index = indexed.index
        guard.duration(index.end_s)
        rate = float(stream.average_rate) if stream.average_rate else None
        wanted = choose(sampling, index.shown_at_s, index.keyframe, average_fps=rate, end_s=index.end_s)

        def one_thread() -> VideoCodecContext:
            spare = video_stream(stack.enter_context(open_media(source, guard)), guard).codec_context
            spare.thread_count = 1
            return spare

        walk = Walk(
            PacketReader(container, stream, indexed), stream.codec_context, index, guard, size_px, one_thread
        )
        unique = np.unique(wanted)
        pixels, found = walk.decode(unique)
    _report_missing(unique[~found], unique, indexed, guard, on_damage)
    got = unique[found]
    pixels = pixels if found.all() else pixels[found]
    if len(wanted) != len(unique):  # the 2023 rule repeats frames
        wanted = wanted[np.isin(wanted, got)]
        pixels, got = pixels[np.searchsorted(got, wanted)], wanted
    missing_s = tuple(index.shown_at_s[unique[~found]].tolist())
    return Frames(pixels, index.shown_at_s[got], missing_s, got, index.end_s)


def _report_missing(
    missing: NDArray[np.int64],
    wanted: NDArray[np.int64],
    indexed: IndexedStream,
    guard: Guard,
    on_damage: OnDamage,
) -> None:
    """Raise or log which of the wanted frames are missing."""
    if not len(missing):
        return
    index = indexed.index
    lost = bool(missing[-1] >= index.num_frames - index.num_lost)
    times = ", ".join(f"{t:.3f}" for t in index.shown_at_s[missing])
    reason = f"{len(missing)} of {len(wanted)} wanted frames cannot be decoded (at {times} s)"
    if lost:
        reason = f"the file ends early: {reason}"
    if on_damage == "raise" or len(missing) == len(wanted):
        kind = TruncatedError if lost else DamagedError
        raise kind(
            guard.source,
            reason,
            "repair the file, or take the other frames (on_damage='warn', --on-damage warn)",
        )
    _logger.warning("%s: %s; going on with the others", guard.source, reason)
