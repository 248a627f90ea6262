"""ValleyVideoProcessor: clips to pixels with true times, without torchvision.

Files are decoded by `valley.video`, which is imported only when a path is given; arrays need nothing.
"""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from transformers import BatchFeature
from transformers.utils.hub import cached_file

from .errors_valley import PromptError
from .pixel_settings import PixelSettings, rgb_array
from .remote_code import VIDEO_PROCESSOR_AUTO_MAP

logger = logging.getLogger(__name__)

SETTINGS_NAME = "video_preprocessor_config.json"
SAMPLING_OPTIONS = (
    "num_frames",
    "fps",
    "max_frames",
    "start_s",
    "end_s",
    "times_s",
    "keyframes",
    "max_visual_tokens",
    "tokens_per_frame",
    "tokens_per_clip",
    "rule",
)


@runtime_checkable
class TimedFrames(Protocol):
    """Frames that carry their times, such as `valley.video.frames.Frames`, which is not imported here."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """u8[frame, H, W, 3]."""
        ...

    @property
    def shown_at_s(self) -> NDArray[np.float64]:
        """f64[frame], seconds since the clip's first frame."""
        ...


@dataclass(frozen=True, eq=False)
class Clip:
    """The frames of one clip that are shown to the model.

    Attributes:
        pixels: u8[frame, H, W, 3].
        shown_at_s: f64[frame], seconds since the clip's first frame.
        source: the file's path, or "array".
    """

    pixels: NDArray[np.uint8]
    shown_at_s: NDArray[np.float64]
    source: str = "array"

    def __post_init__(self) -> None:
        """Refuse what does not fit.

        Raises:
            PromptError: not u8[frame, H, W, 3], no frames, or another number of times than of frames.
        """
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[-1] != 3:
            raise PromptError(
                f"{self.source}: want frames u8[frame, H, W, 3], got {self.pixels.dtype} {self.pixels.shape}"
            )
        if not 0 < len(self.pixels) == len(self.shown_at_s):
            raise PromptError(
                f"{self.source}: want one time for each frame, got {len(self.pixels)} frames and "
                f"{len(self.shown_at_s)} times"
            )


class ValleyVideoProcessor:
    """Turn clips into `pixel_values_videos`; a plain class, so that no torchvision is asked for."""

    model_input_names: ClassVar[list[str]] = ["pixel_values_videos", "video_frame_mask", "video_timestamps"]

    def __init__(self, settings: Mapping[str, Any], sampling: Mapping[str, Any] | None = None) -> None:
        """Take the pixel settings, and the sampling options that hold unless the caller gives others."""
        self.settings = PixelSettings.from_dict(settings)
        self.sampling = dict(sampling or {})
        # vLLM hands over the metadata of a clip it has decoded only where this is true.
        self.do_sample_frames = True

    def to_dict(self) -> dict[str, Any]:
        """Write the settings for processor_config.json and video_preprocessor_config.json."""
        return {
            "video_processor_type": type(self).__name__,
            "auto_map": dict(VIDEO_PROCESSOR_AUTO_MAP),
            **self.settings.to_dict(),
            **self.sampling,
            "do_sample_frames": self.do_sample_frames,
        }

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], **_: object) -> ValleyVideoProcessor:
        """Make one from what `to_dict` wrote."""
        sampling = {name: settings[name] for name in SAMPLING_OPTIONS if settings.get(name) is not None}
        return cls(settings, sampling)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        **kwargs: Any,  # noqa: ANN401
    ) -> ValleyVideoProcessor:
        """Read one from a checkpoint's folder or hub id, as AutoVideoProcessor asks for it.

        Raises:
            PromptError: there is no file with its settings.
        """
        hub = {n: kwargs[n] for n in ("cache_dir", "revision", "token", "local_files_only") if n in kwargs}
        path = cached_file(str(pretrained_model_name_or_path), SETTINGS_NAME, **hub)
        if path is None:
            raise PromptError(f"{pretrained_model_name_or_path}: want {SETTINGS_NAME}, got none")
        return cls.from_dict(json.loads(Path(path).read_text("utf-8")))

    def save_pretrained(self, save_directory: str | Path, **_: object) -> None:
        """Write the settings where AutoVideoProcessor and vLLM look for them."""
        path = Path(save_directory) / SETTINGS_NAME
        path.write_text(json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n", "utf-8")

    def fetch(
        self,
        video: Any,  # noqa: ANN401
        options: Mapping[str, Any] | None = None,
        metadata: Any = None,  # noqa: ANN401
    ) -> Clip:
        """Read one clip.

        Args:
            video: path or bytes (decoded and sampled as the options say); `valley.video.frames.Frames`,
                u8[frame, H, W, 3] or a list of pictures (taken as they are, unless `do_sample_frames`); or a
                pair of frames and metadata.
            options: sampling options of this call, over the processor's own.
            metadata: what is known of frames without times: `fps`, `frames_indices`, `timestamps_s`.

        Raises:
            MediaError: the file cannot be read.
            PromptError: the frames are no frames.
        """
        given = dict(options or {})
        if isinstance(video, (str, Path, bytes)):
            return self._decoded(video, given)
        if isinstance(video, tuple) and len(video) == 2 and not isinstance(video[1], np.ndarray):
            video, metadata = video
        clip = as_clip(video, metadata)
        return _sampled(clip, self._wish(given)) if given.get("do_sample_frames") else clip

    def _wish(self, given: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Make a FrameSampling; one way of choosing frames replaces the processor's own way."""
        sampling = importlib.import_module("valley.video.sampling")
        chosen = {name: given[name] for name in SAMPLING_OPTIONS if given.get(name) is not None}
        own = dict(self.sampling)
        if chosen.keys() & {"num_frames", "fps", "times_s", "keyframes", "max_frames"}:
            own = {name: value for name, value in own.items() if name == "rule"}
        if chosen.keys() & {"fps", "times_s", "keyframes", "start_s", "end_s"}:
            own.pop("rule", None)  # rules on frame numbers count frames of the whole clip
        return sampling.FrameSampling(**{**own, **chosen})

    def _decoded(self, source: str | Path | bytes, given: Mapping[str, Any]) -> Clip:
        decoding = importlib.import_module("valley.video.decoding")
        extra = {name: given[name] for name in ("limits", "on_damage", "isolated") if name in given}
        frames = decoding.read_frames(source, self._wish(given), **extra)
        name = f"{len(source)} bytes" if isinstance(source, bytes) else str(source)
        return Clip(frames.pixels, frames.shown_at_s, name)

    def pixels(self, clip: Clip) -> NDArray[np.float32]:
        """Turn a clip into f32[frame, 3, h, w]."""
        return self.settings(clip.pixels)

    def batch(self, clips: Sequence[Clip]) -> dict[str, NDArray[Any]]:
        """Stack clips of different length, padded at the end.

        Returns:
            pixel_values_videos f32[video, frame, 3, h, w], video_frame_mask bool[video, frame] and
            video_timestamps f32[video, frame] (0 in the padding).
        """
        num_frames = max(len(clip.pixels) for clip in clips)
        shape = (len(clips), num_frames)
        pixels = np.zeros((*shape, 3, *self.settings.output_size_px), dtype=np.float32)
        mask, times = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.float32)
        for i, clip in enumerate(clips):
            real = len(clip.pixels)
            pixels[i, :real], mask[i, :real], times[i, :real] = self.pixels(clip), True, clip.shown_at_s
        return {"pixel_values_videos": pixels, "video_frame_mask": mask, "video_timestamps": times}

    def __call__(
        self,
        videos: Any,  # noqa: ANN401
        return_tensors: str | None = None,
        video_metadata: Sequence[Any] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> BatchFeature:
        """Turn several clips into the model's inputs, as Hugging Face's video processors do."""
        metadata = video_metadata if video_metadata is not None else [None] * len(videos)
        clips = [self.fetch(v, options, m) for v, m in zip(videos, metadata, strict=True)]
        return BatchFeature(self.batch(clips), tensor_type=return_tensors)


def clips_apart(inputs: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Take a batch's clips apart again: one entry a clip, without padding, independent of the others."""
    masks = inputs.get("video_frame_mask")
    if masks is None:
        return {}
    return {
        name: [clip[mask] for clip, mask in zip(inputs[name], masks, strict=True)]
        for name in ("pixel_values_videos", "video_timestamps")
    }


def as_clip(video: Any, metadata: Any = None) -> Clip:  # noqa: ANN401
    """Take frames that are in memory already.

    Raises:
        PromptError: they are no frames.
    """
    if isinstance(video, TimedFrames):
        return Clip(np.asarray(video.pixels), np.asarray(video.shown_at_s, dtype=np.float64))
    try:
        pixels = np.stack([rgb_array(frame) for frame in video])
    except (ValueError, TypeError) as error:
        raise PromptError(f"want a clip as u8[frame, H, W, 3] or pictures of one size: {error}") from error
    return Clip(pixels, _times(len(pixels), metadata))


def _times(num_frames: int, metadata: Any) -> NDArray[np.float64]:  # noqa: ANN401
    known: dict[str, Any] = {}
    if metadata is not None:
        known = dict(metadata) if isinstance(metadata, Mapping) else dict(vars(metadata))
    if known.get("timestamps_s") is not None:
        return np.asarray(known["timestamps_s"], dtype=np.float64)
    numbers = known.get("frames_indices")
    numbers = np.arange(num_frames) if numbers is None else np.asarray(numbers)
    if known.get("fps"):
        return numbers.astype(np.float64) / float(known["fps"])
    logger.debug("frames come without times; they are taken to be one second apart")
    return np.arange(num_frames, dtype=np.float64)


def _sampled(clip: Clip, wish: Any) -> Clip:  # noqa: ANN401
    sampling = importlib.import_module("valley.video.sampling")
    chosen = sampling.choose(wish, clip.shown_at_s)
    return Clip(clip.pixels[chosen], clip.shown_at_s[chosen], clip.source)


__all__ = ["SAMPLING_OPTIONS", "Clip", "ValleyVideoProcessor", "as_clip", "clips_apart"]
