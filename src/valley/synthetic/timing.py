"""When the frames of a clip are sampled, and the times of a shot that eight frames can tell apart.

Every label of a drawn scene must be visible in the frames that the default sampler reads, so the begin and
the end of what happens are placed between those frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DEFAULT_FRAMES = 8


def sampled_times(num_frames: int, fps: float, count: int = DEFAULT_FRAMES) -> list[float]:
    """Give the times of `count` frames from the first to the last, as the uniform sampler reads them."""
    numbers = np.linspace(0, num_frames - 1, min(count, num_frames)).tolist()
    # the frame on display at a wished time is the last one that has begun; a hair against rounding
    return [int(n + 1e-6) / fps for n in numbers]


@dataclass(frozen=True)
class ShotTimes:
    """The sampled frames that fall into a shot: `seen_s` are their times, from the begin of the shot."""

    duration_s: float
    seen_s: tuple[float, ...]

    @property
    def step_s(self) -> float:
        """Time between two sampled frames."""
        return (self.seen_s[-1] - self.seen_s[0]) / (len(self.seen_s) - 1)

    def after(self, number: int, rng: np.random.Generator) -> float:
        """Draw a time shortly after sampled frame `number`: what begins then is seen at the next frame."""
        return self.seen_s[number] + 0.2 * self.step_s * rng.random()

    def before(self, number: int, rng: np.random.Generator) -> float:
        """Draw a time shortly before sampled frame `number`, which then is the first to show a change."""
        return self.seen_s[number] - (0.1 + 0.3 * rng.random()) * self.step_s

    def between(self, first: int, last: int, rng: np.random.Generator) -> int:
        """Draw the number of a sampled frame, both ends included."""
        return int(rng.integers(first, last + 1))
