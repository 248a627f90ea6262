"""Evaluation: every question is scored, written down once, and grouped as the report says."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from valley.conversation import Conversation, Image, Video, user
from valley.errors import ConfigError, UnknownNameError
from valley.evaluation.benchmark import BENCHMARKS, Item, Selection
from valley.evaluation.metrics import percent, wilson_interval
from valley.evaluation.records import AnswerRecord
from valley.evaluation.report import as_table, draw_report, make_report
from valley.evaluation.run import evaluate
from valley.evaluation.tasks import Task
from valley.inference.backend import Capabilities, Finish, GenerationParams, Piece, Timing, Usage
from valley.synthetic import wording
from valley.video.decoding import read_frames
from valley.video.frames import Frames

BENCHMARK = BENCHMARKS.get("synthetic")


class Parrot:
    """A backend that knows the right answers to clips and is blind to those of one picture."""

    capabilities = Capabilities(model="parrot", media=("video",), max_context_tokens=None)

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers
        self.asked = 0

    def look(self, medium: Image | Video, params: GenerationParams) -> Frames:
        return read_frames(medium.source)

    def identity(self) -> dict[str, str]:
        return {"engine": "parrot", "model": "parrot"}

    def close(self) -> None:
        pass

    def stream(self, conversation: Conversation, params: GenerationParams) -> Generator[Piece, None, None]:
        self.asked += 1
        source = str(conversation.media[0].source)
        answer = (
            "?"
            if "black" in source or "frozen" in source
            else self.answers[source + conversation.messages[-1].text]
        )
        yield Piece(answer[:3])
        yield Piece(answer[3:], Finish("stop", Usage(1, 1, 1), Timing(0.0, 0.0, 0.0)))


NUM_CLIPS = 4  # one of each: trained or held-out combinations, trained or test phrasings


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench") / "clips"


@pytest.fixture(scope="module")
def items(clips: Path) -> list[Item]:
    return BENCHMARK.items(clips, Selection(NUM_CLIPS))


def parrot_for(items: list[Item]) -> Parrot:
    known = [i for i in items if i.variant in ("normal", "swapped")]
    return Parrot(
        {f"{i.conversation.media[0].source}{i.conversation.messages[-1].text}": i.reference for i in known}
    )


def source_of(item: Item) -> Path:
    return Path(str(item.conversation.media[0].source))


def test_every_question_is_asked_of_black_frozen_and_other_clips(items: list[Item]) -> None:
    assert len({i.id for i in items}) == len(items)
    asked = {v: [i for i in items if i.variant == v] for v in ("normal", "blind", "one_frame", "swapped")}
    texts = {v: [i.conversation.messages[-1].text for i in group] for v, group in asked.items()}
    assert texts["normal"] == texts["blind"] == texts["one_frame"]
    assert [i.reference for i in asked["normal"]] == [i.reference for i in asked["blind"]]
    assert {i.language for i in items} == {"en", "zh", "es"}
    assert all(source_of(i).is_file() for i in items)
    black, frozen = (read_frames(source_of(asked[v][0])).pixels for v in ("blind", "one_frame"))
    assert black.max() <= 2
    assert np.ptp(frozen.astype(int), axis=0).max() <= 8  # the encoder's rounding
    assert frozen.max() > 100


def test_twins_have_the_same_questions_and_other_answers(items: list[Item]) -> None:
    normal = {i.id.removeprefix("normal"): i for i in items if i.variant == "normal"}
    swapped = [i for i in items if i.variant == "swapped"]
    assert len(swapped) >= 4
    for item in swapped:
        original = normal[item.id.removeprefix("swapped")]
        assert item.conversation.messages[-1].text == original.conversation.messages[-1].text
        assert item.reference != original.reference
        assert source_of(item) != source_of(original)


def test_half_of_the_clips_have_unseen_phrasings_and_half_unseen_combinations(items: list[Item]) -> None:
    found = {(t[-2], t[-1]) for t in (i.tags for i in items)}
    assert found == {
        (f"{words}_phrasing", f"{shown}_combination")
        for words in ("seen", "unseen")
        for shown in ("seen", "unseen")
    }


@pytest.mark.parametrize("rule", ["exact", "verdict", "facts", "time"])
def test_the_reference_scores_and_nothing_else_does(items: list[Item], rule: str) -> None:
    of_rule = [i for i in items if i.rule == rule and i.variant == "normal"]
    assert of_rule
    for item in of_rule:
        assert BENCHMARK.score(item, item.reference) == {"accuracy": 1.0}
        assert BENCHMARK.score(item, f" {item.reference.upper()} ") == {"accuracy": 1.0}
        for wrong in ("", "?", wording.REFUSAL[item.language], wording.INTRODUCTION[item.language]):
            assert BENCHMARK.score(item, wrong) == {"accuracy": 0.0}


def item(rule: str, reference: str, language: str = "en", time_s: float | None = None) -> Item:
    asked = Conversation((user(Video("a.mp4"), "?"),), language)
    return Item("x", "normal", "task", language, (), asked, reference, rule, time_s)


@pytest.mark.parametrize(
    ("one", "answer", "score"),
    [
        (item("exact", "It is red."), "It is red, I think.", 0.0),
        (item("exact", "It is red."), "it is red.", 1.0),
        (item("verdict", "There is a red circle. Yes."), "There is a blue cross. Yes.", 1.0),
        (item("verdict", "There is a red circle. Yes."), "There is a red circle. No.", 0.0),
        (item("verdict", "There is a red circle. Yes."), "There is a red circle.", 0.0),
        (item("verdict", "El círculo no se mueve. No.", "es"), "El círculo se mueve. No.", 1.0),
        (item("time", "At 1.4 s.", time_s=1.31), "At 1.8 s.", 1.0),
        (item("time", "At 1.4 s.", time_s=1.31), "At 1.9 s.", 0.0),
        (item("time", "在1.4秒。", "zh", time_s=1.31), "在0.9秒。", 1.0),
        (item("time", "At 1.4 s.", time_s=1.31), "Early.", 0.0),
        (item("facts", "A red circle grows."), "A red circle grows.", 1.0),
        (item("facts", "A red circle grows."), "A red circle shrinks.", 0.5),
        (item("facts", "A red circle grows."), "A blue circle grows.", 0.0),
    ],
)
def test_each_rule_counts_what_it_says(one: Item, answer: str, score: float) -> None:
    assert BENCHMARK.score(one, answer)["accuracy"] == pytest.approx(score)


class Drawn:
    """The benchmark with the questions that the fixture has drawn already: finding twins takes seconds."""

    levels = BENCHMARK.levels
    metrics = BENCHMARK.metrics
    source = BENCHMARK.source
    needs_judge = BENCHMARK.needs_judge
    score = BENCHMARK.score
    has_refused = BENCHMARK.has_refused

    def __init__(self, items: list[Item]) -> None:
        self.drawn = items

    def items(self, folder: Path, selection: Selection) -> list[Item]:
        return self.drawn


def test_a_run_is_scored(tmp_path: Path, items: list[Item]) -> None:
    run = evaluate([Task("synthetic", Drawn(items), Selection(NUM_CLIPS))], parrot_for(items), tmp_path)
    report = make_report(run.answers)
    assert report["overall"]["score"] == report["swapped"]["overall"]["score"] == 100.0
    assert report["blind"]["overall"]["score"] == report["one_frame"]["overall"]["score"] == 0.0
    assert report["overall"]["count"] == sum(leaf["count"] for leaf in report["tasks"].values())
    assert report["overall"]["count"] == sum(i.variant == "normal" for i in items)
    assert report["refused_own"]["score"] == 0.0
    assert report["refused_real"] == {"score": None, "count": 0, "interval": None}
    table = as_table(report)
    assert "| black frames | one frame | other clip |" in table
    assert "\n| direction |" in table
    assert "about real clips" not in table


class Modest(Parrot):
    """A backend that refuses all it is asked."""

    def stream(self, conversation: Conversation, params: GenerationParams) -> Generator[Piece, None, None]:
        yield Piece(wording.REFUSAL["en"], Finish("stop", Usage(1, 1, 1), Timing(0.0, 0.0, 0.0)))


def test_refusals_are_counted_of_own_and_of_recorded_clips(
    tmp_path: Path, clips: Path, items: list[Item]
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "street.mp4").symlink_to(source_of(items[0]))
    (real / "notes.txt").write_text("no video")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "synthetic").symlink_to(clips)
    run = evaluate([Task("synthetic", BENCHMARK, Selection(1, real_clips=real))], Modest({}), tmp_path)
    report = make_report(run.answers)
    asked = [a for a in run.answers if a.variant == "real"]
    assert {a.language for a in asked} == {"en", "zh", "es"}
    assert report["refused_own"]["score"] == report["refused_real"]["score"] == 100.0
    assert report["refused_real"]["count"] == len(asked) == 6
    # the words must be those of the question's language, or they do not score
    assert [a.scores["accuracy"] for a in asked] == [float(a.language == "en") for a in asked]
    assert "% of 6 about real clips" in as_table(report)
    assert not BENCHMARK.has_refused(items[0], items[0].reference)


def test_wrong_selections_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="want one of core, rich, got 'hard'"):
        BENCHMARK.items(tmp_path / "clips", Selection(1, level="hard"))
    with pytest.raises(ConfigError, match="found none"):
        BENCHMARK.items(tmp_path / "clips", Selection(0, real_clips=tmp_path))


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
    answers = [
        AnswerRecord("", "synthetic", i.id, i.variant, i.task, i.language, scores={"accuracy": score})
        for i in items
        for score in [float(i.variant == "normal")]
    ]
    draw_report(make_report(answers), tmp_path / "scores.png", title="parrot")
    assert (tmp_path / "scores.png").stat().st_size > 5000
