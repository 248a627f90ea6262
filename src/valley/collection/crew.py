"""Children that run the jobs of one task, each a process: killed and replaced when one goes wrong.

A child is a fresh interpreter which imports the task's module and nothing else. It has one job at a time. One
that crashes, hangs or eats its memory is killed with all it started; its job is tried once more by a new
child, and is then a fault. See `valley.collection.worker` for what is said.
"""

from __future__ import annotations

import heapq
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, TypeAlias

from valley.collection.executor import CRASHED, MAX_MEMORY_BYTES, OUT_OF_MEMORY, TIMEOUT, Job, Outcome
from valley.collection.worker import receive, send
from valley.errors import BackendError, ConfigError

START_TIMEOUT_S = 120.0  # a task's module may import much, on a machine that does much else
MOST_ATTEMPTS = 2
WINDOW = 4096
"""So many jobs are looked at to take the dearest: enough that no long one comes last, little memory."""

_DEATH_S = 5.0
_BOOT = (
    "import sys; task, memory, *sys.path[:] = sys.argv[1:]; "
    "from valley.collection.worker import serve; serve(task, int(memory))"
)

Messages: TypeAlias = "SimpleQueue[tuple[Child, dict[str, Any] | None]]"


def import_paths() -> list[str]:
    """Give where this interpreter finds modules, for a child: not the folder it happens to stand in."""
    return [str(Path(p).absolute()) for p in sys.path if p]


class Child:
    """One child process and the thread that hears it."""

    def __init__(self, task: str, max_memory_bytes: int, paths: Sequence[str], messages: Messages) -> None:
        """Start it; what it says goes to `messages`, None at its end."""
        command = [sys.executable, "-I", "-c", _BOOT, task, str(max_memory_bytes), *paths]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is the parent's; what the child starts is killed with it
        )
        self._listener = threading.Thread(target=self._listen, args=(messages,), daemon=True)
        self._listener.start()

    def send(self, job: Job) -> None:
        """Give it a job; that it is dead is heard at the other pipe."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            send(self.process.stdin, {"arguments": dict(job.arguments), "timeout_s": job.timeout_s})

    def end(self, *, at_once: bool) -> int:
        """Kill it with all that it started, and give its exit code; -9 where it was alive.

        Args:
            at_once: do not wait for the exit code of one that is dying of itself.
        """
        if not at_once:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_DEATH_S)
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):  # macOS: not permitted for one that is dead
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        code = self.process.wait()
        self._listener.join(_DEATH_S)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):  # closing flushes what a dead child did not take
            self.process.stdin.close()
        if not self._listener.is_alive():  # else something that left the child's session holds the pipe
            self.process.stdout.close()
        return code

    def _listen(self, messages: Messages) -> None:
        assert self.process.stdout is not None
        while (message := receive(self.process.stdout)) is not None:
            messages.put((self, message))
        messages.put((self, None))


@dataclass
class _Assignment:
    """What a child is at: it starts, for this job, or runs it."""

    job: Job
    attempt: int
    deadline_s: float
    is_running: bool


class Crew:
    """As many children as wanted at most, started as there is work, kept until the crew is closed."""

    def __init__(
        self,
        task: str,
        *,
        num_workers: int,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
        paths: Sequence[str] | None = None,
    ) -> None:
        """Say what for; nothing is started yet.

        Args:
            task: "package.module:function".
            num_workers: children at once.
            max_memory_bytes: that one child may hold.
            paths: where a child finds modules; None: where this interpreter does.
        """
        if num_workers < 1:
            raise ConfigError(f"want at least 1 worker, got {num_workers}")
        self._task = task
        self._num_workers = num_workers
        self._max_memory_bytes = max_memory_bytes
        self._paths = import_paths() if paths is None else paths
        self._messages: Messages = SimpleQueue()
        self._idle: list[Child] = []
        self._busy: dict[Child, _Assignment] = {}
        self._again: list[tuple[Job, int]] = []

    def work(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Yield one outcome a job as they come.

        Raises:
            ConfigError: the task cannot be imported.
            BackendError: a child does not come up.
        """
        ordered = dearest_first(jobs)
        try:
            while True:
                self._hand_out(ordered)
                if not self._busy:
                    return
                outcome = self._await()
                if outcome is not None:
                    yield outcome
        finally:
            self._again.clear()
            for child in list(self._busy):
                self._dismiss(child, at_once=True)

    def close(self) -> None:
        """End all children."""
        while self._idle:
            self._idle.pop().end(at_once=True)

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hand_out(self, ordered: Iterator[Job]) -> None:
        while len(self._busy) < self._num_workers:
            job, attempt = self._again.pop() if self._again else (next(ordered, None), 1)
            if job is None:
                return
            is_new = not self._idle
            child = self._start() if is_new else self._idle.pop()
            limit_s = START_TIMEOUT_S if is_new else job.timeout_s
            self._busy[child] = _Assignment(job, attempt, time.monotonic() + limit_s, is_running=not is_new)
            child.send(job)  # a new one begins as soon as it is ready

    def _start(self) -> Child:
        return Child(self._task, self._max_memory_bytes, self._paths, self._messages)

    def _await(self) -> Outcome | None:
        """Wait for a child to say something, or for the first to be late; None: no outcome yet."""
        late = min(self._busy, key=lambda child: self._busy[child].deadline_s)
        wait_s = max(0.0, self._busy[late].deadline_s - time.monotonic())
        try:
            child, message = self._messages.get(timeout=wait_s)
        except Empty:
            return self._strike(late, at_once=True)
        if child not in self._busy:
            self._forget(child)
            return None
        if message is None:
            return self._strike(child, at_once=False)
        if self._busy[child].is_running:
            return self._answered(child, message)
        if "unfit" in message:
            raise ConfigError(str(message["unfit"]))
        assignment = self._busy[child]
        assignment.is_running, assignment.deadline_s = True, time.monotonic() + assignment.job.timeout_s
        return None

    def _forget(self, child: Child) -> None:
        """Hear the last words of a child that was killed, or that ended though it had nothing to do."""
        if child in self._idle:
            self._idle.remove(child)
            child.end(at_once=False)

    def _answered(self, child: Child, message: dict[str, Any]) -> Outcome | None:
        assignment = self._busy[child]
        if "record" in message:
            outcome = Outcome(assignment.job.key, message["record"], attempts=assignment.attempt)
        else:
            reason, detail, number = message["fault"]
            if reason == OUT_OF_MEMORY:  # what it holds may be in pieces: a new one is given the job
                self._dismiss(child, at_once=True)
                return self._again_or_fault(assignment, reason, detail, number)
            outcome = Outcome(assignment.job.key, None, reason, detail, number, assignment.attempt)
        del self._busy[child]
        self._idle.append(child)
        return outcome

    def _strike(self, child: Child, *, at_once: bool) -> Outcome | None:
        """Replace a child that ended, or that is late and is ended here."""
        assignment = self._busy[child]
        code = self._dismiss(child, at_once=at_once)
        if not assignment.is_running:
            raise BackendError(
                f"want a child process that runs {self._task}, got one that was not ready within "
                f"{START_TIMEOUT_S:g} s or ended before ({_said(code)}): import its module by hand to see why"
            )
        if at_once or (os.name == "posix" and code == -signal.SIGALRM):
            limit_s = assignment.job.timeout_s
            return self._again_or_fault(assignment, TIMEOUT, f"took longer than {limit_s:g} s", limit_s)
        return self._again_or_fault(assignment, CRASHED, f"the child process {_said(code)}", code)

    def _again_or_fault(
        self, assignment: _Assignment, reason: str, detail: str, number: float | int | None
    ) -> Outcome | None:
        if assignment.attempt < MOST_ATTEMPTS:
            self._again.append((assignment.job, assignment.attempt + 1))
            return None
        return Outcome(assignment.job.key, None, reason, detail, number, assignment.attempt)

    def _dismiss(self, child: Child, *, at_once: bool) -> int:
        del self._busy[child]
        return child.end(at_once=at_once)


def dearest_first(jobs: Iterable[Job], window: int = WINDOW) -> Iterator[Job]:
    """Yield the dearest job of the next `window` again and again, equal ones in their order."""
    source = ((-job.cost, number, job) for number, job in enumerate(jobs))
    heap = list(itertools.islice(source, window))
    heapq.heapify(heap)
    for entry in source:
        yield heapq.heappushpop(heap, entry)[2]
    while heap:
        yield heapq.heappop(heap)[2]


def _said(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"ended with exit code {code}"
    known = {s.value: s.name for s in signal.Signals}
    return f"was killed by {known.get(-code, f'signal {-code}')}"
