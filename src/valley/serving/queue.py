"""The bounded queue: so many answers run, so many requests wait, the next is told when to come back."""

from __future__ import annotations

import asyncio
import math
import time

from valley.serving.errors import RequestError

_NEWEST_SHARE = 0.2  # of the newest answer in the mean of service times
_LONGEST_RETRY_S = 60


class WaitingLine:
    """Counts places; one event loop alone uses it."""

    def __init__(self, *, running: int, waiting: int) -> None:
        """Let so many run, and so many more wait."""
        self._running_most = running
        self._places = running + waiting
        self._slots = asyncio.Semaphore(running)
        self._mean_s = 1.0
        self.inside = 0
        self.running = 0

    @property
    def waiting(self) -> int:
        """Count those that do not run yet."""
        return self.inside - self.running

    def enter(self) -> Place:
        """Take a place.

        Raises:
            RequestError: 429, all are taken.
        """
        if self.inside >= self._places:
            raise RequestError(
                f"{self.running} answers are being made and {self.waiting} requests wait: come back later",
                status=429,
                code="queue_full",
                retry_after_s=self.retry_after_s(),
            )
        self.inside += 1
        return Place(self)

    def retry_after_s(self) -> int:
        """Guess when a place will be free, from how long answers took lately."""
        ahead = self.waiting + 1
        return min(max(math.ceil(self._mean_s * ahead / self._running_most), 1), _LONGEST_RETRY_S)

    async def acquire(self) -> None:
        """Wait for the turn to run."""
        await self._slots.acquire()
        self.running += 1

    def release(self, took_s: float) -> None:
        """Let the next one run."""
        self.running -= 1
        self._mean_s += _NEWEST_SHARE * (took_s - self._mean_s)
        self._slots.release()

    def leave(self) -> None:
        """Give a place back."""
        self.inside -= 1


class Place:
    """One request's place; `leave` may be called more than once."""

    def __init__(self, line: WaitingLine) -> None:
        self._line = line
        self._started_s: float | None = None
        self._left = False

    async def run(self) -> None:
        """Wait for the turn."""
        await self._line.acquire()
        self._started_s = time.monotonic()

    def leave(self) -> None:
        """Give back the place, and the turn if it had come."""
        if self._left:
            return
        self._left = True
        if self._started_s is not None:
            self._line.release(time.monotonic() - self._started_s)
        self._line.leave()
