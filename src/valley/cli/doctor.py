"""`valley doctor`: does this installation work, and what is missing?"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from valley.cli import text
from valley.cli.options import AsJson, Model
from valley.errors import ValleyError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DISTRIBUTION = "valley-vl"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; "missing" is no fault, "failed" is."""

    what: str
    state: Literal["ok", "missing", "failed"]
    found: str
    cure: str = ""


def doctor(model: Model = "valley-mini", as_json: AsJson = False) -> None:
    """Check this installation, and say what is missing."""
    findings = [
        *_versions(),
        _try("decoding", _decode, cure="pip install --force-reinstall av"),
        _try("answering", lambda: _answer(model), cure="pip install --force-reinstall valley-vl"),
        *_extras(),
    ]
    if as_json:
        text.print_json({"ok": _is_well(findings), "findings": [asdict(f) for f in findings]})
    else:
        marks = {"ok": "ok", "missing": "--", "failed": "FAILED"}
        print(
            text.table(
                (marks[f.state], f.what, f.found + (f": {f.cure}" if f.cure else "")) for f in findings
            )
        )
    if not _is_well(findings):
        raise typer.Exit(1)


def _is_well(findings: list[Finding]) -> bool:
    return all(f.state != "failed" for f in findings)


def _versions() -> list[Finding]:
    from valley import __version__

    found = [Finding("valley", "ok", __version__), Finding("python", "ok", platform.python_version())]
    return found + [_installed(name) for name in _requirements()]


def _requirements(extra: str | None = None) -> list[str]:
    """Names of the distributions that this one, or one of its extras, needs."""
    lines = importlib.metadata.requires(_DISTRIBUTION) or []
    wanted = [line for line in lines if _extra_of(line) == extra]
    names = [re.match(r"[A-Za-z0-9._-]+", line) for line in wanted]
    return [n.group() for n in names if n and n.group() != _DISTRIBUTION]


def _extra_of(line: str) -> str | None:
    found = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", line)
    return found.group(1) if found else None


def _installed(name: str, *, cure: str = "") -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "missing", "not installed", cure or f"pip install {name}")


def _extras() -> list[Finding]:
    """One line for each extra: there, or the pip line."""
    extras = importlib.metadata.metadata(_DISTRIBUTION).get_all("Provides-Extra") or []
    found = []
    for extra in (e for e in extras if e != "all"):
        parts = [_installed(name) for name in _requirements(extra)]
        absent = [p.what for p in parts if p.state != "ok"]
        cure = f"pip install 'valley-vl[{extra}]'"
        found.append(
            Finding(f"extra {extra}", "missing", f"lacks {', '.join(absent)}", cure)
            if absent
            else Finding(f"extra {extra}", "ok", ", ".join(f"{p.what} {p.found}" for p in parts))
        )
    return found


def _try(what: str, act: Callable[[], str], *, cure: str) -> Finding:
    """Run one check; whatever goes wrong in it is what the doctor is asked to find."""
    try:
        return Finding(what, "ok", act())
    except (ValleyError, ImportError, OSError, RuntimeError, ValueError) as error:
        return Finding(what, "failed", f"{type(error).__name__}: {' '.join(str(error).split())}", cure)


def _decode() -> str:
    """Write a small clip and read a frame of it back."""
    import numpy as np

    from valley.video.decoding import read_frames
    from valley.video.encoding import write_video
    from valley.video.sampling import FrameSampling

    grey = np.full((8, 64, 64, 3), 128, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grey.mp4"
        write_video(path, iter(grey), fps=8)
        frames = read_frames(path, FrameSampling(num_frames=2))
    error = int(np.abs(frames.pixels.astype(int) - 128).max())
    if error > 4:  # H.264 moves a flat grey by a step or two
        raise RuntimeError(f"want grey of 128, got values off by {error}")
    return f"{len(frames)} frames of an H.264 clip written and read back"


def _answer(model: str) -> str:
    """Ask a model about a rendered clip; say what it runs on."""
    import torch

    from valley.conversation import Video
    from valley.inference.valley import Valley
    from valley.video.encoding import write_video

    started_s = time.perf_counter()
    valley = Valley.from_pretrained(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "square.mp4"
        write_video(path, _moving_square(), fps=8)
        answer = valley.answer([Video(str(path)), "What do you see?"], max_new_tokens=16)
    took_s = time.perf_counter() - started_s
    where = "a GPU" if torch.accelerator.is_available() else f"the CPU with {torch.get_num_threads()} threads"
    return (
        f"{valley.name} saw {answer.usage.visual} visual tokens and gave {answer.usage.completion} tokens "
        f"in {took_s:.1f} s on {where}"
    )


def _moving_square() -> Iterator[NDArray[np.uint8]]:
    """Draw a white square that moves to the right over black."""
    import numpy as np

    for left in range(8, 88, 10):
        frame = np.zeros((128, 128, 3), np.uint8)
        frame[48:80, left : left + 32] = 255
        yield frame
