"""Find out in a thread what is still to be looked at, and have it ready; media are fetched there.

What a stage's store has is passed over. A medium that several items are about is one job. Files are not
opened here; a look at them is `valley.collection.looking`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from valley.collection.config import CollectConfig, LookSettings
from valley.collection.corpus import Shard, Stages
from valley.collection.executor import Job, Outcome
from valley.collection.fetching import FetchRequest
from valley.collection.remembered_places import Place, RememberedPlaces
from valley.collection.walking import file_key, is_in, walk

MOST_WAITING = 20_000
"""Jobs held ready: a few megabytes, and enough that the dearest can be taken first."""

WORTH_A_RUN = 64
"""With so many an executor is started at once; with fewer, after a while."""

_FIRST_PATIENCE_S = 1.0
_PATIENCE_S = 20.0  # children are started once in so long where media trickle in
_GAP_S = 0.1  # an enumeration that is slower than this is one that trickles


@runtime_checkable
class Fetches(Protocol):
    """What fetches media, as `valley.collection.fetching.Fetcher` does."""

    def fetch_all(self, requests: Iterable[FetchRequest]) -> Iterator[Outcome]:
        """Yield one outcome a key: its record has sha256, path (in the collection), size_bytes."""
        ...

    def stop(self) -> None:
        """End `fetch_all` soon."""
        ...


@dataclass(frozen=True)
class Wanted:
    """Which of the media are wanted.

    Attributes:
        shard: of this one alone.
        again: keys of the stores whose fault does not count: they are tried once more.
        lacking: None: what has not been fetched or hashed; else the hashes of media that are known, and still
            to be looked at.
    """

    shard: Shard = field(default_factory=Shard)
    again: frozenset[str] = frozenset()
    lacking: frozenset[str] | None = None


@dataclass
class Counts:
    """How far a feed has come, in media."""

    num_known: int = 0
    num_fetched: int = 0
    num_missing: int = 0
    num_refused: int = 0
    places: set[str] = field(default_factory=set)


class Feed:
    """Jobs, as they are found; a context manager, which ends the thread."""

    def __init__(
        self, config: CollectConfig, stages: Stages, wanted: Wanted, *, corpus: Path, fetcher: Fetches
    ) -> None:
        """Prepare; the block begins the work.

        Args:
            config: what is asked for.
            stages: what is known. While it works, `fetched` is the feed's own.
            wanted: what of it.
            corpus: the collection's folder, where fetched media lie.
            fetcher: for items with a url.
        """
        self.counts = Counts()
        self._config = config.anchored()
        self._stages = stages
        self._wanted = wanted
        self._corpus = corpus
        self._fetcher = fetcher
        self._ready: deque[Job] = deque()
        self._submitted: set[str] = set()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._has_ended = False
        self._error: BaseException | None = None
        self._patience_s = _FIRST_PATIENCE_S
        self._thread = threading.Thread(target=self._work, daemon=True, name="feed")

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._fetcher.stop()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()

    def wait(self) -> bool:
        """Wait until there are jobs worth starting an executor for; False: there will be no more.

        Raises:
            ValleyError: what the sources said.
            OSError: the disk is full.
        """
        patient_until = time.monotonic() + self._patience_s
        self._patience_s = _PATIENCE_S
        with self._changed:
            while not self._has_ended and len(self._ready) < WORTH_A_RUN:
                if self._ready and time.monotonic() > patient_until:
                    break
                self._changed.wait(0.5)
            if self._error is not None:
                raise self._error
            return bool(self._ready)

    def jobs(self) -> Iterator[Job]:
        """Yield jobs until none is ready."""
        while True:
            with self._changed:
                if not self._ready and not self._has_ended:
                    self._changed.wait(_GAP_S)
                if not self._ready:
                    return
                job = self._ready.popleft()
                self._changed.notify_all()
            yield job

    def _work(self) -> None:
        try:
            with RememberedPlaces(self._corpus, self._config, self._wanted.shard) as remembered:
                for is_remote, places in groupby(self._places(remembered), key=lambda place: place.is_remote):
                    (self._take_remote if is_remote else self._take_local)(place.name for place in places)
        except BaseException as error:  # noqa: BLE001 - it is raised where the jobs are waited for
            self._error = error
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _places(self, remembered: RememberedPlaces) -> Iterator[Place]:
        """Yield each medium of the shard once: first those that are remembered, then what else there is."""
        known = self.counts.places
        for place in remembered.recall():
            if self._stopped.is_set():
                return
            if place.name not in known and (place.is_remote or os.path.exists(place.name)):  # noqa: PTH110
                known.add(place.name)
                yield place
        for named in walk(self._config):
            if self._stopped.is_set():
                return
            name = named.place
            if name not in known and is_in(self._wanted.shard, name):
                known.add(name)
                place = Place(name, named.item.url is not None)
                remembered.add(place)
                yield place

    def _take_local(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                key = file_key(name)
            except OSError:  # it is looked for again when the manifest is written, which says so
                self.counts.num_missing += 1
                continue
            lacking = self._wanted.lacking
            if lacking is None:
                if key in self._stages.hashed and key not in self._wanted.again:
                    self.counts.num_known += 1
                else:
                    self._put(job_for_file(key, self._config.look))
                continue
            known = self._stages.hashed.get(key) if key in self._stages.hashed else None
            self._put_known(known, place=name)

    def _take_remote(self, urls: Iterable[str]) -> None:
        if self._wanted.lacking is not None:
            for url in urls:
                self._put_known(self._stages.fetched.get(url))
            return
        for outcome in self._fetcher.fetch_all(self._requests(urls)):
            self._stages.fetched.append(outcome.key, outcome.to_record())
            self.counts.num_fetched += 1
            self.counts.num_refused += outcome.record is None
            self._put_known(outcome.record)
            if self._stopped.is_set():
                return

    def _requests(self, urls: Iterable[str]) -> Iterator[FetchRequest]:
        for url in urls:
            if url in self._stages.fetched and url not in self._wanted.again:
                self.counts.num_known += 1
            else:
                yield FetchRequest(url, url)

    def _put_known(self, record: dict[str, Any] | None, *, place: str = "") -> None:
        """Have a medium looked at whose hash is known, where nobody has."""
        if record is None or "fault" in record:
            return
        sha256 = record["sha256"]
        lacking = self._wanted.lacking
        if sha256 in self._stages.looked if lacking is None else sha256 not in lacking:
            return
        self._put(
            _job(sha256, place or str(self._corpus / record["path"]), record["size_bytes"], self._config.look)
        )

    def _put(self, job: Job) -> None:
        if job.key in self._submitted:
            return
        self._submitted.add(job.key)
        with self._changed:
            while len(self._ready) >= MOST_WAITING and not self._stopped.is_set():
                self._changed.wait(0.5)
            self._ready.append(job)
            self._changed.notify_all()


def job_for_file(key: str, settings: LookSettings) -> Job:
    """Make the job of a file that has not been hashed."""
    place, size_bytes, _ = key.rsplit("|", 2)
    return _job(key, place, int(size_bytes), settings, sha256="")


def _job(key: str, place: str, size_bytes: int, settings: LookSettings, sha256: str | None = None) -> Job:
    timeout_s = settings.timeout_s + settings.timeout_s_per_mb * size_bytes / 1e6
    arguments = {
        "path": place,
        "size_bytes": size_bytes,
        "sha256": key if sha256 is None else sha256,
    }
    return Job(key, arguments, cost=float(size_bytes), timeout_s=timeout_s)
