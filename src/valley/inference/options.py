"""The options of a question, as keyword arguments, sorted into the records that carry them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Literal

from typing_extensions import TypedDict

from valley.errors import ConfigError
from valley.inference.backend import GenerationParams
from valley.video.sampling import FrameSampling


class Options(TypedDict, total=False):
    """What may be said beside a question; every one has a sensible default.

    `system` is a text put before the conversation, `language` the BCP-47 tag of the language to answer in.
    Frames: `num_frames` from first to last, or `fps` with `num_frames` as the cap; or `sampling` for all
    else. A window belongs to its clip: `Video("a.mp4", start_s=12, end_s=40)`. The rest is described at
    `valley.inference.backend.GenerationParams`.
    """

    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    system: str | None
    language: str | None
    num_frames: int | None
    fps: float | None
    sampling: FrameSampling | None
    isolated: bool
    on_damage: Literal["raise", "warn"]


@dataclass(frozen=True)
class Request:
    """Options, sorted: what the engine is told, and what becomes part of the conversation."""

    params: GenerationParams
    system: str | None = None


_FRAME_OPTIONS = ("num_frames", "fps")
_DIRECT = ("max_new_tokens", "temperature", "top_p", "seed", "stop", "isolated", "on_damage")


def request_from(options: Options) -> Request:
    """Sort options.

    Raises:
        ConfigError: an option does not exist (the nearest is named) or its value is out of range.
        SamplingError: options about frames contradict each other.
    """
    given: dict[str, Any] = dict(options)
    known = list(Options.__annotations__)
    for name in given.keys() - set(known):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}? There are" if near else "; there are"
        raise ConfigError(f"no option is called {name!r}{hint}: {', '.join(sorted(known))}")
    frames = {name: given.get(name) for name in _FRAME_OPTIONS}
    sampling = given.get("sampling")
    if sampling is not None and any(v is not None for v in frames.values()):
        named = ", ".join(name for name, value in frames.items() if value is not None)
        raise ConfigError(f"want either sampling or {named}, got both")
    direct = {name: given[name] for name in _DIRECT if name in given}
    for name in direct.keys() & {"temperature", "top_p"}:
        direct[name] = float(direct[name])
    if frames["fps"] is not None:
        frames["fps"] = float(frames["fps"])
    params = GenerationParams(
        answer_language=given.get("language"),
        sampling=sampling or sampling_from(**frames),
        **direct,
    )
    return Request(params, given.get("system"))


def sampling_from(*, num_frames: int | None = None, fps: float | None = None) -> FrameSampling | None:
    """Make a rule for frames; None where nothing was asked, so that the checkpoint's own rule holds.

    With `fps`, `num_frames` is the cap.
    """
    if fps is not None:
        return FrameSampling(num_frames=None, fps=fps, max_frames=num_frames)
    return None if num_frames is None else FrameSampling(num_frames=num_frames)
