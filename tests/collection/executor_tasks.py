"""Tasks for the tests of executors: good ones, and ones that go wrong in every way a task can."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from valley.collection.executor import RefusedError
from valley.errors import NotAVideoError, SamplingError


def double(*, number: int) -> dict:
    return {"number": 2 * number, "words": ["Größe", "大小"], "pair": (1, 2.5)}


def echo(*, value: object) -> dict:
    return {"value": value}


def behave(*, how: str, folder: str = "") -> dict:
    return _HOW[how](folder)


def who_am_i() -> dict:
    return {"pid": os.getpid(), "has_numpy": "numpy" in sys.modules, "has_torch": "torch" in sys.modules}


def _refuse(folder: str) -> dict:
    raise RefusedError("too_dark", "nearly all of it is black", 0.97)


def _not_a_video(folder: str) -> dict:
    raise NotAVideoError("/somewhere/a.mp4", "begins with <html>", "download it again")


def _sampling(folder: str) -> dict:
    raise SamplingError("want fps above 0, got -1")


def _bug(folder: str) -> dict:
    return {}["missing"]


def _exit(folder: str) -> dict:
    os._exit(3)


def _sys_exit(folder: str) -> dict:
    sys.exit("no more")


def _segfault(folder: str) -> dict:
    ctypes.string_at(0)
    return {}


def _hang(folder: str) -> dict:
    threading.Event().wait()
    return {}


def _spin(folder: str) -> dict:
    ctypes.PyDLL(None).sleep(3600)  # holds the lock of the interpreter
    return {}


def _allocate(folder: str) -> dict:
    return {"size": len(bytearray(40 * 2**30))}


def _print(folder: str) -> dict:
    print("I am no message", flush=True)  # noqa: T201 (that is the test)
    print("nor am I", file=sys.stderr, flush=True)  # noqa: T201
    os.write(1, b"\xff" * 100)
    subprocess.run([sys.executable, "-c", "print('and not I')"], check=True)
    logging.getLogger("valley").warning("a warning")
    return {"read": sys.stdin.read()}


def _once(folder: str) -> dict:
    """Crash the first time, be well the second."""
    flag = Path(folder, "been_here")
    if flag.exists():
        return {"well": True}
    flag.touch()
    os._exit(1)


def _orphan(folder: str) -> dict:
    """Kill the process that asks the first time: a Ray worker that is lost; be well the second."""
    flag = Path(folder, "been_here")
    if not flag.exists():
        flag.touch()
        os.kill(os.getppid(), signal.SIGKILL)
        threading.Event().wait()
    return {"well": True}


def _double(folder: str) -> dict:
    return {"doubled": 2 * folder}


def _family(folder: str) -> dict:
    """Start a grandchild, say who it is, and hang."""
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    Path(folder, "family").write_text(f"{os.getpid()} {grandchild.pid}")
    threading.Event().wait()
    return {}


def _no_dict(folder: str) -> dict:
    return [1]  # pyright: ignore[reportReturnType]


def _no_json(folder: str) -> dict:
    return {"ratio": float("nan")}


_HOW = {
    name.removeprefix("_"): function
    for name, function in list(globals().items())
    if name.startswith("_") and callable(function) and not name.startswith("__")
}
