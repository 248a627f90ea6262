"""Cuts and gradual transitions by `valley.video.transitions`, from every frame of the clip."""

from __future__ import annotations

from collections.abc import Iterator

from valley.video.shots import ReadBetween, ShotDetector, Transition
from valley.video.small_frames import SmallFrames
from valley.video.transitions import find_transitions


class FullDetector:
    """Looks at every frame."""

    name = "valley_full"
    skips_unreferenced = False
    picture_width_px: int | None = None

    def detect(
        self, blocks: Iterator[SmallFrames], between: ReadBetween, *, frame_gap_s: float
    ) -> list[Transition]:
        """Find the transitions; see `ShotDetector`."""
        del between, frame_gap_s
        return [found.transition for found in find_transitions(blocks)]


DETECTOR: ShotDetector = FullDetector()
