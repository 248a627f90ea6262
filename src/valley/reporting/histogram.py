"""A histogram as a drawing in SVG: a bar a bin, the edges beneath, the counts above.

Colours come from the page. Bins are those that people think in (seconds, then minutes), or grow with the
numbers (words), so that two pages can be laid side by side.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from html import escape
from typing import TypeAlias

Number: TypeAlias = int | float

DURATION_EDGES_S = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Where bins begin; the last has no end."""

NUM_WORDS_EDGES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""The same for words of a text."""

_WIDTH, _HEIGHT = 360, 168  # fits a phone's width without shrinking its letters
_TOP, _BOTTOM, _SIDE = 20, 26, 12


def short_time(time_s: Number) -> str:
    """Write an edge, such as 30s, 2m or 1h."""
    if math.isinf(time_s):
        return "∞"
    for unit_s, unit in ((3600, "h"), (60, "m")):
        if time_s >= unit_s and time_s % unit_s == 0:
            return f"{time_s / unit_s:g}{unit}"
    return f"{time_s:g}s"


def short_number(number: Number) -> str:
    """Write an edge that is a plain number."""
    return "∞" if math.isinf(number) else f"{number:g}"


def short_count(count: int) -> str:
    """Write a count above a narrow bar, such as 950, 1.2k or 3.4M."""
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit:
            return f"{count / unit:.1f}{letter}" if count < 10 * unit else f"{count // unit}{letter}"
    return str(count)


def bin_of(value: Number, edges: Sequence[Number]) -> int:
    """Say into which bin a value falls, which is not below the first edge."""
    return bisect_right(edges, value) - 1


def draw_histogram(
    counts: Sequence[int], *, edges: Sequence[Number], title: str, label: Callable[[Number], str] = short_time
) -> str:
    """Draw counts; empty bins at both ends are left out.

    Args:
        counts: one a bin.
        edges: where each bin begins.
        title: said to those who do not see the drawing.
        label: writes an edge; infinity is the end of the last bin. Edges are times unless it is given.

    Returns:
        An <svg> element; empty where there is nothing to draw.
    """
    filled = [place for place, count in enumerate(counts) if count]
    if not filled:
        return ""
    first, last = filled[0], filled[-1]
    step = (_WIDTH - 2 * _SIDE) / (last - first + 1)
    room = _HEIGHT - _TOP - _BOTTOM
    base = _HEIGHT - _BOTTOM
    parts = [
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    for place in range(first, last + 1):
        count = counts[place]
        left = _SIDE + (place - first) * step
        tall = max(1.5, room * count / max(counts)) if count else 0.0
        parts.append(
            f'<rect x="{left + 1.5:.1f}" y="{base - tall:.1f}" width="{step - 3:.1f}" '
            f'height="{tall:.1f}" rx="2"/>'
        )
        if count:
            parts.append(
                f'<text x="{left + step / 2:.1f}" y="{base - tall - 5:.1f}">{short_count(count)}</text>'
            )
        parts.append(f'<text class="edge" x="{left:.1f}" y="{base + 16}">{label(edges[place])}</text>')
    end = edges[last + 1] if last + 1 < len(edges) else math.inf
    parts.append(f'<text class="edge" x="{_WIDTH - _SIDE}" y="{base + 16}">{label(end)}</text>')
    parts.append(f'<line x1="{_SIDE}" x2="{_WIDTH - _SIDE}" y1="{base + 0.5}" y2="{base + 0.5}"/></svg>')
    return "".join(parts)
