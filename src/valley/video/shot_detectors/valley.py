"""Cuts and gradual transitions by `valley.video.transitions`, from as few frames as will do.

What no other frame leans on is skipped at first. A clear cut between two frames that follow each other in the
clip needs no second look. Elsewhere all frames around are decoded: they tell the place, and motion from cuts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from valley.video.cuts import LEAST_SCORE, PROPOSING_RATIO, find_cuts
from valley.video.shots import ReadBetween, ShotDetector, Transition
from valley.video.small_frames import SmallFrames
from valley.video.transitions import FLASH_S, Found, find_transitions

_AROUND = 8  # frames on either side


class ValleyDetector:
    """Skips what it can, and looks again where there may be a cut."""

    name = "valley"
    skips_unreferenced = True
    picture_width_px: int | None = None

    def detect(
        self, blocks: Iterator[SmallFrames], between: ReadBetween, *, frame_gap_s: float
    ) -> list[Transition]:
        """Find the transitions; see `ShotDetector`."""
        transitions = []
        for found in find_transitions(blocks, least_ratio=PROPOSING_RATIO):
            is_clear = found.after - found.before == 1 and found.transition.score >= LEAST_SCORE
            if found.transition.kind == "gradual" or is_clear:
                transitions.append(found.transition)
            else:
                transitions += _confirmed(found, between, frame_gap_s)
        return transitions


def _confirmed(found: Found, between: ReadBetween, frame_gap_s: float) -> list[Transition]:
    frames = between(max(0, found.before - _AROUND), found.after + _AROUND)
    flash_frames = max(1, round(FLASH_S / max(frame_gap_s, 1e-3)))
    cuts = find_cuts(frames.planes.astype(np.int16), flash_frames=flash_frames)
    return [
        Transition("cut", float(frames.shown_at_s[c.index]), float(frames.shown_at_s[c.index]), c.score)
        for c in cuts
        if found.before < frames.numbers[c.index] <= found.after
    ]


DETECTOR: ShotDetector = ValleyDetector()
