"""Some questions with their answers: right ones, wrong ones, and what a score does not show.

Which ones is decided by the records alone, so that equal runs give equal pages: those of other tasks and
other clips come first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from valley.evaluation.records import AnswerRecord, JudgementRecord, MediumRecord
from valley.evaluation.reporting.naming import NORMAL, NamedRun
from valley.evaluation.reporting.pairing import counterparts
from valley.evaluation.reporting.tables import MetricTables

KINDS = {
    "changed": "Runs differ",
    "right": "Right",
    "wrong": "Wrong",
    "unmoved": "Same answer to other frames",
    "failed": "Failed",
}
_CONTROLS = ("blind", "swapped", "one_frame")
"""Those to which the same answer says most, first."""


@dataclass(frozen=True)
class Said:
    """One run's answer to a question.

    Attributes:
        run: its name.
        answer: the record.
        controls: answers to the same question with other frames.
        judgements: what a judge replied about it.
    """

    run: str
    answer: AnswerRecord
    controls: Mapping[str, AnswerRecord]
    judgements: tuple[JudgementRecord, ...]


@dataclass(frozen=True)
class Sample:
    """A question, why it is shown, and what each run said.

    Attributes:
        kind: one of `KINDS`.
        question: the record of the first run that has it.
        said: of each run that has it.
        seen: media with the runs that were shown these frames of them, by place in `said`.
    """

    kind: str
    question: AnswerRecord
    said: tuple[Said, ...]

    @property
    def seen(self) -> list[tuple[list[int], tuple[MediumRecord, ...]]]:
        """Give what was seen: places in `said` that were shown the same frames, and these."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for place, one in enumerate(self.said):
            groups.setdefault(tuple((m.sha256, m.timestamps_s) for m in one.answer.media), []).append(place)
        return [(places, self.said[places[0]].answer.media) for places in groups.values()]


def samples_of(
    runs: Sequence[NamedRun], benchmark: str, metrics: Sequence[MetricTables], *, most: int
) -> list[Sample]:
    """Choose at most so many questions of each kind.

    Args:
        runs: the first that has scores decides which are right.
        benchmark: whose questions.
        metrics: of it, the headline first.
        most: of each kind.
    """
    lead = next((run for run in runs if run.scores(benchmark)), None)
    metric = next((m for m in metrics if lead is not None and lead.name in m.overall), None)
    if lead is None or metric is None or not most:
        return []
    looked = _Looked(runs, benchmark)
    scored = [a for a in lead.answers(benchmark) if metric.name in a.scores]
    found: list[Sample] = []
    kinds = _kinds(scored, looked, metric)
    for kind in KINDS:
        shown = {sample.question.id for sample in found}
        chosen = _varied((a for a in kinds[kind] if a.id not in shown), most)
        found += [Sample(kind, answer, looked.said(answer.id)) for answer in chosen]
    return found


class _Looked:
    """Answers and judgements of all runs, by question."""

    def __init__(self, runs: Sequence[NamedRun], benchmark: str) -> None:
        self._runs = runs
        self._answers = {run.name: {a.id: a for a in run.answers(benchmark)} for run in runs}
        self._controls: dict[tuple[str, str], dict[str, AnswerRecord]] = {}
        self._judgements: dict[tuple[str, str], list[JudgementRecord]] = {}
        for run in runs:
            for control in _CONTROLS:
                for normal, other in counterparts(run.answers(benchmark), run.answers(benchmark, control)):
                    self._controls.setdefault((run.name, normal.id), {})[control] = other
            for one in run.record.judgements:
                if (one.benchmark, one.variant) == (benchmark, NORMAL):
                    self._judgements.setdefault((run.name, one.items[0]), []).append(one)

    def said(self, question: str) -> tuple[Said, ...]:
        return tuple(
            Said(
                run.name,
                self._answers[run.name][question],
                self._controls.get((run.name, question), {}),
                tuple(self._judgements.get((run.name, question), ())),
            )
            for run in self._runs
            if question in self._answers[run.name]
        )


def _kinds(
    scored: Sequence[AnswerRecord], looked: _Looked, metric: MetricTables
) -> dict[str, list[AnswerRecord]]:
    """Sort answers by kind, best or worst first; failed ones are of their own kind alone."""
    failed = [a for a in scored if a.error]
    told = [a for a in scored if not a.error]
    best = max((a.scores[metric.name] for a in told), default=metric.high)
    right = [a for a in told if a.scores[metric.name] == best > metric.low]
    wrong = [a for a in told if a.scores[metric.name] < best or best == metric.low]
    wrong.sort(key=lambda a: a.scores[metric.name])
    changed = {a.id: _change(looked.said(a.id), metric) for a in told}
    unmoved = {a.id: _unmoved(looked.said(a.id)[0]) for a in told}
    return {
        "failed": failed,
        "changed": sorted((a for a in told if changed[a.id]), key=lambda a: -changed[a.id]),
        "right": right,
        "wrong": wrong,
        "unmoved": sorted((a for a in told if unmoved[a.id] is not None), key=lambda a: unmoved[a.id] or 0),
    }


def _change(said: Sequence[Said], metric: MetricTables) -> float:
    """Say how far apart the values of the runs are."""
    values = [s.answer.scores[metric.name] for s in said if metric.name in s.answer.scores]
    return float(max(values) - min(values)) if values else 0.0


def _unmoved(said: Said) -> int | None:
    """Give the place of the first control with the same answer; None where all others differ."""
    same = (
        place
        for place, name in enumerate(_CONTROLS)
        if name in said.controls and said.controls[name].answer == said.answer.answer
    )
    return next(same, None)


def _varied(answers: Iterable[AnswerRecord], most: int) -> list[AnswerRecord]:
    """Take answers in their order, those about tasks and clips that were not taken yet first."""
    left, found = list(answers), []
    tasks: Counter[str] = Counter()
    clips: Counter[str] = Counter()
    while left and len(found) < most:
        chosen = min(left, key=lambda a: tasks[a.task] + clips[a.clip])
        left.remove(chosen)
        found.append(chosen)
        tasks[chosen.task] += 1
        clips[chosen.clip] += 1
    return found
