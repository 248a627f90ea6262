"""Answers held against each other: the right pairs, their differences, and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.report_kit import answer, answers, judged, make_run, named
from valley.evaluation.benchmark import Metric
from valley.evaluation.metrics import paired_interval
from valley.evaluation.records import MediumRecord
from valley.evaluation.reporting.pairing import Comparison, compare_control, compare_runs, counterparts
from valley.evaluation.reporting.tables import metrics_of


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), st.integers(0, 9)), min_size=1, max_size=40))
def test_the_interval_stays_within_what_can_be(pairs: list[tuple[float, int]]) -> None:
    differences, clips = [d for d, _ in pairs], [str(c) for _, c in pairs]
    low, high = paired_interval(differences, clips)
    assert -1 <= low <= high <= 1
    assert (low, high) == paired_interval(differences, clips)
    mirrored = paired_interval([-d for d in differences], clips)
    assert mirrored == pytest.approx((-high, -low))
    if len(set(differences)) == 1:
        assert low <= differences[0] <= high
        assert low < high


def test_no_change_at_all_still_has_a_width_that_shrinks_with_clips() -> None:
    few = paired_interval([0.0] * 10, [str(n) for n in range(10)])
    many = paired_interval([0.0] * 400, [str(n) for n in range(400)])
    # Clopper and Pearson, none seen of 10: at most 30.8 % (their table of 1934)
    assert few == pytest.approx((-0.308, 0.308), abs=0.001)
    assert many == pytest.approx((-0.0092, 0.0092), abs=0.0001)
    assert paired_interval([0.0] * 10, ["one"] * 10) == pytest.approx((-0.975, 0.975))
    assert paired_interval([2.0] * 9, list("abcdefghi"), most=5) == pytest.approx((0.318, 3.682), abs=0.001)
    assert paired_interval([2.0, 2.0], ["a", "b"], most=5)[1] == 5


def test_questions_about_one_clip_are_not_independent() -> None:
    differences = [1.0] * 20 + [0.0] * 20
    by_question = paired_interval(differences, [str(n) for n in range(40)])
    by_clip = paired_interval(differences, [str(n // 10) for n in range(40)])
    assert by_clip[1] - by_clip[0] > 2 * (by_question[1] - by_question[0])


def test_nineteen_of_twenty_intervals_hold_the_true_difference() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        clip = rng.normal(0.1, 0.3, 60).repeat(3) + rng.normal(0, 0.2, 180)
        low, high = paired_interval(clip.tolist(), [str(n // 3) for n in range(180)])
        held += low <= 0.1 <= high
    assert 0.89 <= held / 200 <= 0.99


def compared(first: Path, second: Path) -> list[Comparison]:
    runs = named(first, second)
    return compare_runs(runs[0], runs[1], "own", metrics_of(runs, "own"))


def test_two_runs_on_the_questions_that_both_answered(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", answers([1, 1, 1, 0, 0, 1, 0]))
    b = make_run(tmp_path / "b", [*answers([1, 0, 1, 1, 0, 0]), answer(9, 1)])
    (found,) = compared(a, b)
    assert (found.num_only_first, found.num_only_second) == (1, 1)
    assert found.metric == "accuracy"
    assert found.is_either
    assert found.overall is not None
    assert (found.overall.count, found.overall.num_better, found.overall.num_worse) == (6, 1, 2)
    assert (found.overall.first, found.overall.second, found.overall.difference) == (66.7, 50.0, -16.7)
    assert found.overall.num_other_words == 3
    assert found.overall.interval[0] < -16.7 < found.overall.interval[1]
    assert found.tasks["colour"].difference == 0
    assert found.tasks["motion"].difference == -33.3
    assert {tag: change.count for tag, change in found.languages.items()} == {"en": 4, "de": 2}


def test_a_run_against_itself_has_no_difference_and_is_not_told_apart(tmp_path: Path) -> None:
    a, b = (make_run(tmp_path / name, answers([1, 0, 1, 0])) for name in "ab")
    (found,) = compared(a, b)
    assert found.overall is not None
    assert (found.overall.difference, found.overall.num_other_words) == (0, 0)
    assert not found.overall.is_told_apart


@pytest.mark.parametrize("field", ["reference", "choices", "messages"])
def test_nothing_is_compared_where_questions_differ(tmp_path: Path, field: str) -> None:
    other = {
        "reference": "green",
        "choices": ("red", "green"),
        "messages": ({"role": "user", "content": [{"type": "text", "text": "Another question?"}]},),
    }
    changed = answers([1, 0, 1, 0])
    changed[2] = replace(changed[2], **{field: other[field]})
    (found,) = compared(make_run(tmp_path / "a", answers([1, 0, 1, 0])), make_run(tmp_path / "b", changed))
    assert found.overall is None
    assert "1 of 4 questions with the same id are not the same" in found.refused
    assert "q2" in found.refused


def test_nothing_is_compared_without_common_questions_scores_or_metrics(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", answers([1, 0]))
    elsewhere = make_run(tmp_path / "elsewhere", [answer(8, 1), answer(9, 0)])
    cut_short = make_run(tmp_path / "cut", answers([1, 0]), is_finished=False)
    rouge = [replace(one, scores={"rouge": 0.5}) for one in answers([1, 0])]
    other = make_run(tmp_path / "other", rouge, metrics=[Metric("rouge")])
    reasons = [compared(a, b)[0].refused for b in (elsewhere, cut_short, other)]
    assert reasons == [
        "no question is in both runs",
        "cut did not end: it has no scores yet",
        "they have no metric in common",
    ]


def test_scores_of_different_judges_are_not_compared(tmp_path: Path) -> None:
    a, b, c = (
        make_run(tmp_path / name, judged(answers([1, 0, 1]), judge), judge=judge)
        for name, judge in (("a", "J1@x"), ("b", "J2@x"), ("c", "J1@x"))
    )
    assert compared(a, b)[0].refused == "their answers were scored by J1@x and by J2@x"
    by_rule = make_run(tmp_path / "rule", answers([1, 0, 1]))
    assert compared(by_rule, a)[0].refused == "their answers were scored by a rule and by J1@x"
    assert compared(a, c)[0].metric == "accuracy[J1@x]"


def test_what_values_may_come_of_is_said(tmp_path: Path) -> None:
    first = [replace(a, media=(MediumRecord("a.mp4", "video", "1" * 64),)) for a in answers([1, 0])]
    second = [replace(a, media=(MediumRecord("a.mp4", "video", "2" * 64),)) for a in answers([1, 0])]
    second[1] = replace(second[1], error="MediaError: gone", answer="")
    about = [
        {"name": "own", "selection": {}, "code_sha256": "other", "questions_sha256": "", "num_questions": 2}
    ]
    (found,) = compared(make_run(tmp_path / "a", first), make_run(tmp_path / "b", second, benchmarks=about))
    assert found.notes == (
        "in 2 of 2 questions the media are other files",
        "the benchmark's code differs, so values may come of other rules",
        "0 and 1 questions failed, and count as wrong",
    )


def test_controls_are_held_against_the_same_questions_alone(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "a",
        [
            *answers([1, 1, 0, 1]),
            *answers([0, 1], "blind"),
            *answers([1, 1, 1, 1], "swapped", reference="green"),
        ],
    )
    (read,) = named(run)
    (metric,) = metrics_of([read], "own")
    blind = compare_control(read, "own", metric, "blind")
    assert blind.change is not None
    assert (blind.change.first, blind.change.second, blind.change.count) == (100.0, 50.0, 2)
    assert not blind.has_own_answer
    assert compare_control(read, "own", metric, "swapped").has_own_answer
    assert compare_control(read, "own", metric, "one_frame").change is None


def test_controls_find_their_question_with_and_without_the_variant_in_the_id() -> None:
    normal = [answer(1, 1, id="normal-core-1"), answer(2, 1, id="q2"), answer(3, 1, id="normal-5")]
    others = [
        answer(1, 0, "blind", id="blind-core-1"),
        answer(2, 0, "blind", id="q2"),
        answer(3, 0, "blind", id="normal-5"),
        answer(4, 0, "blind", id="q4"),
    ]
    pairs = [(a.id, b.id) for a, b in counterparts(normal, others)]
    assert pairs == [("normal-core-1", "blind-core-1"), ("q2", "q2"), ("normal-5", "normal-5")]


def test_values_in_their_own_unit_are_better_or_worse(tmp_path: Path) -> None:
    metric = Metric("score", 0, 5, is_share=False)
    first = [
        replace(a, scores={"score": v}) for a, v in zip(answers([0] * 4), (1.0, 3.5, 5.0, 2.0), strict=True)
    ]
    second = [
        replace(a, scores={"score": v}) for a, v in zip(answers([0] * 4), (2.0, 3.5, 4.0, 4.5), strict=True)
    ]
    a = make_run(tmp_path / "a", first, metrics=[metric])
    b = make_run(tmp_path / "b", second, metrics=[metric])
    (found,) = compared(a, b)
    assert found.overall is not None
    assert not found.is_either
    assert (found.overall.num_better, found.overall.num_worse) == (2, 1)
    assert (found.overall.first, found.overall.difference) == (2.875, 0.625)
