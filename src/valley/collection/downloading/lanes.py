"""Whose turn it is: many hosts side by side, few connections to each, and pauses that hold up nobody else.

Knows no threads and no clock; who calls it says what time it is.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_Task = TypeVar("_Task")
_MANY = 1000


@dataclass
class _Lane(Generic[_Task]):
    """A host: who waits, how many are being served, from when on the next may start."""

    waiting: list[tuple[float, int, _Task]] = field(default_factory=list)
    num_active: int = 0
    open_at_s: float = 0.0
    ticket: int = -1


class Lanes(Generic[_Task]):
    """Waiting tasks by host."""

    def __init__(self, *, most_active: int, gap_s: float) -> None:
        """Begin with none.

        Args:
            most_active: of one host, at once.
            gap_s: from one start to the next at the same host.
        """
        self._most_active = most_active
        self._gap_s = gap_s
        self._lanes: dict[str, _Lane[_Task]] = {}
        self._count = itertools.count()
        # Lanes that could go on, by the time from which on; an entry whose ticket is old is none.
        self._ready: list[tuple[float, int, _Lane[_Task]]] = []
        self._now_s = 0.0
        self.num_waiting = 0

    def add(self, task: _Task, host: str, *, not_before_s: float = 0.0) -> None:
        """Let a task wait, in the order of coming, at most until a time."""
        lane = self._lanes.setdefault(host, _Lane())
        heapq.heappush(lane.waiting, (not_before_s, next(self._count), task))
        self.num_waiting += 1
        self._offer(lane)
        if len(self._lanes) > 2 * self.num_waiting + _MANY:
            self._forget_idle()

    def take(self, now_s: float) -> _Task | None:
        """Give a task that may start now; its host has one connection less until `done`."""
        self._now_s = now_s
        lane = self._first()
        if lane is None or self._ready[0][0] > now_s:
            return None
        _, _, task = heapq.heappop(lane.waiting)
        self.num_waiting -= 1
        lane.num_active += 1
        lane.open_at_s = now_s + self._gap_s
        self._offer(lane)
        return task

    def next_s(self) -> float | None:
        """Say from when on a task may start if no other ends before; None: none may."""
        return None if self._first() is None else self._ready[0][0]

    def done(self, host: str, *, now_s: float) -> None:
        """Give a connection back."""
        self._now_s = now_s
        lane = self._lanes[host]
        lane.num_active -= 1
        self._offer(lane)

    def pause(self, host: str, until_s: float) -> None:
        """Start nothing more at a host before a time."""
        lane = self._lanes.setdefault(host, _Lane())
        lane.open_at_s = max(lane.open_at_s, until_s)
        self._offer(lane)

    def _offer(self, lane: _Lane[_Task]) -> None:
        """Put a lane where it belongs among the others."""
        lane.ticket = next(self._count)
        if lane.waiting and lane.num_active < self._most_active:
            heapq.heappush(self._ready, (max(lane.open_at_s, lane.waiting[0][0]), lane.ticket, lane))

    def _forget_idle(self) -> None:
        """Keep few of a million hosts."""
        self._lanes = {
            host: lane
            for host, lane in self._lanes.items()
            if lane.waiting or lane.num_active or lane.open_at_s > self._now_s
        }

    def _first(self) -> _Lane[_Task] | None:
        while self._ready:
            _, ticket, lane = self._ready[0]
            if ticket == lane.ticket:
                return lane
            heapq.heappop(self._ready)
        return None
