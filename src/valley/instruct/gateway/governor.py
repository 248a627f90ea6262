"""The rate: how many requests and tokens go out, by what was promised and by what the server answers.

One bucket for requests and one for tokens run at the allowed rates. The number of calls in flight grows by
one a round trip and shrinks by a third when the server says that it is too much (additive increase,
multiplicative decrease: Chiu and Jain 1989). `Retry-After` holds for everybody.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Awaitable, Callable

DECREASE = 0.67
TOGETHER_S = 1.0
"""Refusals that come within this time are one message."""

MOST_PAUSE_S = 120.0


class Governor:
    """Lets calls go out one by one; one for each server."""

    def __init__(
        self,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        concurrency: int = 16,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Set the promised rates; None: none is known, and the server's answers alone tell."""
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self.most = concurrency
        self.limit = float(concurrency)
        self.in_flight = 0
        self.num_refused = 0
        self._clock, self._wait = clock, wait
        self._next_request_s = self._next_token_s = float("-inf")
        self._paused_until_s = self._shrunk_s = float("-inf")
        self._changed = asyncio.Condition()

    async def acquire(self, tokens: int) -> None:
        """Wait until a call of so many tokens may go out; `done` must follow."""
        async with self._changed:
            while self.in_flight >= max(1, int(self.limit)):
                await self._changed.wait()
            self.in_flight += 1
        try:
            at_s = self._book(tokens)
            while (delay_s := max(at_s, self._paused_until_s) - self._clock()) > 0:
                await self._wait(delay_s)
        except BaseException:
            self.in_flight -= 1
            raise

    def _book(self, tokens: int) -> float:
        """Take the next moment that both buckets allow."""
        at_s = max(self._clock(), self._next_request_s, self._next_token_s)
        if self.requests_per_minute:
            self._next_request_s = at_s + 60.0 / self.requests_per_minute
        if self.tokens_per_minute:
            self._next_token_s = at_s + 60.0 * tokens / self.tokens_per_minute
        return at_s

    async def done(self, *, too_much: bool = False, pause_s: float = 0.0) -> None:
        """Say that a call has ended, and whether the server said that it was too much."""
        async with self._changed:
            self.in_flight -= 1
            now_s = self._clock()
            if too_much:
                self.num_refused += 1
                if now_s - self._shrunk_s > TOGETHER_S:
                    self.limit = max(1.0, self.limit * DECREASE)
                    self._shrunk_s = now_s
                self._paused_until_s = max(self._paused_until_s, now_s + min(pause_s, MOST_PAUSE_S))
            else:
                self.limit = min(float(self.most), self.limit + 1.0 / max(self.limit, 1.0))
            self._changed.notify_all()


def retry_after_s(value: str | None, *, now: Callable[[], float] = time.time) -> float | None:
    """Read a Retry-After header: seconds or a date; None where there is none that can be read."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now())
    except (TypeError, ValueError):
        return None
