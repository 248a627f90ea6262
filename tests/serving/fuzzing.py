"""Mutated media, and a decoding child that takes many of them: to start 5,000 would take an hour."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import av
import numpy as np
from PIL import Image

from valley.video.isolation import child_command, receive, send
from valley.video.limits import UNTRUSTED
from valley.video.sampling import FrameSampling

# Ten times what such a clip takes on a busy machine; the picture bound keeps one job small.
LIMITS = dataclasses.replace(UNTRUSTED, timeout_s=10.0, max_memory_bytes=2**28)
GRACE_S = 5.0
_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MANY = (
    "import os, sys; sys.path[:] = sys.argv[1:]; os.environ['OPENBLAS_NUM_THREADS'] = '1'\n"
    "import json\n"
    "from valley.video.confining import confine, die_with_parent\n"
    "from valley.video.isolated_child import answer, limit_resources\n"
    "from valley.video.isolation import receive, send\n"
    "from valley.video.limits import DecodeLimits\n"
    "die_with_parent()\n"
    "requests, answers, is_first = sys.stdin.buffer, sys.stdout.buffer, True\n"
    "while True:\n"
    "    request, payload = json.loads(receive(requests, 2**20)), receive(requests, 2**30)\n"
    "    if is_first:\n"
    "        limit_resources(DecodeLimits(**request['limits']))\n"
    "        confine([])\n"
    "    is_first = False\n"
    "    header, pixels = answer(request, payload)\n"
    "    send(answers, json.dumps(header).encode())\n"
    "    send(answers, bytes(pixels))\n"
)


def _clip(container: str, codec: str, pix_fmt: str = "yuv420p", **options: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        stream = target.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        rng = np.random.default_rng(3)
        noise = rng.integers(0, 256, (48, 64, 3), np.uint8)
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, 2 * number, axis=1), format="rgb24")
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


def _picture(kind: str) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(4).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(noise).save(out, kind)
    return out.getvalue()


def seeds() -> dict[str, bytes]:
    """Make sound media of the containers and codecs that people upload."""
    return {
        "mp4 h264": _clip("mp4", "libx264", bf="2", g="8"),
        "mp4 in fragments": _clip("mp4", "libx264", movflags="frag_keyframe+empty_moov", g="8"),
        "mov mpeg4": _clip("mov", "mpeg4"),
        "mkv h264": _clip("matroska", "libx264", g="8"),
        "webm vp9": _clip("webm", "libvpx-vp9", deadline="realtime", **{"cpu-used": "8"}),
        "avi mjpeg": _clip("avi", "mjpeg", "yuvj420p"),
        "flv": _clip("flv", "flv"),
        "mpegts": _clip("mpegts", "mpeg2video"),
        "gif": _clip("gif", "gif", "rgb8"),
        "ogg": _clip("ogg", "libtheora") if "libtheora" in av.codecs_available else _clip("nut", "ffv1"),
        "png": _picture("PNG"),
        "jpeg": _picture("JPEG"),
        "webp": _picture("WEBP"),
        "tiff": _picture("TIFF"),
    }


def mutated(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Change a medium in one to eight places; now and then, put a part of another into it."""
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if not made:
            break
        # Half of the changes hit the beginning or the end, where containers keep their indices.
        end = len(made) if rng.random() < 0.5 else min(len(made), 600)
        at = int(rng.integers(0, end)) if rng.random() < 0.7 else len(made) - 1 - int(rng.integers(0, end))
        _change(made, at, other, rng)
    return bytes(made)


def _change(made: bytearray, at: int, other: bytes, rng: np.random.Generator) -> None:
    size = int(rng.choice([1, 2, 4, 8, 64, 1000]))
    match int(rng.integers(0, 8)):
        case 0:
            made[at] ^= 1 << int(rng.integers(0, 8))
        case 1:
            made[at : at + size] = rng.bytes(len(made[at : at + size]))
        case 2:
            del made[at : at + size]
        case 3:
            made[at:at] = rng.bytes(size)
        case 4:
            made[at : at + 4] = int(rng.choice(_EXTREMES)).to_bytes(
                4, "big" if rng.random() < 0.5 else "little"
            )
        case 5:
            made[at:at] = made[at : at + size]
        case 6:
            start = int(rng.integers(0, len(other)))
            made[at : at + size] = other[start : start + size]
        case _:
            del made[at + size :]


class ManyJobs:
    """A child like the server's that takes one job after the other; replaced when it dies."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ManyJobs:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def decode(self, data: bytes, *, on_damage: str) -> str:
        """Give the name of the error, "frames", "crashed: SIGNAL" or "hung"; a traceback is our own fault.

        Raises:
            AssertionError: the child ended with a traceback.
        """
        if self._child is None:
            command = child_command()
            command[3] = _MANY
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        child = self._child
        late = threading.Event()
        timer = threading.Timer(LIMITS.timeout_s + GRACE_S, lambda: (late.set(), child.kill()))
        timer.start()
        try:
            outcome = self._talk(child, data, on_damage)
        except (EOFError, BrokenPipeError):
            outcome = "hung" if late.is_set() else self._last_words(child)
        finally:
            timer.cancel()
        self.outcomes[outcome] += 1
        return outcome

    def _talk(self, child: subprocess.Popen[bytes], data: bytes, on_damage: str) -> str:
        assert child.stdin is not None
        assert child.stdout is not None
        request = {
            "task": "frames",
            "path": "",
            "paths": [],
            "limits": dataclasses.asdict(LIMITS),
            "sampling": dataclasses.asdict(FrameSampling(num_frames=4)),
            "size_px": 32,
            "on_damage": on_damage,
        }
        send(child.stdin, json.dumps(request).encode())
        send(child.stdin, data)
        header = json.loads(receive(child.stdout, 2**28))
        pixels = receive(child.stdout, 2**28)
        if "error" in header:
            assert header["reason"]
            return str(header["error"])
        assert len(pixels) == int(np.prod(header["shape"])) > 0
        times = header["shown_at_s"]
        assert len(times) == header["shape"][0]
        assert all(np.isfinite(times))
        return "frames"

    def _last_words(self, child: subprocess.Popen[bytes]) -> str:
        assert child.stderr is not None
        words = child.stderr.read().decode(errors="replace")
        code = child.wait()
        self._end()
        assert code < 0, words[-3000:]
        return f"crashed: {-code}"

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


def num_open_files() -> int:
    """Count this process's open files."""
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
