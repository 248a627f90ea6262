"""`valley eval`, as a user types it: own questions, a plan, the list, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from valley.cli import run as command
from valley.evaluation.benchmark import BENCHMARKS
from valley.evaluation.records import open_run

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
ROWS: Sequence[dict[str, Any]] = [
    {"video": "a.mp4", "question": "Which way does the square move?", "answer": "To the right."},
    {"video": "b.mp4", "question": "Does it move?", "answer": "yes", "language": "en"},
]
LEAF = {"score", "count", "interval"}


def test_own_questions_from_end_to_end(questions: Write, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    words = ["eval", str(questions(ROWS)), "--out", str(out), "--json", "--control-limit", "1"]
    assert command(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["benchmark"] == "own.jsonl"
    assert said["counts"] == {"questions": 5, "errors": 0, "cut": 0, "unparsable": 0}
    assert {"overall", "tasks", "languages", "task_languages", "tags", "refused_own", "model"} <= said.keys()
    assert set(said["overall"]) == LEAF
    for control in ("blind", "one_frame", "swapped"):
        assert said[control]["overall"]["count"] == 1
    run = open_run(out)
    assert run.scores["benchmarks"]["own.jsonl"]["metrics"]["accuracy"]["overall"] == said["overall"]
    before = (out / "answers.jsonl").read_bytes()
    assert command(words) == 0
    assert (out / "answers.jsonl").read_bytes() == before


def test_two_files_in_one_run_and_a_table_each(questions: Write, tmp_path: Path, capsys: Capture) -> None:
    files = [str(questions(ROWS[:1], name)) for name in ("one.jsonl", "two.jsonl")]
    out = tmp_path / "run"
    assert command(["eval", "run", *files, "--out", str(out), "--no-controls", "--num-frames", "3"]) == 0
    said = capsys.readouterr().out
    assert said.index("## one.jsonl") < said.index("## two.jsonl")
    run = open_run(out)
    assert run.benchmarks == ("one.jsonl", "two.jsonl")
    assert [len(a.media[0].timestamps_s) for a in run.answers] == [3, 3]


def test_a_plan_asks_nothing_and_counts_what_a_run_takes(
    questions: Write, tmp_path: Path, capsys: Capture
) -> None:
    file, out = str(questions(ROWS)), str(tmp_path / "run")
    assert command(["eval", file, "--out", out, "--dry-run", "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert plan["questions"] == {"normal": 2, "blind": 2, "one_frame": 2, "swapped": 2}
    assert plan["answered"] == plan["judge_calls"] == 0
    assert not (tmp_path / "run" / "run.json").exists()
    assert command(["eval", file, "--out", out]) == 0
    run = open_run(tmp_path / "run")
    assert plan["prompt_tokens"] == sum(a.usage["prompt"] for a in run.answers)
    assert plan["most_answer_tokens"] == 8 * 200
    capsys.readouterr()
    assert command(["eval", file, "--out", out, "--dry-run", "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert (plan["answered"], plan["prompt_tokens"], plan["most_answer_tokens"]) == (8, 0, 0)


def test_a_plan_lists_missing_media_and_the_judges_calls(
    questions: Write, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    rows = [
        *ROWS,
        {"video": "gone.mp4", "question": "?", "answer": "x"},
        {"video": "torn.mp4", "question": "?", "answer": "x"},
    ]
    words = ["eval", str(questions(rows)), "--dry-run", "--no-controls", "--judge", "http://nobody.test/v1#m"]
    assert command(words) == 2
    said = capsys.readouterr().out
    assert "calls to the judge           4" in said
    assert f"missing: {tmp_path / 'gone.mp4'}" in said
    assert "unreadable: " in said
    assert "torn.mp4" in said


def test_failed_questions_show_in_the_exit_code(questions: Write, tmp_path: Path, capsys: Capture) -> None:
    file = questions([*ROWS, {"video": "gone.mp4", "question": "?", "answer": "x"}])
    assert command(["eval", str(file), "--no-controls"]) == 2
    assert "1 failed, counted as wrong." in capsys.readouterr().out
    assert command(["eval", str(tmp_path / "none.jsonl")]) == 1
    assert "no such file of questions" in capsys.readouterr().err


def test_a_plot_is_drawn(questions: Write, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ["eval", str(questions(ROWS)), "--no-controls", "--plot", str(tmp_path / "p" / "scores.png")]
    assert command(words) == 0
    assert (tmp_path / "p" / "scores.png").stat().st_size > 3000


def test_the_benchmarks_are_listed(capsys: Capture) -> None:
    assert command(["eval", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == BENCHMARKS.names()
    assert rows["synthetic"] == {
        "name": "synthetic",
        "levels": ["core", "rich"],
        "metrics": ["accuracy"],
        "scored_by": "rule",
        "needs_data": False,
    }
    assert command(["eval", "list"]) == 0
    assert "synthetic" in capsys.readouterr().out
