"""Further processes that answer a share of the questions, each with an engine of its own.

Each writes a file of its own in the run's journal. A worker ends when the process that started it does,
however that ended: a run that goes on would otherwise ask what an orphan is answering.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from valley.errors import BackendError, ValleyError
from valley.evaluation.answering import Answering
from valley.evaluation.asking import Asker, Question
from valley.evaluation.records import open_journal
from valley.inference.backend import Backend, GenerationParams

OpenBackend = Callable[[], Backend]

ENDED_WITH_PARENT = 70
POLL_S = 0.2


@dataclass(frozen=True)
class Job:
    """What one worker does.

    Attributes:
        open_backend: opens its engine; has to be picklable.
        questions: its share.
        folder: the run's.
        params: how to generate.
        batch_size: how many questions at once; None is as many as the engine answers together.
    """

    open_backend: OpenBackend
    questions: tuple[Question, ...]
    folder: Path
    params: GenerationParams
    batch_size: int | None


@dataclass(frozen=True)
class _Started:
    process: SpawnProcess
    errors: Connection


class Workers:
    """Started processes."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        """Start one process a job."""
        context = multiprocessing.get_context("spawn")
        self._counts: list[Any] = [context.RawValue("q", 0) for _ in jobs]
        self._started: list[_Started] = []
        for job, count in zip(jobs, self._counts, strict=True):
            receiving, sending = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(job, count, sending), daemon=True)
            process.start()
            sending.close()
            self._started.append(_Started(process, receiving))

    @property
    def num_answered(self) -> int:
        """How many questions they have answered so far."""
        return sum(count.value for count in self._counts)

    def join(self, on_progress: Callable[[], None]) -> None:
        """Wait for all of them.

        Raises:
            BackendError: one failed, or was killed.
        """
        while any(s.process.is_alive() for s in self._started):
            wait([s.process.sentinel for s in self._started if s.process.is_alive()], timeout=POLL_S)
            on_progress()
            if any(s.process.exitcode not in (None, 0) for s in self._started):
                break
        failed = [s for s in self._started if s.process.exitcode not in (None, 0)]
        if failed:
            raise BackendError(_reason(failed[0]))

    def stop(self) -> None:
        """End those that still run."""
        for started in self._started:
            if started.process.is_alive():
                started.process.terminate()
            started.process.join()
            started.errors.close()


def _reason(failed: _Started) -> str:
    code = failed.process.exitcode
    try:
        said = failed.errors.recv() if failed.errors.poll() else ""
    except EOFError:
        said = ""
    return said or (
        f"a process that answered questions ended with code {code} (killed for its memory, perhaps); "
        "give the same command again, with fewer --processes"
    )


def _work(job: Job, count: Any, errors: Connection) -> None:  # noqa: ANN401
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer_share(job, lambda: _increase(count))
    except (ValleyError, OSError) as error:
        errors.send(str(error))
        os._exit(1)  # threads of an engine that failed need not be waited for


def _increase(count: Any) -> None:  # noqa: ANN401
    count.value += 1  # its only writer is this process, under the lock of `Answering`


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(ENDED_WITH_PARENT)


def answer_share(job: Job, on_answer: Callable[[], None]) -> None:
    """Open an engine and answer a job's questions with it."""
    backend = job.open_backend()
    with closing(backend), open_journal(job.folder) as journal:
        ask_all(backend, job, journal, on_answer)


def ask_all(backend: Backend, job: Job, journal: Any, on_answer: Callable[[], None]) -> None:  # noqa: ANN401
    """Answer a job's questions with an engine that is open."""
    asker = Asker(backend, job.folder, job.params)
    batch_size = job.batch_size or backend.capabilities.max_concurrency
    Answering(asker, journal, on_answer).answer(job.questions, batch_size)


def shares(questions: Sequence[Question], num_shares: int) -> list[tuple[Question, ...]]:
    """Deal questions out; those on one clip stay together, so that it is decoded once."""
    dealt: list[list[Question]] = [[] for _ in range(num_shares)]
    number = -1
    last = None
    for question in questions:
        clip = (question.benchmark, question.item.variant, question.item.clip or question.item.id)
        number += clip != last
        last = clip
        dealt[number % num_shares].append(question)
    return [tuple(share) for share in dealt]
