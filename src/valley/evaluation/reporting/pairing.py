"""Two answers to the same question held against each other: of two runs, or of a run and its controls.

Differences are second minus first, over the questions that have both, with intervals over clips. Nothing is
compared where the questions are not the same, or where the values come of different judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from valley.evaluation.diff import question_of
from valley.evaluation.metrics import paired_interval
from valley.evaluation.records import AnswerRecord
from valley.evaluation.report import cluster_of
from valley.evaluation.reporting.naming import NORMAL, NamedRun
from valley.evaluation.reporting.tables import MetricTables, scorer

Pair = tuple[AnswerRecord, AnswerRecord]


@dataclass(frozen=True)
class Change:
    """How values change from the first answers to the second ones.

    Attributes:
        count: pairs of answers.
        first: mean of the first, in percent for shares.
        second: mean of the second.
        difference: second minus first.
        interval: of the difference, 95 %.
        num_better: pairs whose second value is higher; wrong, then right, where values are either.
        num_worse: pairs whose second value is lower.
        num_other_words: pairs whose answers differ in words.
    """

    count: int
    first: float | int
    second: float | int
    difference: float | int
    interval: tuple[float | int, float | int]
    num_better: int
    num_worse: int
    num_other_words: int

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval leaves out no change at all."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True)
class Comparison:
    """Two runs on the questions of one benchmark that both answered.

    Attributes:
        benchmark: whose questions.
        first: name of a run.
        second: name of the other one.
        metric: what is compared; empty where nothing can be.
        refused: why nothing is compared.
        num_only_first: questions that the second run lacks.
        num_only_second: questions that the first run lacks.
        overall: of all questions; None where nothing is compared.
        tasks: by task.
        languages: by language.
        is_either: whether all values are the worst or the best, so that answers are right or wrong.
        notes: what else differs that the values may come of.
    """

    benchmark: str
    first: str
    second: str
    metric: str = ""
    refused: str = ""
    num_only_first: int = 0
    num_only_second: int = 0
    overall: Change | None = None
    tasks: Mapping[str, Change] = field(default_factory=dict)
    languages: Mapping[str, Change] = field(default_factory=dict)
    is_either: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ControlChange:
    """A control beside the same questions with their own frames.

    Attributes:
        run: whose answers.
        metric: what is compared.
        control: such as "blind".
        change: from the own frames to the control's; None where the control was not asked.
        has_own_answer: whether right is what the control's frames show, so that a score as high as before is
            what a model that looks gets.
    """

    run: str
    metric: str
    control: str
    change: Change | None
    has_own_answer: bool = False


def change_of(pairs: Sequence[Pair], metric: MetricTables) -> Change:
    """Sum up pairs, at least one, both of which have a value of the metric."""
    scale = 100 if metric.is_share else 1
    first, second = ([float(pair[place].scores[metric.name]) for pair in pairs] for place in (0, 1))
    differences = [b - a for a, b in zip(first, second, strict=True)]
    low, high = paired_interval(differences, [cluster_of(a) for a, _ in pairs], most=metric.high - metric.low)
    return Change(
        count=len(pairs),
        first=_rounded(sum(first) / len(pairs), scale),
        second=_rounded(sum(second) / len(pairs), scale),
        difference=_rounded(sum(differences) / len(pairs), scale),
        interval=(_rounded(low, scale), _rounded(high, scale)),
        num_better=sum(d > 0 for d in differences),
        num_worse=sum(d < 0 for d in differences),
        num_other_words=sum(a.answer != b.answer for a, b in pairs),
    )


def _rounded(value: float | int, scale: int) -> float:
    """Round as the tables of `scores.json` do."""
    return round(scale * value, 1 if scale == 100 else 3) + 0.0  # no -0.0


def compare_control(run: NamedRun, benchmark: str, metric: MetricTables, control: str) -> ControlChange:
    """Hold a control against the same questions with their own frames."""
    pairs = [
        (normal, other)
        for normal, other in counterparts(run.answers(benchmark), run.answers(benchmark, control))
        if metric.name in normal.scores and metric.name in other.scores
    ]
    if not pairs:
        return ControlChange(run.name, metric.name, control, None)
    has_own_answer = any(a.reference != b.reference for a, b in pairs)
    return ControlChange(run.name, metric.name, control, change_of(pairs, metric), has_own_answer)


def counterparts(normal: Sequence[AnswerRecord], others: Sequence[AnswerRecord]) -> Iterator[Pair]:
    """Match answers of a control with those to the same question: by id, without the variant before it."""
    by_id = {a.id: a for a in normal}
    by_end = {a.id.removeprefix(f"{NORMAL}-"): a for a in normal}
    for other in others:
        found = by_id.get(other.id) or by_end.get(other.id.removeprefix(f"{other.variant}-"))
        if found is not None:
            yield found, other


def compare_runs(
    first: NamedRun, second: NamedRun, benchmark: str, metrics: Sequence[MetricTables]
) -> list[Comparison]:
    """Compare two runs in each metric that both have; one refusal where none can be compared."""
    mine, theirs = ({a.id: a for a in run.answers(benchmark)} for run in (first, second))
    both = [(mine[i], theirs[i]) for i in mine if i in theirs]
    shared = [m for m in metrics if {first.name, second.name} <= m.overall.keys()]
    refused = _refusal(first, second, both) or ("" if shared else _no_metric(first, second, metrics))
    if refused:
        return [Comparison(benchmark, first.name, second.name, refused=refused)]
    found = []
    for metric in shared:
        pairs = [p for p in both if all(metric.name in a.scores for a in p)]
        if pairs:
            found.append(
                Comparison(
                    benchmark,
                    first.name,
                    second.name,
                    metric.name,
                    num_only_first=len(mine.keys() - theirs.keys()),
                    num_only_second=len(theirs.keys() - mine.keys()),
                    overall=change_of(pairs, metric),
                    tasks=_split(pairs, metric, lambda a: a.task),
                    languages=_split(pairs, metric, lambda a: a.language),
                    is_either=all(
                        a.scores[metric.name] in (metric.low, metric.high) for p in pairs for a in p
                    ),
                    notes=tuple(_notes(first, second, benchmark, pairs)),
                )
            )
    return found


def _refusal(first: NamedRun, second: NamedRun, both: Sequence[Pair]) -> str:
    for run in (first, second):
        if not run.record.scores:
            return f"{run.name} did not end: it has no scores yet"
    if not both:
        return "no question is in both runs"
    other = [a.id for a, b in both if question_of(a) != question_of(b)]
    if other:
        return (
            f"{len(other)} of {len(both)} questions with the same id are not the same (words, right answer "
            f"or choices), such as {other[0]}"
        )
    return ""


def _no_metric(first: NamedRun, second: NamedRun, metrics: Sequence[MetricTables]) -> str:
    mine, theirs = ({m.base_name: m for m in metrics if run.name in m.overall} for run in (first, second))
    both = next((name for name in mine if name in theirs), None)
    if both is None:
        return "they have no metric in common"
    return f"their answers were scored by {scorer(mine[both])} and by {scorer(theirs[both])}"


def _notes(first: NamedRun, second: NamedRun, benchmark: str, pairs: Sequence[Pair]) -> Iterator[str]:
    media = sum([m.sha256 for m in a.media] != [m.sha256 for m in b.media] for a, b in pairs)
    if media:
        yield f"in {media} of {len(pairs)} questions the media are other files"
    if first.about(benchmark).get("code_sha256") != second.about(benchmark).get("code_sha256"):
        yield "the benchmark's code differs, so values may come of other rules"
    failed = [sum(bool(pair[place].error) for pair in pairs) for place in (0, 1)]
    if any(failed):
        yield f"{failed[0]} and {failed[1]} questions failed, and count as wrong"


def _split(
    pairs: Sequence[Pair], metric: MetricTables, name: Callable[[AnswerRecord], str]
) -> dict[str, Change]:
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(name(pair[0]), []).append(pair)
    return {key: change_of(group, metric) for key, group in groups.items()}
