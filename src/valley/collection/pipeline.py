"""Collect: have every medium fetched, hashed and looked at once, note it at once, and write the manifest.

    sources -> feed (thread: what is still to do; fetches) -> executor (children look) -> stores -> manifest

Killed anywhere and started again, it goes on with what the stores do not have.
"""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from valley.collection.config import CollectConfig
from valley.collection.corpus import Shard, Stages, at_work, open_stages, read_asked, write_asked
from valley.collection.executor import (
    CRASHED,
    ERROR,
    LOST,
    OUT_OF_MEMORY,
    TIMEOUT,
    Executor,
    Outcome,
    RefusedError,
)
from valley.collection.feeding import Feed, Fetches, Wanted
from valley.collection.fetching import Fetcher, FetchLimits
from valley.collection.looking import TASK, hash_file
from valley.collection.selecting import OnPhase, Summary, select
from valley.collection.walking import is_file_key, path_and_size
from valley.errors import ConfigError
from valley.journal import Journal

# The child had no time to say the hash.
_WITHOUT_HASH = frozenset({CRASHED, TIMEOUT, OUT_OF_MEMORY, LOST, ERROR})
_CHECK_DISK_EVERY_S = 1.0

_logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a run has come, in media.

    Attributes:
        num_known: that were done before.
        num_done: in this run.
        num_refused: of these; reasons are counted in `reasons`.
        num_fetched: in this run.
        reasons: of faults.
    """

    num_known: int = 0
    num_done: int = 0
    num_fetched: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def num_refused(self) -> int:
        """Faults so far."""
        return self.reasons.total()


OnProgress: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True)
class Running:
    """How a collection is run; what comes out does not depend on it.

    Attributes:
        executor: which runs the looks.
        num_workers: children, or workers on a cluster.
        task: what looks at a medium; another one for tests.
        make_fetcher: what fetches into the collection; another one for tests.
        shard: only media of this one; the manifest is then not written.
        retry_reasons: faults with these are tried once more; None: none, empty: all.
        on_progress: is told after each medium.
        on_phase: is told what is being done after that.
    """

    executor: Executor
    num_workers: int = 1
    task: str = TASK
    make_fetcher: Callable[[Path, FetchLimits], Fetches] = Fetcher
    shard: Shard = field(default_factory=Shard)
    retry_reasons: frozenset[str] | None = None
    on_progress: OnProgress = lambda progress: None
    on_phase: OnPhase = lambda phase: None


@dataclass(frozen=True)
class Result:
    """What a run has done.

    Attributes:
        progress: of the looks.
        summary: of the manifest; None for a shard, which writes none.
    """

    progress: Progress
    summary: Summary | None

    @property
    def has_refused(self) -> bool:
        """Whether something is in quarantine."""
        return bool(self.progress.reasons) if self.summary is None else bool(self.summary.quarantined)


def collect(config: CollectConfig, corpus: Path, running: Running) -> Result:
    """Collect what the sources name into a folder.

    Raises:
        ConfigError: a source cannot be read, another process is at work, or the disk is full.
        ValleyError: what else a user can mend.
        KeyboardInterrupt: somebody stopped it; what was done is noted.
    """
    with at_work(corpus, running.shard):
        asked = write_asked(corpus, config)
        try:
            with open_stages(corpus) as stages:
                progress = _Run(config, corpus, stages, running).look_at_all()
                if not running.shard.is_whole:
                    return Result(progress, None)
                summary = select(
                    corpus,
                    config,
                    stages,
                    collected_at=asked.started_at,
                    num_workers=running.num_workers,
                    on_phase=running.on_phase,
                )
                _tell_conflicts(stages)
                return Result(progress, summary)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ConfigError(_full(corpus)) from error
            raise


def retry(corpus: Path, running: Running) -> Result:
    """Try faults of a collection once more, and write its manifest anew; see `Running.retry_reasons`.

    Raises:
        ConfigError: the folder is no collection, or has no fault with such a reason.
        ValleyError: as `collect`.
    """
    config = read_asked(corpus).config
    reasons = running.retry_reasons or frozenset()
    with open_stages(corpus) as stages:
        known = fault_reasons(stages)
    if missing := reasons - known.keys():
        there = ", ".join(f"{reason} {known[reason]}" for reason in sorted(known)) or "none at all"
        raise ConfigError(
            f"{corpus}: no fault has the reason {', '.join(sorted(missing))}; there are: {there}"
        )
    return collect(config, corpus, running)


def fault_reasons(stages: Stages) -> Counter[str]:
    """Count the faults that a retry can mend, by reason."""
    counts: Counter[str] = Counter()
    for store in (stages.fetched, stages.hashed, stages.looked):
        for key in store.fault_keys():
            counts[_fault(store, key)["reason"]] += 1
    return counts


class _Run:
    """One run over all media."""

    def __init__(self, config: CollectConfig, corpus: Path, stages: Stages, running: Running) -> None:
        self._config = config
        self._corpus = corpus
        self._stages = stages
        self._running = running
        self._again = _again(stages, running.retry_reasons)
        self._progress = Progress()
        self._disk_checked_s = 0.0

    def look_at_all(self) -> Progress:
        """First what nobody has hashed; then what is hashed and, after a kill or a new version, not seen."""
        shard = self._running.shard
        self._look_at(Wanted(shard, self._again))
        lacking = self._lacking()
        if lacking:
            self._look_at(Wanted(shard, self._again, frozenset(lacking)))
        return self._progress

    def _look_at(self, wanted: Wanted) -> None:
        fetcher = self._running.make_fetcher(self._corpus, _fetch_limits(self._config))
        with Feed(self._config, self._stages, wanted, corpus=self._corpus, fetcher=fetcher) as feed:
            while feed.wait():
                running = self._running
                outcomes = running.executor.run(running.task, feed.jobs(), num_workers=running.num_workers)
                for outcome in outcomes:
                    self._note(outcome)
                    self._progress.num_done += 1
                    self._tell(feed, wanted)
            self._tell(feed, wanted)

    def _tell(self, feed: Feed, wanted: Wanted) -> None:
        if wanted.lacking is None:
            self._progress.num_known = feed.counts.num_known
            self._progress.num_fetched = feed.counts.num_fetched
        self._running.on_progress(self._progress)
        if time.monotonic() - self._disk_checked_s > _CHECK_DISK_EVERY_S:
            self._disk_checked_s = time.monotonic()
            if shutil.disk_usage(self._corpus).free < self._config.keep_free_mb * 1e6:
                raise ConfigError(_full(self._corpus, self._config.keep_free_mb))

    def _note(self, outcome: Outcome) -> None:
        """Append what came of a job: the hash first, so that a kill between the two costs no reading."""
        if is_file_key(outcome.key):
            sha256, found = self._note_hash(outcome)
            if sha256 is None:
                return
        else:
            sha256, found = outcome.key, outcome.to_record()
            found = found.get("found", found)
        fault = found.get("fault")
        if fault is not None:
            self._progress.reasons[fault["reason"]] += 1
        if sha256 not in self._stages.looked or sha256 in self._again:
            self._stages.looked.append(sha256, found)

    def _note_hash(self, outcome: Outcome) -> tuple[str | None, dict[str, Any]]:
        """Append a file's hash or fault; give the hash where there is one, and what was found."""
        record = outcome.record
        if record is None and outcome.reason in _WITHOUT_HASH:
            place, size_bytes = path_and_size(outcome.key)
            try:
                record = {"sha256": hash_file(place, size_bytes=size_bytes), "size_bytes": size_bytes}
                record["found"] = outcome.to_record()
            except RefusedError as error:
                outcome = Outcome(outcome.key, None, error.reason, error.detail, error.number)
        if record is None:
            self._stages.hashed.append(outcome.key, outcome.to_record())
            self._progress.reasons[outcome.reason] += 1
            return None, {}
        sha256 = record["sha256"]
        self._stages.hashed.append(outcome.key, {"sha256": sha256, "size_bytes": record["size_bytes"]})
        return sha256, record["found"]

    def _lacking(self) -> set[str]:
        """Give the hashes that are known of media that nobody has looked at, or should look at again."""
        looked, again = self._stages.looked.keys(), self._again
        lacking: set[str] = set()
        for store in (self._stages.hashed, self._stages.fetched):
            records = (record for _, record in store.items())
            for sha256 in (record.get("sha256") for record in records):
                if sha256 is not None and (sha256 not in looked or sha256 in again):
                    lacking.add(sha256)
        return lacking


def _again(stages: Stages, reasons: frozenset[str] | None) -> frozenset[str]:
    """Give the keys of all faults that are to be tried once more."""
    if reasons is None:
        return frozenset()
    return frozenset(
        key
        for store in (stages.fetched, stages.hashed, stages.looked)
        for key in store.fault_keys()
        if not reasons or _fault(store, key)["reason"] in reasons
    )


def _fault(store: Journal, key: str) -> dict[str, Any]:
    record = store.get(key)
    assert record is not None  # the store named the key
    return record["fault"]


def _tell_conflicts(stages: Stages) -> None:
    if stages.conflicts:
        _logger.warning(
            "%d media were looked at twice with different results, the first holds: %s",
            len(stages.conflicts),
            ", ".join(stages.conflicts[:3]),
        )


def _full(corpus: Path, keep_free_mb: int | None = None) -> str:
    left = "the disk is full" if keep_free_mb is None else f"the disk has less than {keep_free_mb} MB left"
    return f"{corpus}: {left}: free some and start the same command again, it goes on where it was"


def _fetch_limits(config: CollectConfig) -> FetchLimits:
    settings = config.fetch.model_dump()
    max_bytes = int(settings.pop("max_gb") * 1e9)
    return FetchLimits(**settings, max_bytes=max_bytes, keep_free_bytes=config.keep_free_mb * 1_000_000)
