"""From scored answers to a report: by task, language and tag, with a table and a plot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from valley.errors import ConfigError, MissingExtraError
from valley.evaluation.metrics import percent, wilson_interval
from valley.evaluation.run import Scored


def make_report(scored: Sequence[Scored]) -> dict[str, Any]:
    """Group the scores.

    Returns:
        `overall`, `tasks`, `languages`, `task_languages` and `tags` of the normal questions, and the same
        under the name of each control ("blind"). Every leaf is {"score": percent, "count": n, "interval":
        [low, high]}.
    """
    normal = [s for s in scored if s.item.variant == "normal"]
    controls = {s.item.variant for s in scored} - {"normal"}
    return _groups(normal) | {
        c: _groups([s for s in scored if s.item.variant == c]) for c in sorted(controls)
    }


def _groups(scored: Sequence[Scored]) -> dict[str, Any]:
    tags = sorted({t for s in scored for t in s.item.tags})
    return {
        "overall": _leaf(scored),
        "tasks": _split(scored, lambda s: s.item.task),
        "languages": _split(scored, lambda s: s.item.language),
        "task_languages": _split(scored, lambda s: f"{s.item.task}/{s.item.language}"),
        "tags": {
            tag: {
                "overall": _leaf([s for s in scored if tag in s.item.tags]),
                "tasks": _split([s for s in scored if tag in s.item.tags], lambda s: s.item.task),
            }
            for tag in tags
        },
    }


def _leaf(scored: Sequence[Scored]) -> dict[str, Any]:
    scores = [s.score for s in scored]
    if not scores:
        return {"score": None, "count": 0, "interval": None}
    return {"score": percent(scores), "count": len(scores), "interval": list(wilson_interval(scores))}


def _split(scored: Iterable[Scored], name: Callable[[Scored], str]) -> dict[str, Any]:
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(name(one), []).append(one)
    return {key: _leaf(group) for key, group in groups.items()}


def as_table(report: dict[str, Any]) -> str:
    """Write the report as a Markdown table: a row a task, a column a language, and black frames."""
    languages = list(report["languages"])
    blind = report.get("blind")
    head = ["task", *languages, "all", "95 %", "questions", *(["black frames"] if blind else [])]
    rows = [
        [
            task,
            *(_score(report["task_languages"].get(f"{task}/{one}")) for one in languages),
            *_summary(leaf),
            *([_score(blind["tasks"].get(task))] if blind else []),
        ]
        for task, leaf in report["tasks"].items()
    ]
    last = ["**all**", *(_score(report["languages"][one]) for one in languages), *_summary(report["overall"])]
    rows.append(last + ([_score(blind["overall"])] if blind else []))
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _score(leaf: dict[str, Any] | None) -> str:
    return "" if leaf is None or leaf["score"] is None else f"{leaf['score']:.1f}"


def _summary(leaf: dict[str, Any]) -> list[str]:
    low, high = leaf["interval"] or (0, 0)
    return [_score(leaf), f"{low:.0f}-{high:.0f}", str(leaf["count"])]


def check_can_draw(path: Path) -> None:
    """Refuse a plot that could not be written.

    Raises:
        MissingExtraError: matplotlib is absent.
        ConfigError: its suffix is no picture format.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ModuleNotFoundError as error:
        raise MissingExtraError(wanted_by="drawing a report", package="matplotlib", extra="eval") from error
    if path.suffix.lower()[1:] not in FigureCanvasBase.get_supported_filetypes():
        raise ConfigError(f"{path}: want a picture, such as scores.png")


def draw_report(report: dict[str, Any], path: Path, *, title: str) -> None:
    """Draw the score of each task with its interval beside that on black frames.

    Raises:
        MissingExtraError: matplotlib is absent.
        ConfigError: its suffix is no picture format.
    """
    check_can_draw(path)
    from matplotlib.figure import Figure

    tasks = list(report["tasks"])
    figure = Figure(figsize=(1.1 * len(tasks) + 2, 4), layout="constrained")
    axes = figure.subplots()
    series = [("clip", report["tasks"], -0.2, "#2f6fb3")]
    if "blind" in report:
        series.append(("black frames", report["blind"]["tasks"], 0.2, "#9a9a9a"))
    for label, leaves, shift, color in series:
        scores = [leaves[t]["score"] for t in tasks]
        below = [leaves[t]["score"] - leaves[t]["interval"][0] for t in tasks]
        above = [leaves[t]["interval"][1] - leaves[t]["score"] for t in tasks]
        places = [i + shift for i in range(len(tasks))]
        error = [[max(0, b) for b in below], [max(0, a) for a in above]]
        axes.bar(places, scores, 0.38, yerr=error, capsize=3, color=color, label=label)
    axes.set_xticks(range(len(tasks)), [t.replace("_", "\n") for t in tasks])
    axes.set_ylim(0, 105)
    axes.set_ylabel("exact answers, %")
    axes.set_title(title)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=110)
