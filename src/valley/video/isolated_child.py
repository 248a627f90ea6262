"""The child's side of `valley.video.isolation`: bound and confine this process, answer one request, end."""

from __future__ import annotations

import json
import logging
import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from valley.errors import MediaError, TooLargeError, ValleyError
from valley.video import decoding
from valley.video.confining import confine, die_with_parent
from valley.video.frames import Frames
from valley.video.isolation import GRACE_S, MOST_HEADER_BYTES, READY, receive, send
from valley.video.limits import DecodeLimits
from valley.video.sampling import FrameSampling

# Pipes, the medium (which decoding opens several times), libraries that are loaded late.
_MOST_OPEN_FILES = 64
# What the decoder itself may use beside the wanted frames: references and threads of a 4K stream.
_WORKING_BYTES = 2**30
_LARGEST_CPU_SHARE = 64  # threads that may burn CPU at once, for the backstop when the parent is gone


def serve() -> None:
    """Answer one request on standard input; the child's whole life."""
    die_with_parent()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(READY)
    answers.flush()
    request = json.loads(receive(requests, MOST_HEADER_BYTES))
    limits = DecodeLimits(**request["limits"])
    payload = receive(requests, limits.max_size_bytes)
    limit_resources(limits)
    confine([Path(path) for path in (request["path"], *request["paths"]) if path])
    header, pixels = answer(request, payload)
    send(answers, json.dumps(header).encode())
    answers.write(pixels)
    answers.flush()


def answer(request: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes | memoryview]:
    """Do what a request asks, and give what is sent back: the header and the pixels.

    Args:
        request: see `valley.video.isolation`.
        payload: bytes of the file; none where the request names a path.
    """
    limits = DecodeLimits(**request["limits"])
    source = request["paths"] or request["path"] or payload
    lines = _Lines()
    logging.getLogger("valley").addHandler(lines)
    pixels = b""
    try:
        if request["task"] == "probe":
            header = decoding.probe(source, limits=limits).to_dict()
        else:
            header, pixels = _read(request, source, limits)
    except MediaError as error:
        header = {"error": type(error).__name__, "reason": error.reason, "cure": error.cure}
    except ValleyError as error:
        header = {"error": type(error).__name__, "reason": str(error)}
    except MemoryError:
        reason = f"decoding needs more memory than the limit of {limits.max_memory_bytes} bytes"
        header = {"error": TooLargeError.__name__, "reason": reason, "cure": "raise max_memory_bytes"}
    finally:
        logging.getLogger("valley").removeHandler(lines)
    return header | {"warnings": lines.lines}, pixels


def _read(
    request: dict[str, Any], source: bytes | list[str] | str, limits: DecodeLimits
) -> tuple[dict[str, Any], memoryview]:
    sampling = request["sampling"] | {"times_s": _as_tuple(request["sampling"]["times_s"])}
    size_px = request["size_px"]
    frames = decoding.read_frames(
        source,
        FrameSampling(**sampling),
        size_px=size_px if not isinstance(size_px, list) else (size_px[0], size_px[1]),
        limits=limits,
        on_damage=request["on_damage"],
    )
    return _header_of(frames), frames.pixels.data


def _as_tuple(times: list[float] | None) -> tuple[float, ...] | None:
    return None if times is None else tuple(times)


def _header_of(frames: Frames) -> dict[str, Any]:
    return {
        "shape": list(frames.pixels.shape),
        "shown_at_s": frames.shown_at_s.tolist(),
        "missing_s": list(frames.missing_s),
        "frame_numbers": None if frames.frame_numbers is None else frames.frame_numbers.tolist(),
        "end_s": frames.end_s,
    }


class _Lines(logging.Handler):
    """Keeps the child's warnings for the parent."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def limit_resources(limits: DecodeLimits) -> None:
    """Bound this process: memory beyond what it has now, CPU time, open files, no files written, no core.

    Where the system has no such limits (Windows), the parent's clock is all there is.
    """
    if find_spec("resource") is None:
        return
    import resource

    statm = Path("/proc/self/statm")
    used_pages = int(statm.read_text(encoding="ascii").split()[0]) if statm.exists() else 0
    memory_bytes = used_pages * resource.getpagesize() + limits.max_memory_bytes + _WORKING_BYTES
    seconds = math.ceil(limits.timeout_s + GRACE_S) * _LARGEST_CPU_SHARE
    for kind, bound in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _MOST_OPEN_FILES),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (allowed, allowed))
