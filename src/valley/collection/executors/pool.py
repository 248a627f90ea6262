"""Run jobs in children on this machine, which are killed and replaced when one goes wrong: the default."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from valley.collection.crew import Crew
from valley.collection.executor import MAX_MEMORY_BYTES, Executor, Job, Outcome
from valley.collection.executors import without_cluster


@dataclass(frozen=True)
class PoolExecutor:
    """A crew of children that live as long as a run.

    Attributes:
        max_memory_bytes: that one child may hold.
    """

    max_memory_bytes: int = MAX_MEMORY_BYTES
    name = "pool"

    def configured(self, *, address: str = "", max_memory_bytes: int = MAX_MEMORY_BYTES) -> PoolExecutor:
        """Give a pool with another limit on memory.

        Raises:
            ConfigError: an address is given.
        """
        without_cluster(self.name, address)
        return PoolExecutor(max_memory_bytes)

    def run(self, task: str, jobs: Iterable[Job], *, num_workers: int) -> Iterator[Outcome]:
        """Yield the outcomes as they come, the dearest jobs first; see `Crew.work`.

        Raises:
            ConfigError: the task cannot be imported.
            BackendError: a child does not come up.
        """
        with Crew(task, num_workers=num_workers, max_memory_bytes=self.max_memory_bytes) as crew:
            yield from crew.work(jobs)


EXECUTOR: Executor = PoolExecutor()
