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
        under the name of each control ("blind"); `refused_own` and `refused_real`, how often the model said
        that it does not know such footage, of the normal questions and of those about recorded videos.
        Every leaf is {"score": percent, "count": n, "interval": [low, high]}.
    """
    normal = [s for s in scored if s.item.variant == "normal"]
    real = [s for s in scored if s.item.variant == "real"]
    controls = {s.item.variant for s in scored} - {"normal", "real"}
    groups = {c: _groups([s for s in scored if s.item.variant == c]) for c in sorted(controls)}
    return {
        **_groups(normal),
        **groups,
        "refused_own": _leaf([float(s.refused) for s in normal]),
        "refused_real": _leaf([float(s.refused) for s in real]),
    }


def _groups(scored: Sequence[Scored]) -> dict[str, Any]:
    tags = sorted({t for s in scored for t in s.item.tags})
    return {
        "overall": _leaf(_scores(scored)),
        "tasks": _split(scored, lambda s: s.item.task),
        "languages": _split(scored, lambda s: s.item.language),
        "task_languages": _split(scored, lambda s: f"{s.item.task}/{s.item.language}"),
        "tags": {
            tag: {
                "overall": _leaf(_scores(s for s in scored if tag in s.item.tags)),
                "tasks": _split([s for s in scored if tag in s.item.tags], lambda s: s.item.task),
            }
            for tag in tags
        },
    }


def _scores(scored: Iterable[Scored]) -> list[float]:
    return [s.score for s in scored]


def _leaf(scores: Sequence[float]) -> dict[str, Any]:
    if not scores:
        return {"score": None, "count": 0, "interval": None}
    return {"score": percent(scores), "count": len(scores), "interval": list(wilson_interval(scores))}


def _split(scored: Iterable[Scored], name: Callable[[Scored], str]) -> dict[str, Any]:
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(name(one), []).append(one)
    return {key: _leaf(_scores(group)) for key, group in groups.items()}


_CONTROLS = {"blind": "black frames", "one_frame": "one frame", "swapped": "other clip"}


def as_table(report: dict[str, Any]) -> str:
    """Write the report as a Markdown table: a row a task, a column a language and a control."""
    languages = list(report["languages"])
    controls = [c for c in _CONTROLS if c in report]
    head = ["task", *languages, "all", "95 %", "questions", *(_CONTROLS[c] for c in controls)]
    rows = [
        [
            task,
            *(_score(report["task_languages"].get(f"{task}/{one}")) for one in languages),
            *_summary(leaf),
            *(_score(report[c]["tasks"].get(task)) for c in controls),
        ]
        for task, leaf in report["tasks"].items()
    ]
    last = ["**all**", *(_score(report["languages"][one]) for one in languages), *_summary(report["overall"])]
    rows.append(last + [_score(report[c]["overall"]) for c in controls])
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    refused = [
        f"{_score(report[name])} % of {report[name]['count']} {what}"
        for name, what in (
            ("refused_own", "questions about its own world"),
            ("refused_real", "about real clips"),
        )
        if report[name]["count"]
    ]
    return f"{table}\n\nRefused as another world: {', '.join(refused)}." if refused else table


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
    axes.set_ylabel("right answers, %")
    axes.set_title(title)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=110)
