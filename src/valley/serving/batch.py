"""Answer a file of requests offline: as many at once as the engine takes, each result kept as it comes.

A run that was killed goes on where it was: no result is lost, and none is there twice. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from valley.errors import BackendError, ConfigError, EngineUnavailableError, ValleyError
from valley.inference.backend import Backend
from valley.locking import locked
from valley.serving.answers import AnswerForm
from valley.serving.batch_results import Results
from valley.serving.batch_rows import Row, RowReader, read_rows
from valley.serving.errors import RequestError, refusal
from valley.serving.media import MediaGate, MediaSettings

# So many rows more than run at once may fail one after another for want of a server: then it is gone.
_SPARE_FAILURES = 3


@dataclass(frozen=True)
class BatchSettings:
    """How a batch is run.

    Attributes:
        concurrency: rows at once; None takes what the engine takes.
        limit: only the first so many rows.
        retry_failed: ask rows again whose result is an error.
        media_root: where relative paths begin; None: the folder of the file.
        isolated: decode in a process apart, for files one does not trust.
        stop_when_unavailable: give up where the engine cannot be reached at all, rather than fail row by
            row: right for a server, which comes back.
    """

    concurrency: int | None = None
    limit: int | None = None
    retry_failed: bool = False
    media_root: Path | None = None
    isolated: bool = False
    stop_when_unavailable: bool = False


@dataclass(frozen=True)
class BatchSummary:
    """What became of the rows.

    Attributes:
        rows: in the file, as far as they were asked for.
        answered: now.
        failed: now.
        kept: that had their result before.
        failed_in_all: errors in the file of results.
        torn_bytes: cut off the file of results before it was gone on with.
    """

    rows: int
    answered: int
    failed: int
    kept: int
    failed_in_all: int
    torn_bytes: int


@dataclass(frozen=True)
class _Outcome:
    record: dict[str, Any]
    began_s: float
    ended_s: float
    is_unavailable: bool = False


def run_batch(
    backend: Backend,
    source: Path,
    out: Path,
    spool: Path,
    settings: BatchSettings,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> BatchSummary:
    """Answer every row of `source`, and put the results into `out`.

    Args:
        backend: answers.
        source: the rows; see `valley.serving.batch_rows`.
        out: the results; see `valley.serving.batch_results`.
        spool: a folder for media that are within rows.
        settings: how.
        on_progress: called with rows done, and all.

    Raises:
        ConfigError: rows share a name, or `out` holds something else, or another run writes it.
        EngineUnavailableError: the server is gone; run again, and it goes on.

    Whatever ends a run early closes the engine, so that nothing is waited for.
    """
    if out.exists() and out.samefile(source):
        raise ConfigError(f"{out}: is the file of rows; name another file for the results")
    rows = read_rows(source)
    asked = rows[: settings.limit]
    out.parent.mkdir(parents=True, exist_ok=True)
    busy = f"{out}: another run writes it; wait for its end, or name another file"
    with (
        locked(out.with_name(f".{out.name}.lock"), taken=busy),
        Results(out, rows, model=backend.capabilities.model) as results,
        closing(MediaGate(MediaSettings(), spool)) as gate,
    ):
        reader = RowReader(
            source, backend.capabilities, media_root=settings.media_root, isolated=settings.isolated
        )
        waiting = [r for r in asked if not results.is_done(r, retry_failed=settings.retry_failed)]
        kept = len(asked) - len(waiting)
        run = _Run(backend, reader, gate, results, settings)
        for done, _ in enumerate(run.outcomes(waiting), kept + 1):
            if on_progress is not None:
                on_progress(done, len(asked))
        results.finish()
        return BatchSummary(
            len(asked), run.answered, run.failed, kept, results.num_failed, results.torn_bytes
        )


class _Run:
    """One run over the rows that have no result yet."""

    def __init__(
        self, backend: Backend, reader: RowReader, gate: MediaGate, results: Results, settings: BatchSettings
    ) -> None:
        self.answered = self.failed = 0
        self._backend, self._reader, self._gate, self._results = backend, reader, gate, results
        self._concurrency = settings.concurrency or backend.capabilities.max_concurrency
        self._stops = settings.stop_when_unavailable
        self._unavailable: list[_Outcome] = []
        self._ended = threading.Event()

    def outcomes(self, rows: list[Row]) -> Iterator[_Outcome]:
        """Ask, and yield each outcome when it is kept."""
        remaining = iter(rows)
        pool = ThreadPoolExecutor(self._concurrency, "valley-batch")
        try:
            # A few wait their turn, so that no thread does.
            running = {pool.submit(self._ask, row) for row in islice(remaining, 2 * self._concurrency)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(self._ask, row) for row in islice(remaining, len(done))}
                yield from self._kept(done)
            yield from self._held(time.monotonic())
        except BaseException:
            self._ended.set()  # threads stop at their next word; who waits for a server, at once
            self._backend.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _kept(self, done: set[Future[_Outcome]]) -> Iterator[_Outcome]:
        for future in done:
            outcome = future.result()
            if outcome.is_unavailable and self._stops:
                self._unavailable.append(outcome)
                self._refuse_to_go_on()
                continue
            # The server was there after those had failed: they failed for themselves.
            yield from self._held(outcome.began_s)
            yield self._keep(outcome)

    def _held(self, before_s: float) -> Iterator[_Outcome]:
        for outcome in [o for o in self._unavailable if o.ended_s <= before_s]:
            self._unavailable.remove(outcome)
            yield self._keep(outcome)

    def _keep(self, outcome: _Outcome) -> _Outcome:
        self._results.append(outcome.record)
        if outcome.record["error"] is None:
            self.answered += 1
        else:
            self.failed += 1
        return outcome

    def _refuse_to_go_on(self) -> None:
        if len(self._unavailable) > self._concurrency + _SPARE_FAILURES:
            why = self._unavailable[-1].record["error"]["message"]
            raise EngineUnavailableError(
                f"{why}; {self.answered + self.failed} rows were done now: run the same again, and it goes on"
            )

    def _ask(self, row: Row) -> _Outcome:
        began_s, is_unavailable = time.monotonic(), False
        try:
            record = _result(row, 200, body=self._answer(row))
        except (ValleyError, OSError) as error:
            record = _failure(row, error)
            is_unavailable = isinstance(error, EngineUnavailableError)
        return _Outcome(record, began_s, time.monotonic(), is_unavailable)

    def _answer(self, row: Row) -> dict[str, Any]:
        words: list[str] = []
        with self._gate.lease("") as lease:
            question = asyncio.run(self._reader.question(row, lease))
            with closing(self._backend.stream(question.conversation, question.params)) as pieces:
                for piece in pieces:
                    words.append(piece.text)
                    if piece.finish is not None:
                        form = AnswerForm(self._backend.capabilities.model)
                        return form.whole("".join(words), piece.finish)
                    if self._ended.is_set():
                        raise EngineUnavailableError("the run was ended")
        raise BackendError(f"{self._backend.capabilities.model}: the engine ended without saying how")


def _failure(row: Row, error: ValleyError | OSError) -> dict[str, Any]:
    """Make a result of an error; a row that is no request has no response."""
    if isinstance(error, OSError):
        refused = RequestError(f"{error.filename}: {error.strerror}", code="file")
    else:
        told = refusal(error)
        refused = RequestError(str(error), status=told.status, code=told.code, param=told.param)
    record = refused.to_record()
    why = {"code": refused.code, "message": f"line {row.number}: {record['error']['message']}"}
    if row.custom_id is None or refused.code in ("row", "json"):
        return {"id": row.key, "custom_id": row.custom_id, "response": None, "error": why}
    return _result(row, refused.status, body=record, error=why)


def _result(
    row: Row, status: int, *, body: dict[str, Any], error: dict[str, str] | None = None
) -> dict[str, Any]:
    response = {"status_code": status, "body": body}
    return {"id": row.key, "custom_id": row.custom_id, "response": response, "error": error}
