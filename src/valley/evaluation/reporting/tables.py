"""The scores of several runs side by side: a row a group, a column a run, one metric at once.

A metric that a judge gives carries the judge's name, so that values of different judges are different metrics
and never meet in a row or a column of one metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from valley.evaluation.reporting.naming import NamedRun

Leaf: TypeAlias = Mapping[str, Any]
ByRun: TypeAlias = Mapping[str, Leaf]

GROUPS = ("tasks", "languages", "task_languages", "tags")


@dataclass(frozen=True)
class MetricTables:
    """One metric of one benchmark, over all runs that have it.

    Attributes:
        name: with the judge's name where there is one.
        judge: name and revision; None where a rule gives the values.
        is_headline: whether it is the first of any run.
        low: the worst value.
        high: the best value.
        is_share: whether scores are in percent.
        overall: of each run.
        groups: tasks, languages, task_languages and tags: leaves by group and run.
        controls: the same two, overall and by task or language, under each control's name.
    """

    name: str
    judge: str | None
    is_headline: bool
    low: float | int
    high: float | int
    is_share: bool
    overall: ByRun
    groups: Mapping[str, Mapping[str, ByRun]]
    controls: Mapping[str, Mapping[str, Any]]

    @property
    def base_name(self) -> str:
        """The name without the judge's."""
        return self.name.removesuffix(f"[{self.judge}]") if self.judge else self.name

    @property
    def bounds(self) -> tuple[float, float]:
        """The worst and best score, as leaves write them."""
        scale = 100 if self.is_share else 1
        return float(self.low * scale), float(self.high * scale)


def metrics_of(runs: Sequence[NamedRun], benchmark: str) -> list[MetricTables]:
    """List every metric that any run has, headlines first."""
    tables = [run.scores(benchmark) for run in runs]
    headlines = dict.fromkeys(t["headline"] for t in tables if t and t["headline"])
    names = dict.fromkeys([*headlines, *(name for t in tables for name in t.get("metrics", {}))])
    return [_metric(runs, benchmark, name, is_headline=name in headlines) for name in names]


def _metric(runs: Sequence[NamedRun], benchmark: str, name: str, *, is_headline: bool) -> MetricTables:
    found = {run.name: run.metric(benchmark, name) for run in runs}
    found = {run: tables for run, tables in found.items() if tables}
    first = next(iter(found.values()))
    return MetricTables(
        name=name,
        judge=first["judge"],
        is_headline=is_headline,
        low=first["low"],
        high=first["high"],
        is_share=first["is_share"],
        overall={run: tables["overall"] for run, tables in found.items()},
        groups={kind: _turned({run: _leaves(t, kind) for run, t in found.items()}) for kind in GROUPS},
        controls={
            control: {
                "overall": {run: t[control]["overall"] for run, t in found.items() if control in t},
                **{
                    kind: _turned(
                        {run: _leaves(t[control], kind) for run, t in found.items() if control in t}
                    )
                    for kind in ("tasks", "languages")
                },
            }
            for control in dict.fromkeys(c for t in found.values() for c in controls_in(t))
        },
    )


def controls_in(tables: Mapping[str, Any]) -> list[str]:
    """Name the controls that a metric's tables have."""
    return [
        key
        for key, value in tables.items()
        if isinstance(value, Mapping) and "overall" in value and "tasks" in value
    ]


def _leaves(tables: Mapping[str, Any], kind: str) -> dict[str, Leaf]:
    return {name: value.get("overall", value) for name, value in tables.get(kind, {}).items()}


def _turned(by_run: Mapping[str, Mapping[str, Leaf]]) -> dict[str, dict[str, Leaf]]:
    groups = dict.fromkeys(name for leaves in by_run.values() for name in leaves)
    return {name: {run: leaves[name] for run, leaves in by_run.items() if name in leaves} for name in groups}


def scorer(metric: MetricTables) -> str:
    """Say who gives a metric's values."""
    return metric.judge or "a rule"


def judges_apart(metrics: Sequence[MetricTables]) -> list[str]:
    """Say which metrics stand in rows of their own because their judges differ."""
    by_base: dict[str, list[MetricTables]] = {}
    for metric in metrics:
        by_base.setdefault(metric.base_name, []).append(metric)
    return [
        f"{base} was given by {' and by '.join(map(scorer, several))}: these scores stand in rows of their "
        "own and are not compared, for a judge's scores hold only against its own"
        for base, several in by_base.items()
        if len(several) > 1
    ]
