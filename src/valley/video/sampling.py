"""Which frames of a clip to look at: pure functions of the frames' times; knows nothing of files.

`FrameSampling(num_frames=8)` on a clip of 509 frames at 25 fps chooses frames 0, 72, 145, 217, ... 508.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from valley.errors import SamplingError

Rule: TypeAlias = Literal["time", "frame-number", "valley-2023", "valley-2023-fps"]
# `float | int` in signatures: run-time type checks take 1 for no float.
Times: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]

DEFAULT_NUM_FRAMES = 8  # what Valley was trained with in 2023
# Two times closer than this are one: a time stamp of 1/90000 s is far coarser, a float's rounding far finer.
SAME_TIME_S = 1e-6


@dataclass(frozen=True)
class FrameSampling:
    """A wish for frames; options that contradict each other are refused.

    Attributes:
        num_frames: this many, spread evenly in time from the first frame to the last; 8 where no other option
            says how many. Beside `fps` or `keyframes` it is the cap, like `max_frames`.
        fps: frames per second of clip.
        max_frames: cap; where more would be chosen, this many spread evenly.
        start_s: beginning of the window, seconds from the first shown frame.
        end_s: end of the window (inclusive).
        times_s: these times, increasing: for each, the frame on display then.
        keyframes: frames that decode on their own.
        max_visual_tokens: cap by budget; needs `tokens_per_frame`.
        tokens_per_frame: visual tokens that each further frame costs.
        tokens_per_clip: visual tokens that a clip costs whatever its number of frames.
        rule: "time", or a rule on frame numbers: "frame-number" (`num_frames` of linspace(0, n - 1) cut to
            integers, each once), the published Valley's "valley-2023" (the same, but short clips repeat
            frames) and "valley-2023-fps" (every int(round(average fps) / fps)-th frame).

    Raises:
        SamplingError: the options contradict each other.
    """

    num_frames: int | None = None
    fps: float | int | None = None
    max_frames: int | None = None
    start_s: float | int | None = None
    end_s: float | int | None = None
    times_s: tuple[float | int, ...] | None = None
    keyframes: bool = False
    max_visual_tokens: int | None = None
    tokens_per_frame: int | None = None
    tokens_per_clip: int = 0
    rule: Rule = "time"

    def __post_init__(self) -> None:
        self._refuse_bad_numbers()
        ways = [n for n in ("fps", "times_s", "keyframes") if getattr(self, n) not in (None, False)]
        if len(ways) > 1:
            raise SamplingError(
                f"{' and '.join(ways)} contradict each other: each says which frames; give one"
            )
        self._refuse_bad_rule()
        if self.times_s is not None:
            self._refuse_bad_times()
        if (self.max_visual_tokens is None) != (self.tokens_per_frame is None):
            raise SamplingError(
                "max_visual_tokens and tokens_per_frame need each other: give both or neither"
            )
        if not ways and self.num_frames is None:
            object.__setattr__(self, "num_frames", DEFAULT_NUM_FRAMES)
        _ = self.cap

    def _refuse_bad_numbers(self) -> None:
        for name in ("num_frames", "max_frames", "max_visual_tokens", "tokens_per_frame"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SamplingError(f"{name} must be at least 1, got {value}")
        if self.fps is not None and not (self.fps > 0 and np.isfinite(self.fps)):
            raise SamplingError(f"fps must be above 0, got {self.fps}")
        for name in ("start_s", "end_s"):
            value = getattr(self, name)
            if value is not None and not (value >= 0 and np.isfinite(value)):
                raise SamplingError(f"{name} must be 0 or more seconds, got {value}")
        if self.start_s is not None and self.end_s is not None and self.end_s < self.start_s:
            raise SamplingError(f"end_s {self.end_s} lies before start_s {self.start_s}")

    def _refuse_bad_rule(self) -> None:
        if self.rule == "time":
            return
        others = [
            n for n in ("times_s", "keyframes", "start_s", "end_s") if getattr(self, n) not in (None, False)
        ]
        if self.rule in ("frame-number", "valley-2023") and self.fps is not None:
            others.append("fps")
        if others:
            raise SamplingError(
                f"rule {self.rule!r} counts frames of the whole clip: leave out {', '.join(others)}"
            )
        if self.rule == "valley-2023-fps" and self.fps is None:
            raise SamplingError("rule 'valley-2023-fps' needs fps")

    def _refuse_bad_times(self) -> None:
        others = [n for n in ("num_frames", "max_frames", "start_s", "end_s") if getattr(self, n) is not None]
        if others:
            raise SamplingError(f"times_s names every frame: leave out {', '.join(others)}")
        times = np.asarray(self.times_s, dtype=np.float64)
        if not len(times) or not np.isfinite(times).all() or (times < 0).any() or (np.diff(times) < 0).any():
            raise SamplingError(f"times_s must be increasing seconds from 0, got {self.times_s}")

    @property
    def cap(self) -> int | None:
        """The most frames that may be chosen, by count and by token budget.

        Raises:
            SamplingError: the budget does not pay for one frame.
        """
        caps = [c for c in (self.num_frames, self.max_frames) if c is not None]
        if self.max_visual_tokens is not None and self.tokens_per_frame is not None:
            affordable = (self.max_visual_tokens - self.tokens_per_clip) // self.tokens_per_frame
            if affordable < 1:
                raise SamplingError(
                    f"max_visual_tokens {self.max_visual_tokens} does not pay for one frame: a clip costs "
                    f"{self.tokens_per_clip} and a frame {self.tokens_per_frame}"
                )
            caps.append(affordable)
        return min(caps, default=None)


def choose(
    sampling: FrameSampling,
    shown_at_s: Times,
    keyframe: NDArray[np.bool_] | None = None,
    *,
    average_fps: float | int | None = None,
    end_s: float | int | None = None,
) -> Indices:
    """Choose frames by their times.

    Args:
        sampling: the wish.
        shown_at_s: f64 [n], increasing, seconds from the first shown frame.
        keyframe: bool [n], which frames decode on their own; needed for `keyframes`.
        average_fps: as the container tells it, for the rule "valley-2023-fps"; else taken from the times.
        end_s: when the last frame goes off display; else one typical gap after the last frame.

    Returns:
        Positions, strictly increasing (rule "valley-2023" repeats frames of clips that are too short).

    Raises:
        SamplingError: no frames, or a window or time outside the clip.
    """
    times = np.asarray(shown_at_s, dtype=np.float64)
    if not len(times):
        raise SamplingError("want frames of a clip that has none")
    if sampling.rule != "time":
        return _by_number(sampling, times, average_fps)
    last_end_s = max(_end_of(times), end_s or 0.0)
    if sampling.times_s is not None:
        return _cap(_at_times(sampling.times_s, times, last_end_s), times, sampling.cap)
    window = _window(sampling, times, last_end_s)
    if sampling.keyframes:
        chosen = _keyframes(window, times, keyframe)
    elif sampling.fps is not None:
        chosen = _per_second(sampling, window, times)
    else:
        chosen = window
    return _cap(chosen, times, sampling.cap)


def _end_of(times: Times) -> float:
    gap_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return float(times[-1]) + gap_s


def _on_display(targets_s: Any, times: Times) -> Indices:  # noqa: ANN401
    """Position of the frame on display at each target: the last one shown at or before it."""
    found = np.searchsorted(times, np.asarray(targets_s, dtype=np.float64) + SAME_TIME_S, side="right") - 1
    return np.clip(found, 0, len(times) - 1).astype(np.int64)


def _window(sampling: FrameSampling, times: Times, last_end_s: float) -> Indices:
    start_s = 0.0 if sampling.start_s is None else sampling.start_s
    end_s = np.inf if sampling.end_s is None else sampling.end_s
    if start_s > last_end_s:
        raise SamplingError(f"start_s {start_s:g} lies outside the clip, which ends at {last_end_s:.3f} s")
    inside = np.flatnonzero((times >= start_s - SAME_TIME_S) & (times <= end_s + SAME_TIME_S))
    return inside.astype(np.int64) if len(inside) else _on_display([start_s], times)


def _at_times(wanted_s: tuple[float | int, ...], times: Times, last_end_s: float) -> Indices:
    outside = [t for t in wanted_s if t > last_end_s + SAME_TIME_S]
    if outside:
        raise SamplingError(f"times_s {outside} lie outside the clip, which ends at {last_end_s:.3f} s")
    return np.unique(_on_display(wanted_s, times))


def _keyframes(window: Indices, times: Times, keyframe: NDArray[np.bool_] | None) -> Indices:
    if keyframe is None or keyframe.shape != times.shape:
        raise SamplingError("keyframes needs a clip that tells which frames are keyframes")
    chosen = window[keyframe[window]]
    if not len(chosen):
        raise SamplingError(f"no keyframe between {times[window[0]]:.3f} s and {times[window[-1]]:.3f} s")
    return chosen


def _per_second(sampling: FrameSampling, window: Indices, times: Times) -> Indices:
    assert sampling.fps is not None
    inside = times[window]
    first_s = inside[0] if sampling.start_s is None else max(sampling.start_s, 0.0)
    count = int(np.floor((inside[-1] - first_s) * sampling.fps + SAME_TIME_S)) + 1
    if count >= len(window) and sampling.fps * np.diff(inside, prepend=0.0).min(initial=np.inf) >= 1:
        return window
    targets = first_s + np.arange(min(max(count, 1), _MOST_TARGETS)) / sampling.fps
    return window[np.unique(_on_display(targets, inside))]


_MOST_TARGETS = (
    10_000_000  # bounds the array of target times: an absurd fps gives every frame long before this
)


def _cap(chosen: Indices, times: Times, cap: int | None) -> Indices:
    """Thin to at most `cap`, spread evenly in time from the first to the last; never fewer than possible."""
    if cap is None or len(chosen) <= cap:
        return chosen
    if cap == 1:
        return chosen[:1]
    inside = times[chosen]
    picked = _on_display(np.linspace(inside[0], inside[-1], cap), inside)
    picked[-1] = len(chosen) - 1
    # Where frames are sparse two targets meet the same frame: take its neighbours, so that the count holds.
    steps = np.arange(cap)
    picked = np.maximum.accumulate(picked - steps) + steps
    picked = np.minimum(picked, len(chosen) - cap + steps)
    return chosen[picked]


def _by_number(sampling: FrameSampling, times: Times, average_fps: float | int | None) -> Indices:
    if sampling.rule in ("frame-number", "valley-2023"):
        chosen = np.linspace(0, len(times) - 1, sampling.cap or DEFAULT_NUM_FRAMES).astype(np.int64)
        return chosen if sampling.rule == "valley-2023" else np.unique(chosen)
    assert sampling.fps is not None
    rate = average_fps or (1 / (_end_of(times) / len(times)) if _end_of(times) > 0 else 1.0)
    step = int(round(rate) / sampling.fps)
    if step < 1:
        raise SamplingError(
            f"rule 'valley-2023-fps' cannot give {sampling.fps:g} fps of a clip with {rate:g} fps"
        )
    chosen = np.arange(0, len(times), step, dtype=np.int64)
    return chosen if sampling.cap is None else chosen[: sampling.cap]
