"""What a shot is, what a shot detector is, and how transitions become shots.

>>> shots_between([Transition("cut", 4.0, 4.0, 1.0), Transition("gradual", 7.0, 8.0, 0.9)], 10.0)
(Shot(0.0 to 4.0, "start"), Shot(4.0 to 7.5, "cut"), Shot(7.5 to 10.0, "gradual"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from valley.registry import Registry
from valley.video.small_frames import SmallFrames

SHOT_DETECTORS = Registry("valley.video.shot_detectors", attribute="DETECTOR", kind="shot detector")

_SHORTEST_S = 0.1  # nobody cuts faster, and a detector that says so says it twice of one place

ReadBetween: TypeAlias = Callable[[int, int], SmallFrames]
"""Decodes each of the frames first ... last, by their position in shown order."""


@dataclass(frozen=True)
class Transition:
    """Where one shot becomes another.

    Attributes:
        kind: "cut", or "gradual" for dissolves, fades and wipes.
        start_s: when the first frame is shown that is no more of the one shot alone.
        end_s: when the first frame is shown that is of the other alone; of a cut the same.
        score: how sure the detector is, 0 to 1.
    """

    kind: Literal["cut", "gradual"]
    start_s: float
    end_s: float
    score: float

    @property
    def middle_s(self) -> float:
        """Where the one shot is taken to end and the other to begin."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True)
class Shot:
    """A shot: [start_s, end_s) in seconds from the first shown frame; the shots of a clip leave no gap.

    Attributes:
        start_s: where it begins; in the middle of a gradual transition.
        end_s: where it ends.
        transition: how it begins: "start" of the clip, "cut" or "gradual".
        score: how sure its beginning is, 0 to 1.
        transition_s: how long the transition lasts that it begins with: from start_s + transition_s / 2 on
            the picture is of this shot alone.
    """

    start_s: float
    end_s: float
    transition: Literal["start", "cut", "gradual"]
    score: float
    transition_s: float = 0.0


@runtime_checkable
class ShotDetector(Protocol):
    """One way to find shots; one module in `valley/video/shot_detectors` each.

    Attributes:
        name: the module's name.
        skips_unreferenced: it can do without the frames that no other leans on.
        picture_width_px: how wide the pictures are that it wants beside the coarse ones; None: none.
    """

    name: str
    skips_unreferenced: bool
    picture_width_px: int | None

    def detect(
        self, blocks: Iterator[SmallFrames], between: ReadBetween, *, frame_gap_s: float
    ) -> list[Transition]:
        """Find the transitions.

        Args:
            blocks: the clip, read while it is detected; all of it must be taken.
            between: reads a stretch again, every frame of it; only once `blocks` is at its end.
            frame_gap_s: usual time between two frames.
        """
        ...


def shots_between(transitions: Sequence[Transition], end_s: float) -> tuple[Shot, ...]:
    """Cut [0, end_s) at the transitions; of two at one place the surer holds."""
    kept: list[Transition] = []
    for transition in sorted(transitions, key=lambda t: t.middle_s):
        if not 0 < transition.middle_s < end_s:
            continue
        if kept and transition.middle_s - kept[-1].middle_s < _SHORTEST_S:
            kept[-1] = max(kept[-1], transition, key=lambda t: t.score)
        else:
            kept.append(transition)
    starts = [0.0, *(t.middle_s for t in kept)]
    ends = [*starts[1:], end_s]
    first = Shot(starts[0], ends[0], "start", 1.0)
    others = (
        Shot(start_s, shot_end_s, t.kind, t.score, t.end_s - t.start_s)
        for t, start_s, shot_end_s in zip(kept, starts[1:], ends[1:], strict=True)
    )
    return (first, *others)
