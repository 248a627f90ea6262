"""The media of conversations as frames: each is decoded once, however often it is asked about."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Hashable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from valley.conversation import Image, Video
from valley.errors import SamplingError, ValleyError
from valley.inference.backend import GenerationParams, MediaUse
from valley.inference.work_cache import WorkCache
from valley.video.decoding import read_frames, read_image
from valley.video.frames import Frames
from valley.video.limits import DecodeLimits
from valley.video.sampled_times import SampledTimes, sampled_times
from valley.video.sampling import FrameSampling
from valley.video.subtitles import as_prompt, read_subtitles

# Eight frames of 4K are 200 MB; a conversation about several such clips still decodes each once.
DEFAULT_CACHE_BYTES = 2**30


@dataclass(frozen=True, eq=False)
class SeenMedium:
    """What the model is shown of one medium.

    Attributes:
        key: equal for the same frames of the same unchanged file, different for everything else.
        frames: pixels and times; an image is one frame at 0 s.
        use: what answers report about it.
        subtitles: the timed text within the window, or an empty string.
    """

    key: Hashable
    frames: Frames
    use: MediaUse
    subtitles: str = ""


class MediaReader:
    """Reads images and videos, and keeps the newest ones as long as they fit into the cache."""

    def __init__(
        self,
        default_sampling: FrameSampling,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        cache: WorkCache | None = None,
        max_decodes: int | None = None,
    ) -> None:
        """Set the frames to take when nobody asks otherwise, and the bounds.

        Args:
            default_sampling: which frames.
            cache_bytes: of frames that are kept, where there is no `cache`.
            cache: one that is shared with other kinds of work.
            max_decodes: files that are decoded at once; None takes one a core, as a decoder fills a core and
                more at once only take each other's memory.
        """
        self.default_sampling = default_sampling
        self._cache = cache or WorkCache(cache_bytes)
        self._decodes = threading.Semaphore(max_decodes or os.cpu_count() or 1)
        self._running: dict[Hashable, Future[SeenMedium | None]] = {}
        self._lock = threading.Lock()

    def shown(self, medium: Image | Video, params: GenerationParams) -> SeenMedium:
        """Give the frames that a request is shown of a medium; see `read`."""
        return self.read(
            medium,
            sampling=params.sampling,
            isolated=params.isolated,
            on_damage=params.on_damage,
            limits=params.limits,
            scope=params.cache_scope,
        )

    def read(
        self,
        medium: Image | Video,
        *,
        sampling: FrameSampling | None = None,
        isolated: bool = False,
        on_damage: Literal["raise", "warn"] = "raise",
        limits: DecodeLimits | None = None,
        scope: str = "",
    ) -> SeenMedium:
        """Give the frames of a medium, decoding it only if it, the wish, or the scope is new.

        Two threads that ask for the same at once share one decode.

        Raises:
            MediaError: it cannot be read.
            SamplingError: the wish contradicts itself or the clip.
        """
        wish = self.wish(medium, sampling)
        kind = type(medium).__name__
        key = (scope, kind, _stamp(medium.source), wish, limits, on_damage, _subtitle_stamp(medium))
        kept = self._cache.get("frames", key)
        while kept is None:
            with self._lock:
                running = self._running.get(key)
                mine = running or self._running.setdefault(key, Future())
            if running is None:
                return self._decode(mine, key, medium, wish, limits, on_damage, isolated=isolated)
            kept = running.result()
        return kept

    def _decode(
        self,
        mine: Future[SeenMedium | None],
        key: Hashable,
        medium: Image | Video,
        wish: FrameSampling,
        limits: DecodeLimits | None,
        on_damage: Literal["raise", "warn"],
        *,
        isolated: bool,
    ) -> SeenMedium:
        """Read a file for everyone who waits for it; an interrupt is this thread's alone."""
        try:
            with self._decodes:
                seen = _read(key, medium, wish, limits, on_damage, isolated=isolated)
            self._cache.put("frames", key, seen, seen.frames.pixels.nbytes)
            mine.set_result(seen)
        except ValleyError as error:
            mine.set_exception(error)
            raise
        finally:
            if not mine.done():
                mine.set_result(None)
            with self._lock:
                del self._running[key]
        return seen

    def glance(self, medium: Image | Video, *, sampling: FrameSampling | None = None) -> SeenMedium:
        """Give what `read` would, with black frames of one pixel: nothing is decoded, the times are true.

        Raises:
            MediaError: it cannot be opened.
            SamplingError: the wish contradicts itself or the clip.
        """
        if isinstance(medium, Image):
            times = SampledTimes(np.zeros(1), 0.0)
        else:
            try:
                times = sampled_times(medium.source, self.wish(medium, sampling))
            except SamplingError as error:
                raise SamplingError(error.reason, source=_name(medium.source)) from error
        blank = np.zeros((len(times.shown_at_s), 1, 1, 3), np.uint8)
        frames = Frames(blank, times.shown_at_s, end_s=times.end_s)
        if isinstance(medium, Image):
            return SeenMedium(None, frames, MediaUse(_name(medium.source), "image", 0.0, (0.0,)))
        return _read_video(None, medium, frames)

    def wish(self, medium: Image | Video, sampling: FrameSampling | None) -> FrameSampling:
        """Join the rule for frames with the window of the clip."""
        wish = sampling or self.default_sampling
        if isinstance(medium, Image):
            return wish
        in_window = medium.start_s is not None or medium.end_s is not None
        if wish == FrameSampling(num_frames=wish.num_frames):  # how many, and nothing else is asked for
            wish = replace(wish, rule=self.default_sampling.rule)
        if in_window:  # rules on frame numbers count frames of the whole clip
            wish = replace(wish, start_s=medium.start_s, end_s=medium.end_s, rule="time")
        return wish

    def clear(self) -> None:
        """Forget every medium."""
        self._cache.clear("frames")


def _read(
    key: Hashable,
    medium: Image | Video,
    wish: FrameSampling,
    limits: DecodeLimits | None,
    on_damage: Literal["raise", "warn"],
    *,
    isolated: bool,
) -> SeenMedium:
    try:
        if isinstance(medium, Image):
            return _read_image(key, medium, limits, isolated=isolated)
        frames = read_frames(medium.source, wish, isolated=isolated, on_damage=on_damage, limits=limits)
        return _read_video(key, medium, frames)
    except SamplingError as error:
        raise SamplingError(error.reason, source=_name(medium.source)) from error


def _read_image(key: Hashable, image: Image, limits: DecodeLimits | None, *, isolated: bool) -> SeenMedium:
    if isolated:
        frames = read_frames(image.source, FrameSampling(num_frames=1), isolated=True, limits=limits)
    else:
        frames = Frames(read_image(image.source, limits=limits)[np.newaxis], np.zeros(1))
    return SeenMedium(key, frames, MediaUse(_name(image.source), "image", 0.0, (0.0,)))


def _read_video(key: Hashable, video: Video, frames: Frames) -> SeenMedium:
    times_s = tuple(round(float(t), 6) for t in frames.shown_at_s)
    duration_s = frames.end_s if frames.end_s is not None else (times_s[-1] if times_s else 0.0)
    use = MediaUse(_name(video.source), "video", round(float(duration_s), 6), times_s, frames.missing_s)
    return SeenMedium(key, frames, use, _subtitles(video))


def _subtitles(video: Video) -> str:
    if video.subtitles == "off":
        return ""
    cues = read_subtitles(video.source, video.subtitles)
    return as_prompt(cues, video.start_s, video.end_s)


def _stamp(source: str | Path | bytes) -> Hashable:
    """Identify a file's present content without reading it; bytes by their hash."""
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=16).hexdigest()
    path = Path(source)
    if path.is_dir():
        return (str(path.resolve()), tuple(_file_stamp(p) for p in sorted(path.iterdir())))
    return (str(path.resolve()), _file_stamp(path))


def _file_stamp(path: Path) -> Hashable:
    if not path.exists():
        return None
    stat = path.stat()
    return (path.name, stat.st_size, stat.st_mtime_ns)


def _subtitle_stamp(medium: Image | Video) -> Hashable:
    if isinstance(medium, Image) or str(medium.subtitles) in ("off", "auto"):
        return None if isinstance(medium, Image) else str(medium.subtitles)
    return _stamp(medium.subtitles)


def _name(source: str | Path | bytes) -> str:
    return f"{len(source)} bytes" if isinstance(source, bytes) else str(source)
