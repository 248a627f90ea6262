"""How things are written for people: tables, sizes, times."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence


def table(rows: Iterable[Sequence[object]], *, header: Sequence[str] = ()) -> str:
    """Align columns; numbers to the right, words to the left, Chinese two cells a character."""
    cells = [[str(c) for c in row] for row in ([header, *rows] if header else rows)]
    widths = [max(width(row[i]) for row in cells) for i in range(len(cells[0]))] if cells else []
    right = [all(_is_number(row[i]) for row in cells[bool(header) :]) for i in range(len(widths))]
    lines = [
        "  ".join(_pad(c, w, right=r) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def width(text: str) -> int:
    """Count the terminal cells a text takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, cells: int, *, right: bool) -> str:
    space = " " * (cells - width(text))
    return space + text if right else text + space


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace(",", "").lstrip("-").rstrip("%").isdigit()


def size(num_bytes: int | float) -> str:
    """Write a number of bytes, such as ``3.2 MB``."""
    value = float(num_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def clock(seconds: float) -> str:
    """Write a time, such as ``0:03.5`` or ``1:02:03.0``."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print one JSON value; not-a-number is null, because JSON has no word for it."""
    print(json.dumps(_finite(value), ensure_ascii=False, indent=indent))
    sys.stdout.flush()


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def say_progress(of_all: int, done: int, *, what: str) -> None:
    """Write over one line on stderr, such as ``3/100 clips``; the last one stays."""
    end = "\n" if done == of_all else ""
    print(f"\r\x1b[K{done}/{of_all} {what}", end=end, file=sys.stderr, flush=True)


def say_count(done: int, *, what: str, is_last: bool = False) -> None:
    """Write over one line on stderr, such as ``3000 conversations``, where nobody knows of how many."""
    print(f"\r\x1b[K{done} {what}", end="\n" if is_last else "", file=sys.stderr, flush=True)


def sentence(error: Exception) -> str:
    """Say an error in one line, with the file's name."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or type(error).__name__).lower()}"
    return " ".join(str(error).split()) or type(error).__name__
