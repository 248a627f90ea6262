"""Draw how the embedded model learns: right answers over hours, from the records that `make mini` leaves.

    python docs/experiments/mini.py out/mini-2h [mini.svg]

Writes the picture beside this file and prints what it draws. The language lesson measures itself on every
batch: no clip comes twice, so these are answers about clips it has not seen, given as numbers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

from valley.synthetic.questions import VIDEO_TASKS

HERE = Path(__file__).parent
WINDOW = 4
"""Lines of the record that make one point."""


def main() -> None:
    """Read the record of the lesson and draw it."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/mini-2h")
    lines = _read(folder / "language" / "metrics.jsonl")
    points = [_point(lines[i : i + WINDOW]) for i in range(0, len(lines) - WINDOW + 1, WINDOW)]
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    hours = [p["seconds"] / 3600 for p in points]
    for task in VIDEO_TASKS:
        axes.plot(hours, [100 * p[task] for p in points], lw=1, alpha=0.7, label=task)
    overall = [100 * mean(p[task] for task in VIDEO_TASKS) for p in points]
    axes.plot(hours, overall, lw=3, color="black", label="mean of tasks")
    axes.set_xlabel("hours of the language lesson on two cores")
    axes.set_ylabel("wholly right answers, %")
    axes.set_ylim(0, 100)
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(HERE / (sys.argv[2] if len(sys.argv) > 2 else "mini.svg"))
    for hour, score in list(zip(hours, overall, strict=True))[:: max(1, len(points) // 12)]:
        print(f"{hour:5.2f} h  {score:5.1f} %")


def _read(path: Path) -> list[dict[str, float]]:
    """Read the record; the clock of a run that went on after an interruption is set forward."""
    lines, before_s, last_s = [], 0.0, 0.0
    for line in path.open(encoding="utf-8"):
        one = json.loads(line)
        if one["seconds"] < last_s:
            before_s += last_s
        last_s = one["seconds"]
        lines.append(one | {"seconds": before_s + last_s})
    return lines


def _point(lines: list[dict[str, float]]) -> dict[str, float]:
    names = ("seconds", *VIDEO_TASKS)
    return {name: mean(line[name] for line in lines if name in line) for name in names}


if __name__ == "__main__":
    main()
