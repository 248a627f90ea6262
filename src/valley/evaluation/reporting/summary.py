"""What a report on runs says, as values: of each benchmark the scores, the controls, the comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from valley.evaluation.reporting.naming import NamedRun, benchmarks_of
from valley.evaluation.reporting.pairing import Comparison, ControlChange, compare_control, compare_runs
from valley.evaluation.reporting.provenance import Fact, facts_of
from valley.evaluation.reporting.samples import Sample, samples_of
from valley.evaluation.reporting.tables import MetricTables, judges_apart, metrics_of

CONTROLS = ("blind", "one_frame", "swapped")
"""Those that every report tells of; it says so where one was not asked."""


@dataclass(frozen=True)
class BenchmarkSummary:
    """One benchmark over all runs.

    Attributes:
        name: as it was asked for.
        notes: why numbers side by side may not be comparable.
        metrics: the headline first.
        counts: of questions, errors, answers cut and unparsable verdicts, by run.
        refused: leaves of own and of real footage, by run.
        yes_bias: by run.
        language_consistency: by run; None where the run could not tell languages.
        controls: each beside the same questions with their own frames.
        comparisons: of each later run with the first one.
        faults: reasons of failure and unreadable verdicts, with how many of each, by run.
        samples: questions with answers.
    """

    name: str
    notes: tuple[str, ...]
    metrics: tuple[MetricTables, ...]
    counts: Mapping[str, Mapping[str, int]]
    refused: Mapping[str, Mapping[str, Any]]
    yes_bias: Mapping[str, Mapping[str, Any]]
    language_consistency: Mapping[str, Mapping[str, Any] | None]
    controls: tuple[ControlChange, ...]
    comparisons: tuple[Comparison, ...]
    faults: tuple[tuple[str, str, int], ...]
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Summary:
    """All that a report says.

    Attributes:
        runs: in the order given; the first is what others are compared with.
        benchmarks: in the order in which they were asked.
        facts: what produced the numbers.
    """

    runs: tuple[NamedRun, ...]
    benchmarks: tuple[BenchmarkSummary, ...]
    facts: tuple[Fact, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what `valley report --json` prints; samples are named by kind and question."""
        return {
            "runs": [
                {
                    "name": run.name,
                    "folder": run.record.folder.as_posix(),
                    "finished": bool(run.record.about.get("finished")),
                    "created": run.record.about.get("created"),
                    "answers": len(run.record.answers),
                }
                for run in self.runs
            ],
            "benchmarks": [_benchmark_record(one) for one in self.benchmarks],
            "facts": [{"name": f.name, "values": dict(f.values), "differs": f.differs} for f in self.facts],
        }


def _benchmark_record(one: BenchmarkSummary) -> dict[str, Any]:
    record = {
        name: value for name, value in vars(one).items() if name not in ("samples", "faults", "metrics")
    }
    return {
        **record,
        "metrics": [asdict(metric) for metric in one.metrics],
        "controls": [asdict(control) for control in one.controls],
        "comparisons": [asdict(comparison) for comparison in one.comparisons],
        "faults": [{"run": run, "reason": why, "count": n} for run, why, n in one.faults],
        "samples": [{"kind": s.kind, "id": s.question.id} for s in one.samples],
    }


def summarise(runs: Sequence[NamedRun], *, num_samples: int = 0) -> Summary:
    """Put runs side by side.

    Args:
        runs: at least one.
        num_samples: of each kind and benchmark.
    """
    return Summary(
        runs=tuple(runs),
        benchmarks=tuple(_benchmark(runs, name, num_samples) for name in benchmarks_of(runs)),
        facts=tuple(facts_of(runs)),
    )


def _benchmark(runs: Sequence[NamedRun], name: str, num_samples: int) -> BenchmarkSummary:
    asked = [run for run in runs if name in run.record.benchmarks]
    scored = [run for run in asked if run.scores(name)]
    metrics = metrics_of(scored, name)
    return BenchmarkSummary(
        name=name,
        notes=tuple(_notes(asked, name, metrics)),
        metrics=tuple(metrics),
        counts={run.name: run.scores(name)["counts"] for run in scored},
        refused={run.name: _refused(run, name) for run in scored},
        yes_bias={run.name: run.scores(name)["yes_bias"] for run in scored},
        language_consistency={run.name: run.scores(name)["language_consistency"] for run in scored},
        controls=tuple(_controls(scored, name, metrics)),
        comparisons=tuple(c for run in asked[1:] for c in compare_runs(asked[0], run, name, metrics)),
        faults=tuple(fault for run in asked for fault in _faults(run, name)),
        samples=tuple(samples_of(asked, name, metrics, most=num_samples)),
    )


def _refused(run: NamedRun, benchmark: str) -> dict[str, Any]:
    tables = next(iter(run.scores(benchmark)["metrics"].values()), {})
    return {name: tables[name] for name in ("refused_own", "refused_real") if name in tables}


def _controls(
    runs: Sequence[NamedRun], benchmark: str, metrics: Sequence[MetricTables]
) -> list[ControlChange]:
    headlines = [m for m in metrics if m.is_headline]
    return [
        compare_control(run, benchmark, metric, control)
        for metric, control, run in product(headlines, CONTROLS, runs)
        if run.name in metric.overall
    ]


def _notes(runs: Sequence[NamedRun], benchmark: str, metrics: Sequence[MetricTables]) -> list[str]:
    notes = [f"{run.name} did not end, so its scores are absent" for run in runs if not run.scores(benchmark)]
    notes += judges_apart(metrics)
    asked = {run.about(benchmark).get("questions_sha256") for run in runs}
    if len(asked) > 1:
        notes.append(
            "The runs were not asked the same questions: columns side by side tell of other questions; "
            "what both answered is compared below, question by question"
        )
    unknown = dict.fromkeys(m.judge for m in metrics if m.judge and m.judge.endswith("@unknown"))
    if unknown and len(runs) > 1:
        notes.append(
            f"The server of {', '.join(map(str, unknown))} does not say which revision it is: "
            "that both runs had the same judge is not known"
        )
    return notes


def _faults(run: NamedRun, benchmark: str) -> list[tuple[str, str, int]]:
    counts: dict[str, int] = {}
    for answer in run.record.answers_of(benchmark):
        if answer.error:
            counts[answer.error] = counts.get(answer.error, 0) + 1
    for one in run.record.judgements:
        if one.benchmark == benchmark and one.is_unparsable and one.replies:
            reason = f"judge's reply: {one.reason}"
            counts[reason] = counts.get(reason, 0) + 1
    return [(run.name, reason, n) for reason, n in sorted(counts.items(), key=lambda pair: -pair[1])]
