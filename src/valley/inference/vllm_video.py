"""Clips for vLLM: read by Valley's own decoder, in a child process, with true times and the model's sampling.

vLLM takes this reader for every checkpoint whose `video_preprocessor_config.json` names Valley's processor.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from numpy.typing import NDArray
from vllm.multimodal.video import VIDEO_LOADER_REGISTRY, VideoBackend

from valley.errors import ValleyError
from valley.video.decoding import UNTRUSTED, read_frames
from valley.video.sampling import FrameSampling

# What vLLM hands over where nobody asked for a number of frames.
UNASKED_NUM_FRAMES = 32


@VIDEO_LOADER_REGISTRY.register("valley", video_processor="ValleyVideoProcessor")
class ValleyVideoBackend(VideoBackend):
    """Frames as the served model wants them; `--media-io-kwargs` and a request's own settings go first.

    Attributes:
        own_sampling: how the served model samples, such as ``{"num_frames": 8}``; set when it is loaded.
    """

    own_sampling: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def load_bytes(
        cls,
        data: bytes,
        num_frames: int = -1,
        fps: float = -1,
        max_duration: float | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        **_: object,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Decode and sample one clip.

        Args:
            data: the file.
            num_frames: this many, spread evenly; 32 or -1: as the model samples.
            fps: frames per second of clip; then `num_frames`, where asked for, is the cap.
            max_duration: seconds that a clip may last; two hours unless given.
            start_s: beginning of a window.
            end_s: end of the window.

        Raises:
            ValueError: the clip cannot be read, or is too long; vLLM answers with status 400.
        """
        asked = num_frames > 0 and num_frames != UNASKED_NUM_FRAMES
        wish: dict[str, Any] = {"start_s": start_s, "end_s": end_s}
        if fps > 0:
            wish |= {"fps": fps, "max_frames": num_frames if num_frames > 0 else None}
        elif asked:
            wish |= {"num_frames": num_frames}
        else:
            wish = {**cls.own_sampling, **{name: value for name, value in wish.items() if value is not None}}
            if wish.keys() & {"start_s", "end_s"}:
                wish.pop("rule", None)
        limits = UNTRUSTED if max_duration is None else replace(UNTRUSTED, max_duration_s=max_duration)
        try:
            frames = read_frames(data, FrameSampling(**wish), limits=limits, isolated=True)
        except ValleyError as error:
            raise ValueError(str(error)) from error
        times_s = frames.shown_at_s.tolist()
        numbers = frames.frame_numbers
        return frames.pixels, {
            "total_num_frames": len(frames),
            "fps": None,
            "duration": frames.end_s,
            "video_backend": "valley",
            "frames_indices": list(range(len(frames))) if numbers is None else numbers.tolist(),
            "timestamps_s": times_s,
            "do_sample_frames": False,
        }
