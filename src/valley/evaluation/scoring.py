"""From answers to values: by the benchmark's rule, or by a judge; a question that failed gets the worst."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from valley.evaluation.benchmark import Benchmark, Item, JudgedBenchmark, JudgeRequest, Metric
from valley.evaluation.honesty import language_consistency, yes_bias
from valley.evaluation.judge import Judge, judged_name
from valley.evaluation.records import FORMAT, AnswerRecord, JudgementRecord
from valley.evaluation.report import make_report


@dataclass(frozen=True)
class Scored:
    """Answers with their values, and what the judge said of them."""

    answers: tuple[AnswerRecord, ...]
    judgements: tuple[JudgementRecord, ...]


def score(
    benchmark: Benchmark,
    answered: Sequence[tuple[Item, AnswerRecord]],
    judge: Judge | None = None,
    *,
    on_judged: Callable[[], None] | None = None,
) -> Scored:
    """Give each answer its values.

    Args:
        benchmark: whose rules hold.
        answered: its questions, those of one variant side by side.
        judge: for a benchmark that needs one.
        on_judged: called after each question to the judge.

    Raises:
        BackendError: the judge does not answer.
    """
    by_rule = [_by_rule(benchmark, item, answer) for item, answer in answered]
    if judge is None or not isinstance(benchmark, JudgedBenchmark):
        return Scored(tuple(by_rule), ())
    requests = judge_requests(benchmark, answered)
    judgements = tuple(_judged(benchmark, judge, requests, by_rule, on_judged or _nothing))
    values: dict[tuple[str, str], dict[str, float | int]] = {}
    for (_, request), judgement in zip(requests, judgements, strict=True):
        named = {judge.metric(n): value for n, value in _values(benchmark, request, judgement).items()}
        values.setdefault((judgement.variant, judgement.items[0]), {}).update(named)
    answers = tuple(replace(a, scores={**a.scores, **values.get((a.variant, a.id), {})}) for a in by_rule)
    return Scored(answers, judgements)


def _nothing() -> None:
    pass


def _by_rule(benchmark: Benchmark, item: Item, answer: AnswerRecord) -> AnswerRecord:
    values = benchmark.score(item, answer.answer)
    if answer.error:
        worst = {metric.name: metric.low for metric in benchmark.metrics}
        return replace(answer, scores={name: worst[name] for name in values})
    refused = benchmark.has_refused(item, answer.answer)
    return replace(answer, scores={n: round(float(v), 6) for n, v in values.items()}, refused=refused)


def _values(
    benchmark: Benchmark, request: JudgeRequest, judgement: JudgementRecord
) -> Mapping[str, float | int]:
    if judgement.values is not None:
        return judgement.values
    about = request.metrics or tuple(metric.name for metric in benchmark.metrics)
    return {metric.name: metric.low for metric in benchmark.metrics if metric.name in about}


def _judged(
    benchmark: JudgedBenchmark,
    judge: Judge,
    requests: Sequence[tuple[str, JudgeRequest]],
    by_rule: Sequence[AnswerRecord],
    on_judged: Callable[[], None],
) -> Iterator[JudgementRecord]:
    failed = {a.place for a in by_rule if a.error}
    name = by_rule[0].benchmark if by_rule else ""

    def one(variant: str, request: JudgeRequest) -> JudgementRecord:
        if any((name, variant, i) in failed for i in request.item_ids):
            verdict = JudgementRecord(
                name, variant, request.id, request.item_ids, judge.label, "", (), None, "no answer"
            )
        else:
            verdict = judge.judge(request, benchmark.read_verdict, benchmark=name, variant=variant)
        on_judged()
        return verdict

    with ThreadPoolExecutor(judge.max_concurrency, thread_name_prefix="valley-judge") as pool:
        asked = [pool.submit(one, variant, request) for variant, request in requests]
        try:
            for future in asked:
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def judge_requests(
    benchmark: JudgedBenchmark, answered: Sequence[tuple[Item, AnswerRecord]]
) -> list[tuple[str, JudgeRequest]]:
    """List what a judge is asked about these answers, with the variant that each belongs to."""
    found = []
    for variant, group in groupby(answered, key=lambda pair: pair[0].variant):
        pairs = [(item, answer.answer) for item, answer in group]
        found += [(variant, request) for request in benchmark.judge_requests(pairs)]
    return found


def tables_of(
    metrics: Sequence[Metric],
    answers: Sequence[AnswerRecord],
    judgements: Sequence[JudgementRecord],
    judge: str | None = None,
) -> dict[str, Any]:
    """Make what `scores.json` says of one benchmark."""
    named = [(replace(m, name=judged_name(m.name, judge)), judge) for m in metrics] if judge else []
    named += [(metric, None) for metric in metrics]
    tables = {
        metric.name: {
            "low": metric.low,
            "high": metric.high,
            "is_share": metric.is_share,
            "judge": by,
            **make_report(answers, metric),
        }
        for metric, by in named
        if any(metric.name in a.scores for a in answers)
    }
    return {
        "headline": next(iter(tables), None),
        "counts": {
            "questions": len(answers),
            "errors": sum(bool(a.error) for a in answers),
            "cut": sum(a.finish == "length" for a in answers),
            "unparsable": sum(j.is_unparsable and bool(j.replies) for j in judgements),
        },
        "metrics": tables,
        "yes_bias": yes_bias(answers),
        "language_consistency": language_consistency(answers),
    }


def scores_file(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Make what `scores.json` holds."""
    return {"format": FORMAT, "benchmarks": dict(tables)}
