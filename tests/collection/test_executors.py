"""Executors give one outcome a job, whatever a task does, and the same one each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from valley.collection.crew import Crew, dearest_first
from valley.collection.executor import EXECUTORS, Executor, Job, Outcome, RefusedError
from valley.collection.executors.inline import InlineExecutor
from valley.collection.executors.pool import PoolExecutor
from valley.collection.worker import reason_of
from valley.errors import BackendError, ConfigError, DecodeTimeoutError, MediaError, NotAVideoError

TASKS = "collection.executor_tasks"
WELL = [Job(f"job-{n}", {"number": n}, cost=float(n % 5)) for n in range(24)]
NO_CRASH = ["refuse", "not_a_video", "sampling", "bug", "sys_exit", "no_dict", "no_json"]


def run(executor: Executor, task: str, jobs, num_workers: int = 2) -> dict[str, Outcome]:
    outcomes = list(executor.run(f"{TASKS}:{task}", jobs, num_workers=num_workers))
    by_key = {outcome.key: outcome for outcome in outcomes}
    assert len(by_key) == len(outcomes)
    return by_key


def behaving(*how: str, timeout_s: float = 60.0, folder: str = "") -> list[Job]:
    return [Job(h, {"how": h, "folder": folder}, timeout_s=timeout_s) for h in how]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet asked after does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_all_executors_are_listed_and_keep_their_promise():
    assert EXECUTORS.names() == ["inline", "pool", "ray"]
    for name in EXECUTORS.names():
        executor = EXECUTORS.get(name)
        assert isinstance(executor, Executor)
        assert executor.name == name
        assert executor.configured(max_memory_bytes=2**30).name == name


@pytest.mark.parametrize("name", ["inline", "pool"])
def test_no_address_without_a_cluster(name: str):
    with pytest.raises(ConfigError, match="this machine alone"):
        EXECUTORS.get(name).configured(address="auto")


def test_inline_and_pool_give_the_same():
    inline, pool = run(InlineExecutor(), "double", WELL), run(PoolExecutor(), "double", WELL)
    assert inline == pool
    assert inline["job-7"] == Outcome("job-7", {"number": 14, "words": ["Größe", "大小"], "pair": [1, 2.5]})


def test_arguments_reach_the_task_as_json():
    value = {"tuple": (1, "a"), "none": None, "name": "a\udcff.mp4"}
    jobs = [Job("a", {"value": value})]
    inline, pool = run(InlineExecutor(), "echo", jobs), run(PoolExecutor(), "echo", jobs)
    assert inline == pool
    assert pool["a"].record == {"value": {"tuple": [1, "a"], "none": None, "name": "a\udcff.mp4"}}


def test_what_a_task_raises_becomes_a_fault_with_one_try():
    inline = run(InlineExecutor(), "behave", behaving(*NO_CRASH))
    pool = run(PoolExecutor(), "behave", behaving(*NO_CRASH))
    assert inline == pool
    assert pool["refuse"] == Outcome("refuse", None, "too_dark", "nearly all of it is black", 0.97, 1)
    assert pool["not_a_video"].reason == "not_a_video"
    assert pool["not_a_video"].detail == "begins with <html>; download it again"
    assert pool["sampling"].reason == "sampling"
    assert {pool[how].reason for how in NO_CRASH[3:]} == {"error"}
    assert pool["bug"].detail.startswith("KeyError: 'missing' (executor_tasks.py:")
    assert pool["sys_exit"].detail.startswith("SystemExit: no more")
    assert "want a dict" in pool["no_dict"].detail
    assert {outcome.attempts for outcome in pool.values()} == {1}


def test_a_pool_survives_what_kills_a_child():
    pool = PoolExecutor().configured(max_memory_bytes=2**30)
    jobs = [
        *behaving("exit", "segfault", "allocate", "print"),
        *behaving("hang", "spin", timeout_s=0.5),
    ]
    outcomes = run(pool, "behave", jobs)
    assert outcomes["exit"] == Outcome(
        "exit", None, "crashed", "the child process ended with exit code 3", 3, 2
    )
    assert outcomes["segfault"].detail == "the child process was killed by SIGSEGV"
    assert outcomes["segfault"].reason == "crashed"
    for how in ("hang", "spin"):
        assert outcomes[how] == Outcome(how, None, "timeout", "took longer than 0.5 s", 0.5, 2)
    assert outcomes["allocate"].reason == "out_of_memory"
    assert (outcomes["allocate"].number, outcomes["allocate"].attempts) == (2**30, 2)
    assert outcomes["print"] == Outcome("print", {"read": ""})


def test_a_second_try_may_go_well(tmp_path: Path):
    outcomes = run(PoolExecutor(), "behave", behaving("once", folder=str(tmp_path)), 1)
    assert outcomes == {"once": Outcome("once", {"well": True}, attempts=2)}


def test_four_bad_ones_in_a_thousand_cost_four():
    bad = {100: "exit", 300: "segfault", 301: "hang", 999: "allocate"}
    jobs = [
        Job(str(n), {"how": bad[n]} if n in bad else {"how": "refuse"}, timeout_s=0.5 if n in bad else 60)
        for n in range(1000)
    ]
    outcomes = run(PoolExecutor(), "behave", jobs)
    assert len(outcomes) == 1000
    faults = {key: o.reason for key, o in outcomes.items() if o.reason != "too_dark"}
    assert faults == {"100": "crashed", "300": "crashed", "301": "timeout", "999": "out_of_memory"}


def test_a_child_imports_the_task_and_little_else():
    (outcome,) = run(PoolExecutor(), "who_am_i", [Job("a", {})]).values()
    assert outcome.record is not None
    assert outcome.record["pid"] != os.getpid()
    assert not outcome.record["has_numpy"]
    assert not outcome.record["has_torch"]


def test_children_are_kept_between_calls_of_a_crew_and_gone_after_it():
    with Crew(f"{TASKS}:who_am_i", num_workers=1) as crew:
        pids = {o.record["pid"] for _ in range(3) for o in crew.work([Job("a", {})]) if o.record}
        assert len(pids) == 1
        assert is_alive(*pids)
    assert not is_alive(*pids)


def test_a_child_that_dies_while_it_has_nothing_to_do_is_replaced():
    with Crew(f"{TASKS}:who_am_i", num_workers=1) as crew:
        (first,) = crew.work([Job("a", {})])
        assert first.record is not None
        os.kill(first.record["pid"], signal.SIGKILL)
        assert wait_until(lambda: not is_alive(first.record["pid"]))
        (second,) = crew.work([Job("b", {})])
        assert second.record is not None
        assert second.record["pid"] != first.record["pid"]


def test_a_run_that_is_left_leaves_nothing_running(tmp_path: Path):
    jobs = [*behaving("refuse"), *behaving("family", folder=str(tmp_path))]
    outcomes = PoolExecutor().run(f"{TASKS}:behave", jobs, num_workers=2)
    assert next(outcomes).key == "refuse"
    assert wait_until(lambda: (tmp_path / "family").exists() and (tmp_path / "family").read_text() != "")
    family = [int(pid) for pid in (tmp_path / "family").read_text().split()]
    assert len(family) == 2
    outcomes.close()  # pyright: ignore[reportAttributeAccessIssue] (a generator)
    assert wait_until(lambda: not any(map(is_alive, family)))


@pytest.mark.parametrize("how_it_ends", [signal.SIGINT, signal.SIGKILL])
def test_children_do_not_outlive_their_parent(tmp_path: Path, how_it_ends: signal.Signals):
    program = (
        "import sys; sys.path[:] = sys.argv[2:]\n"
        "from valley.collection.executor import Job\n"
        "from valley.collection.executors.pool import PoolExecutor\n"
        "jobs = [Job('a', {'how': 'family', 'folder': sys.argv[1]})]\n"
        f"list(PoolExecutor().run('{TASKS}:behave', jobs, num_workers=2))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), *sys.path], stderr=subprocess.DEVNULL
    )
    note = tmp_path / "family"
    assert wait_until(lambda: note.exists() and note.read_text() != "")
    family = [int(pid) for pid in note.read_text().split()]
    assert all(map(is_alive, family))
    parent.send_signal(how_it_ends)
    parent.wait(10)
    assert wait_until(lambda: not any(map(is_alive, family)))


@pytest.mark.parametrize("executor", [InlineExecutor(), PoolExecutor()], ids=lambda e: e.name)
@pytest.mark.parametrize("task", [f"{TASKS}:nothing", "collection.nowhere:double", f"{TASKS}:_HOW", "double"])
def test_a_task_that_is_none_ends_the_run(executor: Executor, task: str):
    with pytest.raises(ConfigError):
        list(executor.run(task, [Job("a", {})], num_workers=1))


def test_without_jobs_nothing_is_started():
    assert run(PoolExecutor(), "nothing", []) == {}
    with pytest.raises(ConfigError, match="at least 1 worker"):
        run(PoolExecutor(), "double", WELL, 0)


def test_jobs_are_taken_as_they_are_needed():
    taken = []

    def endless():
        number = 0
        while True:
            taken.append(number)
            yield Job(str(number), {"number": number}, cost=number)
            number += 1

    first = [job.key for job, _ in zip(dearest_first(endless(), window=10), range(3), strict=False)]
    assert first == ["10", "11", "12"]
    assert len(taken) < 20


def test_the_dearest_of_a_window_comes_first_and_equals_in_their_order():
    costs = [1, 5, 3, 5, 0]
    jobs = [Job(str(n), {}, cost=cost) for n, cost in enumerate(costs)]
    assert [job.key for job in dearest_first(jobs)] == ["1", "3", "2", "0", "4"]


def test_a_fault_survives_the_store():
    fault = Outcome("a", None, "timeout", "took longer than 1 s", 1.0, 2)
    assert fault.to_record()["fault"]["reason"] == "timeout"
    assert Outcome.from_record("a", fault.to_record()) == fault
    assert Outcome.from_record("a", {"width": 4}) == Outcome("a", {"width": 4})


def test_reasons_are_words():
    assert reason_of(NotAVideoError("a", "b")) == "not_a_video"
    assert reason_of(DecodeTimeoutError("a", "b")) == "decode_timeout"
    assert reason_of(MediaError("a", "b")) == "media"
    assert str(RefusedError("too_dark", "black")) == "too_dark: black"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_ray_gives_what_the_pool_gives_and_runs_again_what_a_lost_worker_had(tmp_path: Path):
    pytest.importorskip("ray")
    how = [*NO_CRASH, "exit", "segfault", "allocate", "print"]
    jobs = [*behaving(*how), *behaving("hang", timeout_s=1.0)]
    jobs += [Job(f"double-{n}", {"how": "double", "folder": "ab" * n}) for n in range(20)]
    pool = run(PoolExecutor().configured(max_memory_bytes=2**30), "behave", jobs)
    assert pool["double-2"].record == {"doubled": "abababab"}
    ray = EXECUTORS.get("ray").configured(max_memory_bytes=2**30)
    losing = Job("orphan", {"how": "orphan", "folder": str(tmp_path)})
    outcomes = run(ray, "behave", [*jobs, losing])
    assert outcomes.pop("orphan") == Outcome("orphan", {"well": True})
    assert outcomes == pool


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_ray_says_what_would_end_the_run_and_counts_nobody():
    ray = pytest.importorskip("ray")
    from ray._common.usage import usage_lib

    with pytest.raises(ConfigError, match="cannot be imported"):
        run(EXECUTORS.get("ray"), "nothing", WELL)
    assert not usage_lib.usage_stats_enabled()
    assert not ray.is_initialized()
    with pytest.raises(BackendError, match="want a Ray cluster at 'auto'"):
        run(EXECUTORS.get("ray").configured(address="auto"), "double", WELL)
