"""A report on one or more runs: one page of HTML that needs nothing beside it.

Scores of all runs side by side, by task, language and tag, with intervals and controls; what a score does not
show; runs held against each other; questions with their frames and answers; what produced the numbers. Equal
runs give equal pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valley.evaluation.asking import Hashes
from valley.evaluation.records import MediumRecord
from valley.evaluation.reporting import honesty_tables as honesty
from valley.evaluation.reporting import score_tables as scores
from valley.evaluation.reporting.drawing import NUM_COLOURS, control_mark
from valley.evaluation.reporting.frames_seen import Strip, strip_of
from valley.evaluation.reporting.naming import NamedRun
from valley.evaluation.reporting.provenance import Fact
from valley.evaluation.reporting.samples import KINDS, Said, Sample
from valley.evaluation.reporting.summary import BenchmarkSummary, Summary
from valley.evaluation.reporting.tables import MetricTables
from valley.evaluation.reporting.wording import control_words, score_words, without_long_hashes
from valley.reporting.page import write_page
from valley.reporting.tables import Table, count

_TEMPLATE = "report.html.jinja"
_FACTS, _MORE = "What produced the numbers", "More facts"
_NUM_READERS = 4  # each waits for a process that reads a moment
MOST_REPLY = 2000
"""Letters of a judge's raw reply that are shown."""


def write_report(summary: Summary, out: Path) -> Path:
    """Write the page; it appears whole or not at all.

    Raises:
        MissingExtraError: Jinja2 is absent.
    """
    filters = {"count": count, "control": control_words}
    return write_page(out, "valley.evaluation.reporting", _TEMPLATE, _contents(summary), filters=filters)


def _contents(summary: Summary) -> dict[str, Any]:
    names = [run.name for run in summary.runs]
    strips = _strips(summary)
    return {
        "title": " and ".join(names) if len(names) < 4 else f"{len(names)} runs",
        "num_runs": len(names),
        "control_marks": {
            name: control_mark(name, 8, 8) for name in ("blind", "one_frame", "swapped", "other")
        },
        "runs": _runs_table(summary.runs),
        "headlines": scores.headline_table(summary.runs, {b.name: b.metrics for b in summary.benchmarks}),
        "benchmarks": [_benchmark(one, summary, strips) for one in summary.benchmarks],
        "facts": _facts_table(_FACTS, [f for f in summary.facts if f.is_shown or f.differs], summary),
        "same_facts": _facts_table(
            _MORE, [f for f in summary.facts if not (f.is_shown or f.differs)], summary
        ),
        "num_differing": sum(f.differs for f in summary.facts),
        "has_several": len(names) > 1,
    }


def _runs_table(runs: Sequence[NamedRun]) -> Table:
    rows = []
    for run in runs:
        about = run.record.about
        engine, judge = about.get("engine", {}), about.get("judge")
        rows.append(
            [
                run.name,
                str(engine.get("model", "")),
                ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in about.get("sampling", {}).items()),
                "none" if not judge else f"{judge['name']}@{judge['revision']}",
                count(len(run.record.answers)),
                str(about.get("created", ""))[:10],
                "yes" if about.get("finished") else "no",
            ]
        )
    head = ["run", "model", "frames", "judge", "answers", "begun", "finished"]
    unfinished = {place for place, run in enumerate(runs) if not run.record.about.get("finished")}
    return Table("Runs", head, rows, frozenset({0, 1, 2, 3}), frozenset(unfinished))


def _benchmark(one: BenchmarkSummary, summary: Summary, strips: _Strips) -> dict[str, Any]:
    names = [run.name for run in summary.runs]
    return {
        "name": one.name,
        "notes": one.notes,
        "metrics": scores.all_metrics(names, one.metrics),
        "headlines": [scores.metric_block(names, m, is_drawn=True) for m in one.metrics if m.is_headline],
        "others": [scores.metric_block(names, m, is_drawn=False) for m in one.metrics if not m.is_headline],
        "controls": honesty.controls_table(one),
        "counts": honesty.counts_table(one),
        "faults": honesty.faults_table(one),
        "yes": honesty.yes_table(one),
        "languages": honesty.language_table(one),
        "comparison": honesty.comparison_table(one),
        "refused": [f"{c.second} against {c.first}: {c.refused}" for c in one.comparisons if c.refused],
        "comparison_notes": _comparison_notes(one),
        "by_group": [
            table
            for c in one.comparisons
            if c.overall is not None
            for table in honesty.comparison_by_group(one, c)
        ],
        "samples": [_sample(sample, one.metrics, names, strips) for sample in one.samples],
    }


def _comparison_notes(one: BenchmarkSummary) -> list[str]:
    found: dict[str, None] = {}
    for c in one.comparisons:
        names = f"{c.second} against {c.first}"
        found |= dict.fromkeys(f"{names}: {note}." for note in c.notes)
        if c.num_only_first or c.num_only_second:
            found[
                f"{names}: left out are {count(c.num_only_first)} questions that only {c.first} answered and "
                f"{count(c.num_only_second)} that only {c.second} did."
            ] = None
    return list(found)


def _sample(
    sample: Sample, metrics: Sequence[MetricTables], runs: Sequence[str], strips: _Strips
) -> dict[str, Any]:
    question = sample.question
    several = len(sample.seen) > 1
    return {
        "kind": KINDS[sample.kind],
        "id": question.id,
        "task": question.task,
        "language": question.language,
        "question": question.question,
        "choices": [f"{chr(65 + place)}. {words}" for place, words in enumerate(question.choices)],
        "references": question.references or (question.reference,),
        "seen": [
            {
                "runs": ", ".join(sample.said[place].run for place in places) if several else "",
                "strips": [strips.of(sample.said[places[0]].run, medium) for medium in media],
            }
            for places, media in sample.seen
        ],
        "said": [_said(one, metrics, runs) for one in sample.said],
    }


def _said(one: Said, metrics: Sequence[MetricTables], runs: Sequence[str]) -> dict[str, Any]:
    answer = one.answer
    return {
        "run": one.run,
        "place": runs.index(one.run) % NUM_COLOURS,
        "answer": answer.answer,
        "error": answer.error,
        "is_cut": answer.finish == "length",
        "scores": _score_list(answer.scores, metrics),
        "controls": [
            {
                "name": control_words(name),
                "answer": other.answer or other.error,
                "same": other.answer == answer.answer,
            }
            for name, other in one.controls.items()
        ],
        "replies": [
            {
                "judge": judgement.judge,
                "reply": _cut(judgement.replies[-1]) if judgement.replies else "",
                "reason": judgement.reason,
            }
            for judgement in one.judgements
        ],
    }


def _score_list(values: Mapping[str, float | int], metrics: Sequence[MetricTables]) -> list[str]:
    known = {m.name: m for m in metrics}
    return [
        f"{name} {score_words(100 * value if known[name].is_share else value, is_share=known[name].is_share)}"
        + (" %" if known[name].is_share else f" of {known[name].high:g}")
        for name, value in values.items()
        if name in known
    ]


def _cut(text: str) -> str:
    left = len(text) - MOST_REPLY
    return text[:MOST_REPLY] + (f"… and {left} more letters" if left > 0 else "")


def _facts_table(caption: str, facts: Sequence[Fact], summary: Summary) -> Table:
    names = [run.name for run in summary.runs]
    several = len(names) > 1
    rows = [
        [
            fact.words,
            *(without_long_hashes(fact.values[name]) or "not said" for name in names),
            *(["differs" if fact.differs else "same"] if several else []),
        ]
        for fact in facts
    ]
    head = ["fact", *names, *(["between runs"] if several else [])]
    marked = frozenset(place for place, fact in enumerate(facts) if fact.differs)
    return Table(caption, head, rows, frozenset(range(len(head))), marked)


@dataclass(frozen=True)
class _Strips:
    """The pictures of all samples, by run and medium."""

    known: Mapping[tuple[str, MediumRecord], Strip]

    def of(self, run: str, medium: MediumRecord) -> Strip:
        return self.known[run, medium]


def _strips(summary: Summary) -> _Strips:
    """Read what the samples need, several files at once, each in a process of its own."""
    folders = {run.name: run.record.folder for run in summary.runs}
    wanted = dict.fromkeys(
        (sample.said[places[0]].run, medium)
        for one in summary.benchmarks
        for sample in one.samples
        for places, media in sample.seen
        for medium in media
    )
    hashes = Hashes()
    with ThreadPoolExecutor(_NUM_READERS) as readers:
        found = readers.map(lambda one: strip_of(one[1], folders[one[0]], hashes), wanted)
        return _Strips(dict(zip(wanted, found, strict=True)))
