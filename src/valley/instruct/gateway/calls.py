"""What is kept of calls: an intent before each is sent, the raw reply before anybody reads it.

An attempt whose intent has neither a reply nor a note that it cost nothing has an unknown outcome: the
gateway or the connection died while it was under way, and the server may have charged for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valley.journal import Journal

NAME, VERSION = "calls", 1
INTENT, REPLY, VOID = "i", "r", "v"


@dataclass(frozen=True)
class Attempt:
    """One sending of a request.

    Attributes:
        key: the request's.
        number: from 1.
    """

    key: str
    number: int

    def name(self, kind: str) -> str:
        """Name a line about the attempt."""
        return f"{self.key}.{self.number}.{kind}"


class Calls:
    """The store of one gateway; lines are durable when the coroutines that wrote them return."""

    def __init__(self, folder: Path) -> None:
        """Open the store and find out what is in it."""
        self._journal = Journal(folder, NAME, VERSION)
        self._replies: dict[str, str] = {}
        self._attempts: dict[str, int] = {}
        self._open: dict[str, None] = {}
        names = self._journal.keys()
        for name in names:
            self._note(name)
        self._waiting: list[asyncio.Future[None]] = []
        self._committer: asyncio.Task[None] | None = None

    def _note(self, name: str) -> None:
        key, number, kind = name.rsplit(".", 2)
        if kind == INTENT:
            self._attempts[key] = max(self._attempts.get(key, 0), int(number))
            self._open[name] = None
            return
        self._open.pop(f"{key}.{number}.{INTENT}", None)
        if kind == REPLY:
            self._replies.setdefault(key, name)

    def __contains__(self, key: str) -> bool:
        """Whether there is a reply to the request."""
        return key in self._replies

    def reply(self, key: str) -> dict[str, Any] | None:
        """Give the reply to a request, as it was recorded."""
        name = self._replies.get(key)
        return None if name is None else self._journal.get(name)

    def replies(self) -> Iterator[dict[str, Any]]:
        """Yield all replies."""
        for name in self._replies.values():
            record = self._journal.get(name)
            assert record is not None, name
            yield record

    def unknown(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the intents whose outcome is unknown, each with its name."""
        for name in self._open:
            record = self._journal.get(name)
            assert record is not None, name
            yield name, record

    def next_attempt(self, key: str) -> Attempt:
        """Number the next attempt at a request."""
        self._attempts[key] = self._attempts.get(key, 0) + 1
        return Attempt(key, self._attempts[key])

    async def write(self, attempt: Attempt, kind: str, record: dict[str, Any]) -> None:
        """Write a line, and return when it is on the disk."""
        name = attempt.name(kind)
        self._journal.append(name, record)
        self._note(name)
        waits = asyncio.get_running_loop().create_future()
        self._waiting.append(waits)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit())
        await waits

    async def _commit(self) -> None:
        """Bring what waits to the disk, as many lines at once as came meanwhile."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            error = await asyncio.to_thread(_failure, self._journal.flush)
            for future in waiting:
                if future.cancelled():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

    def close(self) -> None:
        """Write what is left and close the file."""
        self._journal.close()


def _failure(flush: Callable[[], None]) -> OSError | None:
    try:
        flush()
    except OSError as error:
        return error
    return None
