"""The page of `valley report`: its numbers are those of the records, and it says what it leaves out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from browser import CHROMIUM, DRIVER, Browser
from evaluation.report_kit import Page, answer, answers, judged, make_run, named
from valley.cli import run as command
from valley.errors import ConfigError
from valley.evaluation.benchmark import Metric
from valley.evaluation.records import AnswerRecord, JudgementRecord
from valley.evaluation.reporting.drawing import Line, draw_scores
from valley.evaluation.reporting.naming import names_of
from valley.evaluation.reporting.page import write_report
from valley.evaluation.reporting.provenance import facts_of
from valley.evaluation.reporting.summary import summarise

Capture = pytest.CaptureFixture[str]
SCORE = Metric("score", 0, 5, is_share=False)
KINDS = {"tasks": "task", "languages": "language", "task_languages": "task and language", "tags": "tag"}


def page_of(out: Path, *folders: Path, num_samples: int = 0) -> Page:
    return Page(write_report(summarise(named(*folders), num_samples=num_samples), out / "report.html"))


def cell(leaf: Mapping[str, Any], digits: int) -> str:
    if leaf["interval"] is None:  # all clips have the same score
        return f"{leaf['score']:.{digits}f}"
    low, high = leaf["interval"]
    return f"{leaf['score']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def expected_cells(name: str, metric: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Give caption, row, cell and count of every leaf of a metric, out of `scores.json` alone."""
    digits = 1 if metric["is_share"] else 2
    unit = "in percent" if metric["is_share"] else "from 0 to 5"
    yield "All metrics", f"{name}, {unit}", cell(metric["overall"], digits), str(metric["overall"]["count"])
    for kind, words in KINDS.items():
        for group, value in metric[kind].items():
            leaf = value.get("overall", value)
            yield f"{name} by {words}, {unit}", group, cell(leaf, digits), str(leaf["count"])


def check_scores(page: Page, folder: Path, run: str, benchmark: str) -> int:
    """Look every leaf of a run up in the page; give how many there are."""
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["benchmarks"][benchmark]
    found = 0
    for name, metric in scores["metrics"].items():
        for caption, row, wanted, count in expected_cells(name, metric):
            if caption == "All metrics" and len(scores["metrics"]) == 1:
                continue  # the headline's table has it already
            told = page.row(caption, row)
            assert told[run] == wanted
            assert count in told["questions"].split(" / ")
            found += 1
    headline = scores["metrics"][scores["headline"]]
    digits = 1 if headline["is_share"] else 2
    (row,) = (r for r in page.rows("Headlines") if r["benchmark and metric"].startswith(f"{benchmark}: "))
    assert row[run] == cell(headline["overall"], digits)
    return found


def scored_twice(given: Sequence[AnswerRecord]) -> list[AnswerRecord]:
    return [replace(a, scores={"score": 5 * a.scores["accuracy"] / 2, **a.scores}) for a in given]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs with two metrics and controls."""
    found = []
    for name, normal, blind in (
        ("a", [1, 0, 1, 1, 0, 1, 1, 0], [0] * 8),
        ("b", [1, 1, 0, 1, 1, 1, 0, 0], [0, 1] * 4),
    ):
        asked = scored_twice([*answers(normal), *answers(blind, "blind"), *answers([1, 0] * 4, "swapped")])
        found.append(make_run(tmp_path / name, asked, metrics=[Metric("accuracy"), SCORE]))
    return found[0], found[1]


def test_every_number_is_that_of_the_scores(two: tuple[Path, Path], tmp_path: Path) -> None:
    page = page_of(tmp_path, *two)
    for folder in two:
        assert check_scores(page, folder, folder.name, "own") == 2 * (1 + 2 + 2 + 4 + 1)
        scores = json.loads((folder / "scores.json").read_text("utf-8"))["benchmarks"]["own"]
        for row in page.rows("The same questions with other frames"):
            control = {"black frames": "blind", "another clip": "swapped"}.get(row["other frames"])
            if control and row["run"] == folder.name:
                overall = scores["metrics"]["accuracy"][control]["overall"]
                assert row["these frames"] == f"{overall['score']:.1f}"
                assert row["questions"] == str(overall["count"])
                assert row["own frames"] == f"{scores['metrics']['accuracy']['overall']['score']:.1f}"


def test_controls_stand_beside_the_score_and_absent_ones_are_said(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = page_of(tmp_path, *two).rows("The same questions with other frames")
    said = {(r["other frames"], r["run"]): r["said of it"] for r in rows}
    assert said["black frames", "a"] == "lower"
    assert said["one frame", "a"] == said["one frame", "b"] == "was not asked"
    assert len(said) == 6


def test_a_score_that_black_frames_reach_too_is_marked(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", [*answers([1, 0] * 4), *answers([1, 0] * 4, "blind")])
    page = page_of(tmp_path, run)
    marked = [a for tag, a in page.tags if tag == "tr" and a.get("class") == "marked"]
    assert len(marked) == 1
    (row,) = (r for r in page.rows("The same questions") if r["other frames"] == "black frames")
    assert (row["difference"][:4], row["said of it"]) == ("+0.0", "not told apart")


def test_scores_of_different_judges_never_meet_in_a_row(tmp_path: Path) -> None:
    judges = {"a": "Judge-A@1", "b": "Judge-B@2", "c": "Judge-A@1"}
    runs = [
        make_run(tmp_path / name, judged(answers([1, 0, 1, n]), judge), judge=judge)
        for n, (name, judge) in enumerate(judges.items(), -1)
        for n in [max(n, 0)]
    ]
    page = page_of(tmp_path, *runs)
    rows = {r["benchmark and metric"]: r for r in page.rows("Headlines")}
    assert list(rows) == ["own: accuracy[Judge-A@1], in percent", "own: accuracy[Judge-B@2], in percent"]
    by_judge = {label: {run for run in judges if row[run]} for label, row in rows.items()}
    assert list(by_judge.values()) == [{"a", "c"}, {"b"}]
    for _, rows_of_table in page.tables:  # nor in any other table
        for row in rows_of_table[1:]:
            assert not ("Judge-A@1" in " ".join(row) and "Judge-B@2" in " ".join(row)) or "judge" in row[0]
    assert "accuracy was given by Judge-A@1 and by Judge-B@2" in page.words
    assert "Not compared. b against a: their answers were scored by Judge-A@1 and by Judge-B@2." in " ".join(
        page.words.split()
    )
    (compared,) = page.rows("Differences on the questions that both answered")
    assert compared["runs and metric"] == "c against a: accuracy[Judge-A@1]"


def test_a_judge_of_unknown_revision_is_pointed_out(tmp_path: Path) -> None:
    judge = "Qwen@unknown"
    runs = [make_run(tmp_path / n, judged(answers([1, 0]), judge), judge=judge) for n in "ab"]
    assert "that both runs had the same judge is not known" in page_of(tmp_path, *runs).words
    assert "is not known" not in page_of(tmp_path, runs[0]).words


def test_what_went_wrong_is_counted_and_said(tmp_path: Path) -> None:
    judge = "J@1"
    asked = judged(answers([1, 0, 0, 0]), judge)
    asked[1] = replace(asked[1], error="MediaError: <gone>", answer="", finish="")
    asked[2] = replace(asked[2], finish="length", refused=True)
    said = JudgementRecord(
        "own", "normal", "r3", ("q3",), judge, "h", ("no", "<b>no</b>"), None, "want a JSON object"
    )
    page = page_of(tmp_path, make_run(tmp_path / "a", asked, [said], judge=judge), num_samples=4)
    row = page.row("Failed questions count as wrong", "a")
    names = (
        "questions, with controls",
        "failed",
        "cut by the limit",
        "judge unreadable",
        "refused real clips, %",
    )
    assert [row[n] for n in names] == ["4", "1", "1", "1", "not asked"]
    assert row["refused own, %"].startswith("25.0")
    assert page.row("What failed", "MediaError: <gone>")["times"] == "1"
    assert page.row("What failed", "judge's reply: want a JSON object")["run"] == "a"
    assert "<b>no</b>" in page.words
    assert "<b>no</b>" not in page.html
    assert "cut by the limit" in page.words


def test_yes_and_language_are_told_for_each_run(tmp_path: Path) -> None:
    asked = [
        answer(n, 1, reference=right, answer=said, language="en")
        for n, (right, said) in enumerate(
            [("yes", "Yes."), ("no", "yes"), ("no", "No, it does not move."), ("yes", "A dog")]
        )
    ]
    page = page_of(tmp_path, make_run(tmp_path / "a", asked))
    row = page.row("Questions whose right answer is yes or no", "a")
    assert (row["says yes, %"].split()[0], row["right would be, %"]) == ("66.7", "33.3")
    assert (row["yes or no"], row["neither"]) == ("3", "1")
    scores = json.loads((tmp_path / "a" / "scores.json").read_text("utf-8"))["benchmarks"]["own"]
    consistency = scores["language_consistency"]["overall"]
    told = page.row("Answers in the language", "a")
    assert (told["long enough to tell"], told["too short"]) == (
        str(consistency["count"]),
        str(consistency["undecided"]),
    )


def test_facts_that_differ_are_marked_and_those_that_do_not_are_not(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", answers([1, 0]))
    b = make_run(
        tmp_path / "b", answers([1, 0]), packages={"torch": "2.1"}, sampling={"num_frames": 4, "rule": "time"}
    )
    page = page_of(tmp_path, a, b)
    told = {r["fact"]: r for r in page.rows("What produced the numbers")}
    differing = {name for name, row in told.items() if row["between runs"] == "differs"}
    assert differing == {"packages torch", "sampling num_frames"}
    assert (told["sampling num_frames"]["a"], told["sampling num_frames"]["b"]) == ("8", "4")
    assert told["engine weights"]["a"] == "abababababab…"
    assert {f.name for f in facts_of(named(a, b)) if f.differs} == differing


def test_runs_that_were_asked_other_questions_or_did_not_end_are_said(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", answers([1, 0, 1]))
    b = make_run(tmp_path / "b", answers([1, 0]))
    c = make_run(tmp_path / "c", answers([1, 0]), is_finished=False)
    page = page_of(tmp_path, a, b, c)
    assert "The runs were not asked the same questions" in page.words
    assert "c did not end, so its scores are absent" in page.words
    assert page.row("Headlines", "own: accuracy, in percent")["c"] == ""
    assert page.row("Runs", "c")["finished"] == "no"
    assert "left out are 1 questions that only a answered and 0 that only b did" in page.words
    alone = page_of(tmp_path, c, num_samples=2)
    assert "nothing is said of black, still and other frames" in alone.words


def test_one_benchmark_of_two_is_in_one_run_only(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", [*answers([1, 0]), *answers([1, 1], benchmark="more")])
    b = make_run(tmp_path / "b", answers([0, 0]))
    page = page_of(tmp_path, a, b)
    assert page.row("Headlines", "more: accuracy, in percent")["b"] == ""
    assert "Only one run was asked this" in page.words


def test_the_page_needs_nothing_beside_it_and_can_be_read_by_all(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    page = page_of(tmp_path, *two, num_samples=2)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    assert not re.search(r"@import|url\(|https?://", page.html)
    links = [v or "" for _, a in page.tags for n, v in a.items() if n in ("src", "href", "srcset")]
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert all(v.startswith("data:image/jpeg;base64,") or (v[0] == "#" and v[1:] in ids) for v in links)
    assert len(ids) == len(set(ids))
    assert page.html.count("<caption>") == page.html.count("<table")
    assert all(a.get("scope") in ("col", "row") for tag, a in page.tags if tag == "th")
    drawings = [a for tag, a in page.tags if tag == "svg" and a.get("role") == "img"]
    assert len(drawings) == 2
    assert all(a.get("aria-label") for a in drawings)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_what_others_wrote_is_only_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    run = make_run(
        tmp_path / "a", answers([1, 0], answer=evil, task=evil, reference=evil, tags=(evil,), benchmark=evil)
    )
    page = page_of(tmp_path, run, num_samples=2)
    assert evil in page.words
    assert evil not in page.html


def test_equal_runs_give_equal_pages(two: tuple[Path, Path], tmp_path: Path) -> None:
    pages = [page_of(tmp_path / n, *two, num_samples=2).html for n in ("x", "y")]
    assert pages[0] == pages[1]


def test_runs_are_named_by_the_end_of_their_paths() -> None:
    assert names_of([Path("/runs/a"), Path("/runs/b")]) == ["a", "b"]
    assert names_of([Path("/x/eval"), Path("/y/eval"), Path("/y/other")]) == ["x/eval", "y/eval", "y/other"]
    with pytest.raises(ConfigError, match=r"each once, got 2 \(1 of them"):
        names_of([Path("/runs/a"), Path("/runs/a")])


def test_dots_and_intervals_lie_where_the_scores_are() -> None:
    lines = [Line(50.0, (25.0, 100.0), {"blind": 0.0}), None, Line(100, (100, 100), colour=8)]
    drawing = draw_scores({"a <b>": lines, "c": [None, None, None]}, bounds=(0.0, 100.0), title="Of & by")
    ticks = [float(x) for x in re.findall(r'class="edge" x="([\d.]+)"', drawing)]
    left, right = ticks[0], ticks[-1]
    assert left < right
    assert [float(x) for x in re.findall(r'<circle class="score" cx="([\d.]+)"', drawing)] == [
        (left + right) / 2,
        right,
    ]
    bar = re.findall(r'class="interval" x1="([\d.]+)" x2="([\d.]+)"', drawing)
    assert [tuple(map(float, one)) for one in bar] == [(left + (right - left) / 4, right), (right, right)]
    assert re.findall(r'<g class="run-(\d)">', drawing) == ["0", "2"]
    assert drawing.count('class="control"') == 1
    assert "a &lt;b&gt;" in drawing
    assert "Of &amp; by" in drawing
    assert draw_scores({}, bounds=(0.0, 1.0), title="") == ""


def test_the_command_prints_writes_and_gives_json(
    two: tuple[Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "deep" / "report.html"
    assert command(["report", *map(str, two), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "b against a: accuracy" in said
    assert said.rstrip().endswith(str(out))
    assert Page(out).rows("Headlines")
    assert command(["report", *map(str, two), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [run["name"] for run in told["runs"]] == ["a", "b"]
    (own,) = told["benchmarks"]
    scores = json.loads((two[0] / "scores.json").read_text("utf-8"))["benchmarks"]["own"]
    accuracy = next(m for m in own["metrics"] if m["name"] == "accuracy")
    assert accuracy["overall"]["a"] == scores["metrics"]["accuracy"]["overall"]
    assert accuracy["groups"]["task_languages"]["motion/de"]["a"]["count"] == 2
    assert own["comparisons"][0]["overall"]["count"] == 8
    assert own["controls"][0]["change"]["second"] == 0


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: Capture) -> None:
    assert command(["report", str(tmp_path), "-o", str(tmp_path / "r.html")]) == 1
    assert "want the folder of a run" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver")
@pytest.mark.parametrize("width_px", [390, 1200])
def test_the_page_fits_a_phone_and_a_desk(two: tuple[Path, Path], tmp_path: Path, width_px: int) -> None:
    page = write_report(summarise(named(*two), num_samples=2), tmp_path / "report.html")
    with Browser(tmp_path / "profile", width_px=width_px) as browser:
        browser.go(page.as_uri(), until="document.readyState === 'complete'")
        assert browser.get("document.documentElement.scrollWidth") <= width_px
        for scheme in ("light", "dark"):
            browser.look(scheme)
            dot = "getComputedStyle(document.querySelector('circle.score')).fill"
            card = "getComputedStyle(document.querySelector('section')).backgroundColor"
            assert browser.get(dot) != browser.get(card)
        browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; });")
        assert browser.get("document.documentElement.scrollWidth") <= width_px
        assert browser.complaints() == []


def test_a_run_of_the_embedded_model_from_its_clips_to_the_page(
    questions: Callable[..., Path], tmp_path: Path, capsys: Capture
) -> None:
    rows = [
        {
            "video": "a.mp4",
            "question": "Which way does the square move?",
            "answer": "To the right.",
            "language": "en",
        },
        {"video": "b.mp4", "question": "¿Hacia dónde va?", "answer": "A la izquierda.", "language": "es"},
        {"image": "photo.png", "question": "Is there a square?", "answer": "yes", "language": "en"},
    ]
    file = str(questions(rows))
    for name, frames in (("eight", "8"), ("two", "2")):
        assert command(["eval", file, "--out", str(tmp_path / name), "--num-frames", frames]) == 0
    out = tmp_path / "report.html"
    assert (
        command(["report", str(tmp_path / "eight"), str(tmp_path / "two"), "-o", str(out), "--samples", "3"])
        == 0
    )
    capsys.readouterr()
    page = Page(out)
    for name in ("eight", "two"):
        assert check_scores(page, tmp_path / name, name, "own.jsonl") > 4
    assert {r["run"] for r in page.rows("The same questions")} == {"eight", "two"}
    pictures = [a["alt"] or "" for tag, a in page.tags if tag == "img"]
    assert "The picture that was asked about" in pictures
    assert sum(alt.startswith("Frame at") for alt in pictures) >= 2 + 8
    assert page.row("What produced the numbers", "sampling num_frames")["between runs"] == "differs"
