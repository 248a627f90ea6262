"""The child's side of `valley.collection.crew`: import one task, then run its jobs, one at a time, for ever.

Both sides speak lengths and JSON over pipes::

    child  -> {"ready": true}, or {"unfit": "no module named ..."}
    parent -> {"arguments": {"path": "a.mp4"}, "timeout_s": 60.0}
    child  -> {"record": {"width": 640}}, or {"fault": ["truncated", "has no index", null]}

The pipes are moved away from where a task's own input and output go, which is nowhere. The child ends with
its parent: the pipe closes. A job that hangs is ended by the system's clock, should the parent be too busy.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, TypeAlias

from valley.collection.executor import ERROR, OUT_OF_MEMORY, RefusedError
from valley.errors import ConfigError, MediaError, ValleyError

Task: TypeAlias = Callable[..., object]

MOST_MESSAGE_BYTES = 2**26
GRACE_S = 5.0  # the parent's clock speaks first
_LENGTH_BYTES = 8
_MOST_DETAIL_CHARACTERS = 500


def serve(task_name: str, max_memory_bytes: int) -> None:
    """Run jobs from standard input until it closes; the child's whole life."""
    requests, answers = _private_pipes()
    waiting: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.putenv(name, "1")  # as many children as cores: each has one
    try:
        task = import_task(task_name)
    except ConfigError as error:
        send(answers, {"unfit": str(error)})
        return
    _limit_resources(max_memory_bytes)
    send(answers, {"ready": True})
    while True:
        request = waiting.get()
        _set_alarm(request["timeout_s"] + GRACE_S)
        answer = call(task, request["arguments"], max_memory_bytes)
        send(answers, answer)
        _set_alarm(0.0)


def import_task(name: str) -> Task:
    """Import what "package.module:function" names.

    Raises:
        ConfigError: there is no such thing, or it does not import.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise ConfigError(f'want a task as "package.module:function", got {name!r}')
    try:
        task = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the task {name} cannot be imported: {error}") from error
    if not callable(task):
        raise ConfigError(f"want a function as a task, got {name}, which is a {type(task).__name__}")
    return task


def call(task: Task, arguments: Mapping[str, Any], max_memory_bytes: int) -> dict[str, Any]:
    """Run one job; whatever a task raises becomes a fault: reason, detail, number."""
    try:
        record = task(**arguments)
        return {"record": _checked(record)}
    except RefusedError as error:
        fault = error.reason, error.detail, error.number
    except MediaError as error:
        fault = reason_of(error), error.reason + (f"; {error.cure}" if error.cure else ""), None
    except ValleyError as error:
        fault = reason_of(error), str(error), None
    except MemoryError:
        fault = OUT_OF_MEMORY, f"needs more memory than {max_memory_bytes} bytes", max_memory_bytes
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a task is anybody's; the other jobs go on)
        fault = ERROR, _describe(error), None
    reason, detail, number = fault
    return {"fault": [reason, detail[:_MOST_DETAIL_CHARACTERS], number]}


def reason_of(error: ValleyError) -> str:
    """Give an error's class as a reason: NotAVideoError is "not_a_video"."""
    name = type(error).__name__.removesuffix("Error")
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _checked(record: object) -> dict[str, Any]:
    """Give the record as JSON gives it back."""
    if not isinstance(record, dict):
        raise TypeError(f"want a dict from a task, got {type(record).__name__}")
    text = json.dumps(record, allow_nan=False)
    if len(text) > MOST_MESSAGE_BYTES // 2:
        raise ValueError(f"want a record of at most {MOST_MESSAGE_BYTES // 2} bytes, got {len(text)}")
    return json.loads(text)


def _describe(error: BaseException) -> str:
    """Say what was raised and where."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}"[: _MOST_DETAIL_CHARACTERS - len(place)] + place


def _private_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Take the protocol's pipes away from where `print` and C libraries write and read."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return requests, answers


def _listen(requests: IO[bytes], waiting: SimpleQueue[Any]) -> None:
    """Hand requests on; end this process, and what it started, once the parent is gone."""
    while True:
        request = receive(requests)
        if request is None:
            if os.name == "posix" and os.getpgrp() == os.getpid():
                os.killpg(os.getpid(), signal.SIGKILL)
            os._exit(0)
        waiting.put(request)


def _set_alarm(seconds: float) -> None:
    """Have the system end this process after a while, whatever it does; 0: no longer."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_resources(max_memory_bytes: int) -> None:
    """Bound what this process may hold; no core dumps. Windows has no such limits.

    Data, and not the whole address space, where the system counts it (Linux): threads reserve much that they
    never touch.
    """
    if find_spec("resource") is None:
        return
    import resource

    memory = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    for kind, bound in ((memory, max_memory_bytes), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        allowed = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (allowed, allowed))


def send(file: IO[bytes], message: Mapping[str, Any]) -> None:
    """Write a message: its length and its JSON."""
    data = json.dumps(message).encode()
    file.write(len(data).to_bytes(_LENGTH_BYTES, "little") + data)
    file.flush()


def receive(file: IO[bytes]) -> dict[str, Any] | None:
    """Read what `send` wrote; None where the other side ended, or speaks something else."""
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if not 0 < length <= MOST_MESSAGE_BYTES:
        return None
    data = file.read(length)
    try:
        message = json.loads(data) if len(data) == length else None
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
