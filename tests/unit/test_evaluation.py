"""Evaluation: every question is scored, written down once, and grouped as the report says."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from valley.conversation import Conversation, Image, Video
from valley.errors import ConfigError, UnknownNameError
from valley.evaluation.benchmark import BENCHMARKS, Item
from valley.evaluation.metrics import percent, wilson_interval
from valley.evaluation.report import as_table, draw_report, make_report
from valley.evaluation.run import evaluate
from valley.inference.backend import Capabilities, Finish, GenerationParams, Piece, Timing, Usage
from valley.video.decoding import read_frames
from valley.video.frames import Frames

BENCHMARK = BENCHMARKS.get("synthetic")


class Parrot:
    """A backend that knows the right answers to clips and is blind to black ones."""

    capabilities = Capabilities(model="parrot", media=("video",), max_context_tokens=None)

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers
        self.asked = 0

    def look(self, medium: Image | Video, params: GenerationParams) -> Frames:
        return read_frames(medium.source)

    def stream(self, conversation: Conversation, params: GenerationParams) -> Generator[Piece, None, None]:
        self.asked += 1
        source = str(conversation.media[0].source)
        answer = "?" if "black" in source else self.answers[source + conversation.messages[-1].text]
        yield Piece(answer[:3])
        yield Piece(answer[3:], Finish("stop", Usage(1, 1, 1), Timing(0.0, 0.0, 0.0)))


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return BENCHMARK.items(tmp_path_factory.mktemp("bench") / "clips", num_clips=6, seed=0)


def parrot_for(items: list[Item]) -> Parrot:
    return Parrot(
        {str(i.conversation.media[0].source) + i.conversation.messages[-1].text: i.reference for i in items}
    )


def test_the_benchmark_is_balanced_in_variants_and_ids(items: list[Item]) -> None:
    assert len({i.id for i in items}) == len(items)
    assert sum(i.variant == "normal" for i in items) == sum(i.variant == "blind" for i in items)
    assert {i.language for i in items} == {"en", "zh", "es"}


@pytest.mark.parametrize(
    ("answer", "score"),
    [("{}", 1.0), (" {} ", 1.0), ("not {}", 0.0), ("", 0.0)],
    ids=["same", "space", "more", "none"],
)
def test_only_the_exact_answer_scores(items: list[Item], answer: str, score: float) -> None:
    for item in items:
        assert BENCHMARK.score(item, answer.format(item.reference)) == score


def test_a_run_is_scored_and_goes_on(tmp_path: Path, items: list[Item]) -> None:
    (tmp_path / "clips").symlink_to(Path(str(items[0].conversation.media[0].source)).parent)
    here = BENCHMARK.items(tmp_path / "clips", num_clips=6, seed=0)
    parrot = parrot_for(here)
    scored = evaluate(BENCHMARK, parrot, tmp_path, num_clips=6)
    report = make_report(scored)
    assert report["overall"]["score"] == 100.0
    assert report["blind"]["overall"]["score"] == 0.0
    assert report["overall"]["count"] == sum(leaf["count"] for leaf in report["tasks"].values())
    assert "| direction |" in as_table(report)

    answers = tmp_path / "answers.jsonl"
    lines = answers.read_text(encoding="utf-8").splitlines(keepends=True)
    answers.write_text("".join(lines[:5]) + lines[5][:20], encoding="utf-8")  # killed while writing
    asked_before = parrot.asked
    again = evaluate(BENCHMARK, parrot, tmp_path, num_clips=6)
    assert parrot.asked - asked_before == len(here) - 5
    assert [s.score for s in again] == [s.score for s in scored]
    assert len([json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]) == len(here)


def test_answers_of_another_model_are_not_taken_over(tmp_path: Path, items: list[Item]) -> None:
    (tmp_path / "clips").symlink_to(Path(str(items[0].conversation.media[0].source)).parent)
    here = BENCHMARK.items(tmp_path / "clips", num_clips=1, seed=0)
    evaluate(BENCHMARK, parrot_for(here), tmp_path, num_clips=1, model_fingerprint="a")
    with pytest.raises(ConfigError, match="another run"):
        evaluate(BENCHMARK, parrot_for(here), tmp_path, num_clips=1, model_fingerprint="b")


def test_a_misspelt_benchmark_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'synthetic'"):
        BENCHMARKS.get("syntetic")


@pytest.mark.parametrize(
    ("scores", "low", "high"),
    [([1.0] * 10, 72.2, 100.0), ([0.0] * 10, 0.0, 27.8), ([1.0, 0.0] * 50, 40.4, 59.6)],
)
def test_wilson_interval(scores: list[float], low: float, high: float) -> None:
    """Values from the closed formula in Wilson (1927), computed by hand."""
    assert wilson_interval(scores) == (low, high)
    assert low <= percent(scores) <= high


def test_a_plot_is_drawn(tmp_path: Path, items: list[Item]) -> None:
    pytest.importorskip("matplotlib")
    from valley.evaluation.run import Scored

    report = make_report([Scored(i, i.reference, float(i.variant == "normal")) for i in items])
    draw_report(report, tmp_path / "scores.png", title="parrot")
    assert (tmp_path / "scores.png").stat().st_size > 5000
