"""What an executor is: it runs jobs, which are references and never bytes, and gives back one outcome each.

A task is a function named "package.module:function" that takes a job's arguments as keywords and returns a
dict of plain JSON values::

    def measure(*, path: str) -> dict[str, Any]: ...

It refuses a job by raising `RefusedError` or a `MediaError`; what else goes wrong becomes an outcome too.
Executors keep no state: who calls one writes down what comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from valley.errors import ValleyError
from valley.registry import Registry

EXECUTORS = Registry("valley.collection.executors", attribute="EXECUTOR", kind="executor")

CRASHED = "crashed"
TIMEOUT = "timeout"
OUT_OF_MEMORY = "out_of_memory"
ERROR = "error"
LOST = "lost"

MAX_MEMORY_BYTES = 4 * 2**30
"""Of one child: a minute of 4K video decoded with all its references fits."""


@dataclass(frozen=True)
class Job:
    """One call of a task.

    Attributes:
        key: comes back with the outcome; unique within a run.
        arguments: JSON-ready; the task's keywords.
        cost: how long it may take beside the others, such as its bytes; the dearest come first.
        timeout_s: after this long it is stopped.
    """

    key: str
    arguments: Mapping[str, Any]
    cost: float | int = 0.0
    timeout_s: float | int = 60.0


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a record, or a fault with a reason.

    Attributes:
        key: the job's.
        record: what the task returned, as JSON gives it back; None where there is a fault.
        reason: a short word for counting: "crashed", "timeout", "out_of_memory", "lost" with its worker,
            "error" for an exception that the task did not mean to raise; else what the task said.
        detail: what was found.
        number: behind the reason: seconds, bytes, the child's exit code, or what the task said.
        attempts: how often the job was tried.
    """

    key: str
    record: dict[str, Any] | None
    reason: str = ""
    detail: str = ""
    number: float | int | None = None
    attempts: int = 1

    def to_record(self) -> dict[str, Any]:
        """Give what a stage's store keeps: the record, or ``{"fault": {"reason": ..., ...}}``."""
        if self.record is not None:
            return self.record
        fault = asdict(self)
        return {"fault": {name: fault[name] for name in ("reason", "detail", "number", "attempts")}}

    @classmethod
    def from_record(cls, key: str, record: dict[str, Any]) -> Outcome:
        """Read what `to_record` gave; of a success, how often it was tried is not kept."""
        fault = record.get("fault")
        return cls(key, record) if fault is None else cls(key, None, **fault)


class RefusedError(ValleyError):
    """A task does not want a job: an outcome with this reason, and no second try."""

    def __init__(self, reason: str, detail: str = "", number: float | int | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.number = number
        super().__init__(reason, detail, number)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


@runtime_checkable
class Executor(Protocol):
    """One way to run jobs; one module in `valley/collection/executors` each.

    Attributes:
        name: the module's name.
    """

    name: str

    def configured(self, *, address: str = "", max_memory_bytes: int = MAX_MEMORY_BYTES) -> Executor:
        """Give an executor with other settings.

        Args:
            address: of a cluster; "" for none.
            max_memory_bytes: that one child may hold.

        Raises:
            ConfigError: there is an address, and this executor knows no cluster.
        """
        ...

    def run(self, task: str, jobs: Iterable[Job], *, num_workers: int) -> Iterator[Outcome]:
        """Yield one outcome a job, in any order; jobs are taken as they are needed.

        Close the iterator, or read it to its end, and nothing of it runs any more.

        Raises:
            ConfigError: the task cannot be imported.
            BackendError: a child process, or a cluster, does not come up.
        """
        ...
