"""The tables and drawings of scores, as a page shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from valley.evaluation.reporting.drawing import NUM_COLOURS, Line, draw_scores
from valley.evaluation.reporting.naming import NamedRun
from valley.evaluation.reporting.tables import ByRun, MetricTables
from valley.evaluation.reporting.wording import control_words, count_words, leaf_words, unit_words
from valley.reporting.tables import Table

_GROUP_NAMES = {
    "tasks": "task",
    "languages": "language",
    "task_languages": "task and language",
    "tags": "tag",
}
MOST_DRAWN = 40
"""Groups of a drawing; the table beneath has all."""


def all_metrics(runs: Sequence[str], metrics: Sequence[MetricTables]) -> Table:
    """Make the table of every metric."""
    rows = [[f"{m.name}, {unit_words(m)}", *_row(m, m.overall, runs)] for m in metrics]
    return _table("All metrics, with intervals of 95 % over clips", ["metric", *runs, "questions"], rows)


def metric_block(runs: Sequence[str], metric: MetricTables, *, is_drawn: bool) -> dict[str, Any]:
    """Give what a page shows of one metric: drawings, tables, and tables that are folded."""
    tables = {kind: _group_table(runs, metric, kind) for kind in _GROUP_NAMES if metric.groups[kind]}
    return {
        "name": metric.name,
        "unit": unit_words(metric),
        "drawings": _drawings(runs, metric) if is_drawn else [],
        "runs": [(place % NUM_COLOURS, run) for place, run in enumerate(runs) if run in metric.overall],
        "controls": [(name, control_words(name)) for name in metric.controls],
        "tables": [tables[kind] for kind in ("tasks", "languages") if kind in tables],
        "folded": [tables[kind] for kind in ("task_languages", "tags") if kind in tables],
    }


def headline_table(runs: Sequence[NamedRun], benchmarks: Mapping[str, Sequence[MetricTables]]) -> Table:
    """Make the table of the headlines of all benchmarks."""
    names = [run.name for run in runs]
    rows = [
        [f"{benchmark}: {m.name}, {unit_words(m)}", *_row(m, m.overall, names)]
        for benchmark, metrics in benchmarks.items()
        for m in metrics
        if m.is_headline
    ]
    return _table(
        "Headlines, with intervals of 95 % over clips", ["benchmark and metric", *names, "questions"], rows
    )


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(caption, head, rows, has_long_cells=len(head) > 3)


def _row(metric: MetricTables, leaves: ByRun, runs: Sequence[str]) -> list[str]:
    found = [leaves.get(run) for run in runs]
    cells = [leaf_words(leaf, is_share=metric.is_share) for leaf in found]
    return [
        *cells,
        count_words([leaf for leaf, run in zip(found, runs, strict=True) if run in metric.overall]),
    ]


def _group_table(runs: Sequence[str], metric: MetricTables, kind: str) -> Table:
    shown = [run for run in runs if run in metric.overall]
    rows = [[name or "none", *_row(metric, leaves, shown)] for name, leaves in metric.groups[kind].items()]
    name = _GROUP_NAMES[kind]
    return _table(f"{metric.name} by {name}, {unit_words(metric)}", [name, *shown, "questions"], rows)


def _drawings(runs: Sequence[str], metric: MetricTables) -> list[dict[str, str]]:
    return [
        {"name": f"By {_GROUP_NAMES[kind]}", "drawing": draw_groups(runs, metric, kind)}
        for kind in ("tasks", "languages")
        if metric.groups[kind]
    ]


def draw_groups(runs: Sequence[str], metric: MetricTables, kind: str) -> str:
    """Draw a metric's score of all runs by group, with intervals and controls.

    Args:
        runs: names, in the order of the lines.
        metric: what is drawn.
        kind: "tasks" or "languages".
    """
    title = f"{metric.name} by {_GROUP_NAMES[kind]}, {unit_words(metric)}, with intervals and controls"
    places = {run: place for place, run in enumerate(runs) if run in metric.overall}
    lines = {"all": _lines(places, metric.overall, {c: t["overall"] for c, t in metric.controls.items()})}
    for name, leaves in list(metric.groups[kind].items())[:MOST_DRAWN]:
        controls = {c: t[kind].get(name, {}) for c, t in metric.controls.items()}
        lines[name or "none"] = _lines(places, leaves, controls)
    return draw_scores(lines, bounds=metric.bounds, title=f"{title}; the numbers are in the table")


def _lines(places: Mapping[str, int], leaves: ByRun, controls: Mapping[str, ByRun]) -> list[Line | None]:
    return [
        _line(leaves.get(run), {c: by_run.get(run) for c, by_run in controls.items()}, place)
        for run, place in places.items()
    ]


def _line(
    leaf: Mapping[str, Any] | None, controls: Mapping[str, Mapping[str, Any] | None], place: int
) -> Line | None:
    if leaf is None or leaf["score"] is None:
        return None
    known = {c: one["score"] for c, one in controls.items() if one is not None and one["score"] is not None}
    low, high = leaf["interval"] or (leaf["score"], leaf["score"])
    return Line(leaf["score"], (low, high), known, place)
