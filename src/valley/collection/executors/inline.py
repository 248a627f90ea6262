"""Run jobs one after another in this process: for tests, and to look into a task with a debugger.

Nothing is isolated: a job that crashes or hangs takes this process with it, and no limit holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from valley.collection.executor import MAX_MEMORY_BYTES, Executor, Job, Outcome
from valley.collection.executors import without_cluster
from valley.collection.worker import call, import_task


@dataclass(frozen=True)
class InlineExecutor:
    """This process, one job at a time, in their order."""

    name = "inline"

    def configured(self, *, address: str = "", max_memory_bytes: int = MAX_MEMORY_BYTES) -> InlineExecutor:
        """Give itself: there is nothing to set.

        Raises:
            ConfigError: an address is given.
        """
        del max_memory_bytes
        without_cluster(self.name, address)
        return self

    def run(self, task: str, jobs: Iterable[Job], *, num_workers: int) -> Iterator[Outcome]:
        """Yield the outcomes in the order of the jobs; `num_workers` is 1 whatever it says.

        Raises:
            ConfigError: the task cannot be imported.
        """
        del num_workers
        function = import_task(task)
        for job in jobs:
            arguments = json.loads(json.dumps(dict(job.arguments)))  # as a child gets them
            answer = call(function, arguments, MAX_MEMORY_BYTES)
            if "record" in answer:
                yield Outcome(job.key, answer["record"])
            else:
                yield Outcome(job.key, None, *answer["fault"])


EXECUTOR: Executor = InlineExecutor()
