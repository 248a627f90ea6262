"""Fetch many media at once into a collection: politely, under bounds, going on where an earlier run ended.

Bytes come into `partial/<hash of the key>.part` and move to `blobs/ab/<sha256>.<suffix>` once all of them are
there and on the disk. What is fetched is the caller's to write down, and not to ask for again.

A fault of a medium is an outcome with a reason. A full disk is none: it raises OSError, and so does whatever
else would meet all of them alike.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from valley.collection.downloading.asking import FetchRequest, Surroundings
from valley.collection.downloading.lanes import Lanes
from valley.collection.downloading.limits import FetchLimits
from valley.collection.downloading.page_video import SCHEME, parse_section
from valley.collection.downloading.retrying import AgainError, as_outcomes, pause_s
from valley.collection.downloading.transfer import HttpTransfer
from valley.collection.downloading.trying import Tries
from valley.collection.executor import Outcome, RefusedError
from valley.fetching.addresses import host_of, parse_url
from valley.fetching.connecting import Connections, make_pool

__all__ = ["FetchLimits", "FetchRequest", "Fetcher", "Surroundings"]

MOST_WAITING = 4096
"""Requests known at a time: so far is looked ahead for hosts that have a connection free."""

_AT_ONCE = 16


@dataclass
class _Task:
    request: FetchRequest
    host: str
    attempts: int = 0


_Done: TypeAlias = "tuple[_Task, Future[dict[str, Any]]]"


class Fetcher:
    """Fetches media into one collection."""

    def __init__(
        self,
        corpus: Path,
        limits: FetchLimits | None = None,
        *,
        surroundings: Surroundings | None = None,
    ) -> None:
        """Prepare; nothing is asked before `fetch_all`.

        Args:
            corpus: the collection's folder.
            limits: the bounds.
            surroundings: another network, clock or program.
        """
        self.corpus = corpus
        self.limits = limits or FetchLimits()
        self._surroundings = surroundings or Surroundings()
        self._stopped = threading.Event()
        self._run: _Run | None = None

    def stop(self) -> None:
        """End `fetch_all` soon, from any thread, and for good; what came so far is kept."""
        self._stopped.set()
        run = self._run
        if run is not None:
            run.wake()

    def fetch_all(self, requests: Iterable[FetchRequest]) -> Iterator[Outcome]:
        """Yield one outcome a key, in any order; requests are taken as they are needed.

        A record is ``{"sha256", "path", "size_bytes", "content_type", "final_url"}``, its path relative to
        the collection's folder; for a section of a video on a page there is also "found": what the site says
        about it. Close the iterator, or read it to its end, and nothing of it runs any more.

        Raises:
            MissingExtraError: httpx or yt-dlp is needed and absent.
            ConfigError: yt-dlp is too old.
            OSError: the disk is full, or cannot be written.
        """
        if self._stopped.is_set():
            return
        self._run = _Run(self.corpus, self.limits, self._surroundings, self._stopped)
        try:
            yield from self._run.outcomes(iter(requests))
        finally:
            self._run.close()
            self._run = None


class _Run:
    """One call of `fetch_all`."""

    def __init__(
        self, corpus: Path, limits: FetchLimits, surroundings: Surroundings, stopped: threading.Event
    ) -> None:
        self._limits = limits
        self._surroundings = surroundings
        self._stopped = stopped
        self._connections = Connections(
            resolver=surroundings.resolver,
            connect=surroundings.connect,
            clock=surroundings.clock,
            allow_private=limits.allow_private_addresses,
        )
        self._pool = make_pool(
            self._connections,
            num_connections=limits.num_connections,
            ssl_context=surroundings.ssl_context,
        )
        transfer = HttpTransfer(self._pool, self._connections, limits, surroundings.clock)
        self._tries = Tries(corpus, limits, surroundings, transfer, is_stopped=stopped.is_set)
        self._lanes: Lanes[_Task] = Lanes(
            most_active=limits.num_connections_per_host, gap_s=1.0 / limits.most_starts_per_s
        )
        self._threads = ThreadPoolExecutor(limits.num_connections, thread_name_prefix="fetch")
        self._done: queue.SimpleQueue[_Done | None] = queue.SimpleQueue()
        self._keys: set[str] = set()
        self._num_active = 0

    def outcomes(self, requests: Iterator[FetchRequest]) -> Iterator[Outcome]:
        """Yield outcomes until there is nothing left to do."""
        has_more = True
        while not self._stopped.is_set():
            if has_more and self._lanes.num_waiting < MOST_WAITING:
                taken = list(itertools.islice(requests, _AT_ONCE))
                has_more = len(taken) == _AT_ONCE
                yield from self._refused_at_once(taken)
            self._start()
            if not has_more and not self._num_active and not self._lanes.num_waiting:
                return
            done = self._next_done(is_patient=not has_more or self._lanes.num_waiting >= MOST_WAITING)
            if done is not None:
                outcome = self._settled(*done)
                if outcome is not None:
                    self._keys.discard(outcome.key)
                    yield outcome

    def wake(self) -> None:
        """Let everything that waits go on, to find that it is over."""
        self._connections.cut()
        self._done.put(None)

    def close(self) -> None:
        """End all connections and threads."""
        self._connections.cut()
        self._threads.shutdown(cancel_futures=True)
        self._pool.close()

    def _refused_at_once(self, requests: Iterable[FetchRequest]) -> Iterator[Outcome]:
        """Let requests wait at their hosts; yield the outcomes of those that have none."""
        for request in requests:
            if request.key in self._keys:
                continue
            try:
                page = parse_section(request.url).page if request.url.startswith(SCHEME) else request.url
                with as_outcomes():
                    host = host_of(parse_url(page))
            except RefusedError as error:
                yield Outcome(request.key, None, error.reason, error.detail, error.number)
                continue
            self._keys.add(request.key)
            self._lanes.add(_Task(request, host), host)

    def _start(self) -> None:
        """Start what may start."""
        while self._num_active < self._limits.num_connections:
            task = self._lanes.take(self._surroundings.clock())
            if task is None:
                return
            self._num_active += 1
            future = self._threads.submit(self._tries.fetch, task.request)
            future.add_done_callback(lambda made, task=task: self._done.put((task, made)))

    def _next_done(self, *, is_patient: bool) -> _Done | None:
        """Give what has ended; a patient one waits for it, or until something else may start."""
        if not is_patient:
            try:
                return self._done.get_nowait()
            except queue.Empty:
                return None
        next_s = self._lanes.next_s() if self._num_active < self._limits.num_connections else None
        pause = None if next_s is None else max(0.0, next_s - self._surroundings.clock())
        if self._num_active:
            try:
                return self._done.get(timeout=pause)
            except queue.Empty:
                return None
        assert pause is not None  # nobody is active, so somebody may start one day
        (self._surroundings.wait or self._stopped.wait)(pause)
        return None

    def _settled(self, task: _Task, future: Future[dict[str, Any]]) -> Outcome | None:
        """Say what became of a task; None: it waits for another try.

        Raises:
            OSError: and whatever else is no fault of the medium's.
        """
        now_s = self._surroundings.clock()
        self._num_active -= 1
        self._lanes.done(task.host, now_s=now_s)
        task.attempts += 1
        error = future.exception()
        if error is None:
            return Outcome(task.request.key, future.result(), attempts=task.attempts)
        if not isinstance(error, RefusedError):
            raise error
        if isinstance(error, AgainError) and not error.is_final(task.attempts, self._limits):
            jitter = self._surroundings.jitter()
            until_s = now_s + pause_s(task.attempts, error, self._limits, jitter=jitter)
            if error.after_s is not None:
                self._lanes.pause(task.host, until_s)
            self._lanes.add(task, task.host, not_before_s=until_s)
            return None
        return Outcome(
            task.request.key, None, error.reason, error.detail, error.number, attempts=task.attempts
        )
