"""Scores as a drawing in SVG: a line a run in each group, its interval, and the controls beside it.

Colours come from the page (`run-0`, `run-1` ... by place). Lines of a group stand in the order of the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TypeAlias

Bounds: TypeAlias = "tuple[float | int, float | int]"

NUM_COLOURS = 6
"""Further runs begin again with the first colour; their place in the group tells them apart."""

_WIDTH = 360  # fits a phone's width without shrinking its letters
_SIDE = 14
_LABEL = 17
_LINE = 13
_GAP = 6
_AXIS = 20
_NUM_TICKS = 5


@dataclass(frozen=True)
class Line:
    """What is drawn of one run in one group.

    Attributes:
        score: the dot.
        interval: the bar through it.
        controls: a hollow mark for each control that has a score.
        colour: which of the page's colours, by the run's place in the report.
    """

    score: float | int
    interval: tuple[float | int, float | int]
    controls: Mapping[str, float | int] = field(default_factory=dict)
    colour: int = 0


def draw_scores(groups: Mapping[str, Sequence[Line | None]], *, bounds: Bounds, title: str) -> str:
    """Draw groups below each other.

    Args:
        groups: a line a run for each name; None where a run has no score there.
        bounds: the worst and the best score.
        title: said to those who do not see the drawing.

    Returns:
        An <svg> element; empty where there is nothing to draw.
    """
    if not groups:
        return ""
    heights = {name: _LABEL + _LINE * len(lines) + _GAP for name, lines in groups.items()}
    base = sum(heights.values())
    parts = [
        f'<svg class="scores" viewBox="0 0 {_WIDTH} {base + _AXIS}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        *_axis(bounds, base),
    ]
    top = 0
    for name, lines in groups.items():
        parts.append(f'<text class="name" x="{_SIDE}" y="{top + 12}">{escape(name)}</text>')
        for place, line in enumerate(lines):
            if line is not None:
                parts += _line(line, top + _LABEL + _LINE * place + _LINE / 2, bounds)
        top += heights[name]
    return "".join([*parts, "</svg>"])


def _x(score: float | int, bounds: Bounds) -> float:
    low, high = bounds
    share = (score - low) / (high - low) if high > low else 0.0
    return round(_SIDE + min(1.0, max(0.0, share)) * (_WIDTH - 2 * _SIDE), 1)


def _axis(bounds: Bounds, base: float | int) -> list[str]:
    low, high = bounds
    parts = []
    for number in range(_NUM_TICKS + 1):
        score = low + (high - low) * number / _NUM_TICKS
        x = _x(score, bounds)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{base}"/>')
        parts.append(f'<text class="edge" x="{x}" y="{base + 15}">{score:g}</text>')
    return parts


def _line(line: Line, y: float | int, bounds: Bounds) -> list[str]:
    low, high = (_x(bound, bounds) for bound in line.interval)
    x = _x(line.score, bounds)
    marks = [control_mark(name, _x(score, bounds), y) for name, score in line.controls.items()]
    return [
        f'<g class="run-{line.colour % NUM_COLOURS}">',
        f'<line class="interval" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>',
        f'<circle class="score" cx="{x}" cy="{y}" r="3.2"/>',
        *marks,
        "</g>",
    ]


def control_mark(name: str, x: float | int, y: float | int) -> str:
    """Draw a control's hollow mark: a square for black frames, a triangle for one, a cross for others."""
    shapes = {
        "blind": f"M{x - 4.5} {y - 4.5}h9v9h-9z",
        "one_frame": f"M{x - 5.5} {y + 4.5}h11l-5.5 -10z",
        "swapped": f"M{x - 4} {y - 4}l8 8m0 -8l-8 8",
    }
    return f'<path class="control" d="{shapes.get(name, f"M{x} {y - 5}l5 5l-5 5l-5 -5z")}"/>'
