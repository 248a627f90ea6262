"""Decode files of strangers in a child process that can be killed and may not use more memory than allowed.

The child is a fresh interpreter, not a fork, and confined where the system can (`valley.video.confining`).
Both sides speak lengths, JSON and raw pixels over pipes: nothing is unpickled. The conversation::

    child  -> b"R"                                     ready: the clock starts
    parent -> length, {"task": "frames", ...}, length, bytes of the file (none for a path)
    child  -> length, {"shape": [8, 720, 1280, 3], "shown_at_s": [...], ...}, pixels
           or length, {"error": "TruncatedError", "reason": ..., "cure": ...}
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from valley import errors
from valley.errors import (
    DamagedError,
    DecodeTimeoutError,
    MediaError,
    SamplingError,
    TooLargeError,
)
from valley.video.frames import Frames
from valley.video.limits import DecodeLimits

START_TIMEOUT_S = 120.0  # an interpreter with numpy starts in well under a second on an idle machine
GRACE_S = 0.5  # the child's own clock speaks first: its error says more than a kill
MOST_HEADER_BYTES = 2**28  # lists of a few million times
_LENGTH_BYTES = 8
READY = b"R"
# One thread, so that confining it confines all; a decoder's own threads are started afterwards.
_BOOT = (
    "import os, sys; sys.path[:] = sys.argv[1:]; os.environ['OPENBLAS_NUM_THREADS'] = '1'; "
    "from valley.video.isolated_child import serve; serve()"
)

_logger = logging.getLogger(__name__)


def child_command() -> list[str]:
    """Give the command line of the child: this interpreter and these import paths, no user site, no cwd."""
    return [sys.executable, "-I", "-c", _BOOT, *(str(Path(p).absolute()) for p in sys.path if p)]


def call_child(
    request: Mapping[str, Any],
    payload: bytes,
    source: str,
    limits: DecodeLimits,
    *,
    command: Sequence[str] | None = None,
    start_timeout_s: float | int = START_TIMEOUT_S,
) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Run one task in a child process and return its header and pixels (none for a probe).

    Args:
        request: plain values, see `valley.video.isolated_child`.
        payload: bytes of the file; none where the request names a path.
        source: for messages.
        limits: on the child's time and memory.
        command: another child, for tests.
        start_timeout_s: how long the child may take until it is ready.

    Raises:
        MediaError: the child's error; or it was killed at its time limit, or died.
    """
    with subprocess.Popen(
        command or child_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(start_timeout_s, stop)
        timer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            _expect(process.stdout, len(READY))
            timer.cancel()
            timer = threading.Timer(limits.timeout_s + GRACE_S, stop)
            timer.start()
            send(process.stdin, json.dumps(request).encode())
            send(process.stdin, payload)
            header = json.loads(receive(process.stdout, MOST_HEADER_BYTES))
            return _checked(header, source), _pixels(process.stdout, header, source, limits)
        except (EOFError, BrokenPipeError, json.JSONDecodeError) as error:
            process.kill()
            if late.is_set():
                raise DecodeTimeoutError(
                    source,
                    f"reading took longer than {limits.timeout_s:g} s and was stopped",
                    "raise timeout_s",
                ) from error
            raise DamagedError(
                source, f"the decoder died (exit code {process.wait()})", "the file is unsafe: do not use it"
            ) from error
        finally:
            timer.cancel()
            process.kill()
            with suppress(BrokenPipeError):  # closing flushes what a dead child did not take
                assert process.stdin is not None
                process.stdin.close()


def _checked(header: dict[str, Any], source: str) -> dict[str, Any]:
    """Raise the child's error, repeat its warnings."""
    kind = header.get("error")
    if kind is not None:
        if kind == SamplingError.__name__:
            raise SamplingError(str(header["reason"]))
        found = vars(errors).get(str(kind))
        known = found if isinstance(found, type) and issubclass(found, MediaError) else MediaError
        raise known(source, str(header["reason"]), str(header.get("cure", "")))
    for line in header.get("warnings", ()):
        _logger.warning("%s", line)
    return header


def _pixels(
    file: IO[bytes], header: Mapping[str, Any], source: str, limits: DecodeLimits
) -> NDArray[np.uint8]:
    shape = tuple(int(n) for n in header.get("shape", (0,)))
    if min(shape) < 0 or math.prod(shape) > limits.max_memory_bytes:
        raise TooLargeError(source, f"the decoder answered with pictures of shape {shape}")
    pixels = np.empty(shape, dtype=np.uint8)
    view = pixels.reshape(-1).data
    while view:
        got = file.readinto(view)  # pyright: ignore[reportAttributeAccessIssue] (a BufferedReader)
        if not got:
            raise EOFError
        view = view[got:]
    return pixels


def request_of(task: str, source: object, limits: DecodeLimits) -> tuple[dict[str, Any], bytes]:
    """Make the request that all tasks share, and its payload.

    Args:
        task: "probe" or "frames".
        source: a path, a list of paths, or the bytes of a file.
        limits: for the child.
    """
    paths = [str(Path(p).absolute()) for p in source] if isinstance(source, (list, tuple)) else []
    path = str(Path(source).absolute()) if isinstance(source, (str, Path)) else ""
    request = {"task": task, "path": path, "paths": paths, "limits": dataclasses.asdict(limits)}
    return request, source if isinstance(source, bytes) else b""


def frames_of(header: Mapping[str, Any], pixels: NDArray[np.uint8]) -> Frames:
    """Put together what a child answered to the task "frames"."""
    numbers = header["frame_numbers"]
    return Frames(
        pixels,
        np.asarray(header["shown_at_s"], dtype=np.float64),
        tuple(float(t) for t in header["missing_s"]),
        None if numbers is None else np.asarray(numbers, dtype=np.int64),
        None if header["end_s"] is None else float(header["end_s"]),
    )


def send(file: IO[bytes], data: bytes) -> None:
    """Write a length and the bytes."""
    file.write(len(data).to_bytes(_LENGTH_BYTES, "little"))
    file.write(data)
    file.flush()


def receive(file: IO[bytes], most_bytes: int) -> bytes:
    """Read what `send` wrote.

    Raises:
        EOFError: the other side ended first, or announced more than `most_bytes`.
    """
    length = int.from_bytes(_expect(file, _LENGTH_BYTES), "little")
    if length > most_bytes:
        raise EOFError
    return _expect(file, length)


def _expect(file: IO[bytes], num_bytes: int) -> bytes:
    data = file.read(num_bytes)
    if len(data) < num_bytes:
        raise EOFError
    return data
