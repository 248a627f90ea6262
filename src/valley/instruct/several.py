"""Many conversations at once: what has come of them, and when no more are begun."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from valley.errors import BackendError
from valley.instruct.gateway.budget import BudgetSpentError
from valley.instruct.gateway.client import NotStoredError
from valley.instruct.planning import Wanted
from valley.instruct.records import failed
from valley.instruct.writing import Writer, Written

MOST_FAILURES = 20
"""So many conversations in a row without a reply: the server is gone."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: conversations written or given up.
        accepted: of these, so many.
        reasons: why the others were given up.
        num_billed: calls paid for so far.
        cost_pico: what they cost.
    """

    done: int
    accepted: int
    reasons: Counter[str]
    num_billed: int
    cost_pico: int


@dataclass
class Outcomes:
    """What has come of a run so far; `stopped`: why no more are begun."""

    written: list[Written] = field(default_factory=list)
    lost: list[Mapping[str, Any]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    num_billed: int = 0
    cost_pico: int = 0
    stopped: str = ""
    lost_in_a_row: int = 0

    def note(self, wanted: Wanted, outcome: Written | Exception) -> None:
        """Take what came of one conversation.

        Raises:
            BackendError: there were too many in a row without a reply.
        """
        if isinstance(outcome, BudgetSpentError):
            self.stopped = str(outcome)
        elif isinstance(outcome, Exception):
            clip_id = wanted.evidence.clip.id
            self.lost.append(failed(wanted.id, wanted.task.name, wanted.language, clip_id, str(outcome)))
            self.reasons["no_reply"] += 1
            self.lost_in_a_row += 1
            if self.lost_in_a_row >= MOST_FAILURES:
                raise outcome
        else:
            self.lost_in_a_row = 0
            self.written.append(outcome)
            self.num_billed += outcome.num_billed
            self.cost_pico += outcome.cost_pico
            if outcome.draft is None:
                self.reasons[outcome.tries[-1].reason] += 1

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        done = len(self.written) + len(self.lost)
        accepted = done - sum(self.reasons.values())
        return Progress(done, accepted, self.reasons, self.num_billed, self.cost_pico)


async def several(
    writer: Writer, wanted: Iterable[Wanted], concurrency: int, *, is_stopped: Callable[[], bool]
) -> AsyncGenerator[tuple[Wanted, Written | Exception], None]:
    """Write several at once; yield them as they come. What is begun when it is stopped is finished."""
    waiting = iter(wanted)
    running: dict[asyncio.Task[Written], Wanted] = {}
    try:
        while True:
            for one in islice(waiting, 0 if is_stopped() else concurrency - len(running)):
                running[asyncio.create_task(writer.write(one))] = one
            if not running:
                return
            ready, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in ready:
                yield running.pop(task), _outcome(task)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _outcome(task: asyncio.Task[Written]) -> Written | Exception:
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, BackendError | BudgetSpentError) and not isinstance(error, NotStoredError):
        return error
    raise error
