"""Run jobs on a Ray cluster by Ray Data: each worker there has a child of its own, as the pool has.

So a clip that crashes its reader costs a child and not a Ray worker, which Ray would start again without end.
Where a whole worker or machine is lost, its jobs are run once more. Ray's own checkpoints are not used.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from valley.collection.crew import MOST_ATTEMPTS, Crew, dearest_first, import_paths
from valley.collection.executor import LOST, MAX_MEMORY_BYTES, Executor, Job, Outcome
from valley.errors import BackendError, ConfigError, MissingExtraError

LOCAL = "local"
MOST_BLOCKS = 10_000
"""One job a block up to this many: a block is what Ray hands out, and loses, as one."""

_CHUNK = 100_000  # jobs given to Ray at once, which holds them all in memory

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RayExecutor:
    """Ray Data.

    Attributes:
        address: "local": start Ray on this machine, and end it after the run; "auto": the cluster that this
            machine belongs to; or "ray://host:10001". A connection that is there already is used as it is.
        max_memory_bytes: that one child may hold.
    """

    address: str = LOCAL
    max_memory_bytes: int = MAX_MEMORY_BYTES
    name = "ray"

    def configured(self, *, address: str = "", max_memory_bytes: int = MAX_MEMORY_BYTES) -> RayExecutor:
        """Give an executor for this cluster; without an address, for this machine."""
        return RayExecutor(address or LOCAL, max_memory_bytes)

    def run(self, task: str, jobs: Iterable[Job], *, num_workers: int) -> Iterator[Outcome]:
        """Yield the outcomes as they come, roughly the dearest jobs first.

        Raises:
            ConfigError: the task cannot be imported by a worker.
            BackendError: the cluster does not answer, or a child does not come up.
            MissingExtraError: Ray is absent.
        """
        if num_workers < 1:
            raise ConfigError(f"want at least 1 worker, got {num_workers}")
        ordered = dearest_first(jobs, _CHUNK)
        with _connection(self.address, num_workers):
            while chunk := list(itertools.islice(ordered, _CHUNK)):
                yield from self._run_chunk(task, chunk, num_workers)

    def _run_chunk(self, task: str, jobs: Sequence[Job], num_workers: int) -> Iterator[Outcome]:
        waiting = {job.key: job for job in jobs}
        for attempt in range(1, MOST_ATTEMPTS + 1):
            if attempt > 1 and waiting:
                _logger.warning("Ray lost %d jobs with their workers: they are run once more", len(waiting))
            for outcome in self._run_blocks(task, list(waiting.values()), num_workers):
                if waiting.pop(outcome.key, None) is not None:
                    yield outcome
        for key in waiting:
            yield Outcome(key, None, LOST, "the Ray worker ended before it answered", attempts=MOST_ATTEMPTS)

    def _run_blocks(self, task: str, jobs: Sequence[Job], num_workers: int) -> Iterator[Outcome]:
        """Run jobs; those whose worker is lost are simply not among the outcomes."""
        if not jobs:
            return
        import ray.data  # pyright: ignore[reportMissingImports]

        rows = [{"job": json.dumps(asdict(job))} for job in jobs]
        most = min(num_workers, len(rows))
        results = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS)).map(
            _RayWorker,  # pyright: ignore[reportArgumentType] (Ray's annotation knows functions alone)
            fn_constructor_args=(task, self.max_memory_bytes, import_paths()),
            compute=ray.data.ActorPoolStrategy(
                min_size=most if self.address == LOCAL else 1,  # a cluster may have fewer at first
                max_size=most,
            ),
            num_cpus=1,
            max_task_retries=0,  # without end unless said; the child has its two tries
        )
        results.context.max_errored_blocks = -1
        results.context.enable_progress_bars = False
        results.context.print_on_execution_start = False
        for row in results.iter_rows():
            answer = json.loads(row["answer"])
            if "unfit" in answer:
                raise ConfigError(answer["unfit"])
            if "down" in answer:
                raise BackendError(answer["down"])
            yield Outcome(**answer)


class _RayWorker:
    """What Ray starts once a worker and calls once a job; its child ends with it."""

    def __init__(self, task: str, max_memory_bytes: int, paths: Sequence[str]) -> None:
        """Add where the calling machine finds modules, as far as it is there."""
        more = [path for path in paths if path not in sys.path and Path(path).exists()]
        self._crew = Crew(
            task, num_workers=1, max_memory_bytes=max_memory_bytes, paths=[*import_paths(), *more]
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        """Run a job; what would end the run is carried to the caller: Ray passes over a failed block."""
        try:
            (outcome,) = self._crew.work([Job(**json.loads(row["job"]))])
        except ConfigError as error:
            return {"answer": json.dumps({"unfit": str(error)})}
        except BackendError as error:
            return {"answer": json.dumps({"down": str(error)})}
        return {"answer": json.dumps(asdict(outcome))}


@contextmanager
def _connection(address: str, num_workers: int) -> Iterator[None]:
    """Connect to the cluster, and leave it again, unless the caller is connected already.

    Ray sends no statistics of use of a cluster that `ray.init` starts; of one that runs already, who started
    it has decided.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError(wanted_by="the executor ray", package="ray", extra="ray") from error
    if ray.is_initialized():
        yield
        return
    own: dict[str, Any] = {"num_cpus": num_workers, "include_dashboard": False}
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.WARNING,
            configure_logging=False,
            **(own if address == LOCAL else {}),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BackendError(
            f"want a Ray cluster at {address!r}, got none: {error}; start one with `ray start --head`, or "
            "leave the address out"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


EXECUTOR: Executor = RayExecutor()
