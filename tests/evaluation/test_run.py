"""A run is the same however it is cut up, goes on after a kill, and outlives a bad row."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from valley.cli.opening import open_model
from valley.errors import BackendError, ConfigError
from valley.evaluation.answering import MOST_FAILURES_IN_A_ROW
from valley.evaluation.benchmark import Selection
from valley.evaluation.own_questions import OwnQuestions
from valley.evaluation.records import RunRecord, open_run, to_json
from valley.evaluation.run import evaluate
from valley.evaluation.tasks import Settings, Task
from valley.inference.backend import Backend, GenerationParams
from valley.inference.opening import open_backend

Write = Callable[[Sequence[dict[str, Any]]], Path]

ROWS = [
    {"video": "a.mp4", "question": "Which way does it move?", "answer": "To the right.", "language": "en"},
    {"video": "b.mp4", "question": "Does it move?", "answer": "yes", "language": "en"},
    {"image": "photo.png", "question": "What is it?", "choices": ["a cat", "a square"], "answer": "B"},
]


@pytest.fixture(scope="module")
def mini() -> Backend:
    return open_backend("valley-mini")


@pytest.fixture(scope="module")
def asked(clip_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Questions about three media, several each, with controls."""
    folder = tmp_path_factory.mktemp("asked")
    for clip in clip_files.iterdir():
        (folder / clip.name).symlink_to(clip)
    rows = [{**row, "id": f"{n}-{row['question']}"} for n in range(2) for row in ROWS]
    (folder / "own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return Task("own", OwnQuestions(folder / "own.jsonl"))


@pytest.fixture(scope="module")
def alone(mini: Backend, asked: Task, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """The run that others have to equal: one process, one question at once."""
    return evaluate([asked], mini, tmp_path_factory.mktemp("alone"), Settings(batch_size=1))


def said_by(run: RunRecord) -> list[dict[str, Any]]:
    return sorted((to_json(a) for a in run.answers), key=lambda a: a["key"])


def test_questions_at_once_change_nothing(
    mini: Backend, asked: Task, alone: RunRecord, tmp_path: Path
) -> None:
    run = evaluate([asked], mini, tmp_path, Settings(batch_size=4))
    assert said_by(run) == said_by(alone)
    assert run.answers == alone.answers  # also their order
    assert run.scores == alone.scores


@pytest.mark.slow
def test_processes_change_nothing(mini: Backend, asked: Task, alone: RunRecord, tmp_path: Path) -> None:
    opener = functools.partial(open_model, "valley-mini")
    run = evaluate([asked], mini, tmp_path, Settings(batch_size=2, num_processes=2, open_backend=opener))
    assert len(list((tmp_path / "journal").rglob("*.jsonl"))) == 2  # both have answered
    assert run.answers == alone.answers
    assert run.scores == alone.scores


def test_a_record_says_what_decided_the_answers(alone: RunRecord) -> None:
    about = alone.about
    assert about["format"] == 1
    assert about["finished"]
    assert len(about["engine"]["weights"][0]) == 64
    assert about["generation"]["temperature"] == 0.0
    assert about["sampling"]["num_frames"] == 8
    assert {"valley-vl", "torch", "transformers", "av"} <= about["packages"].keys()
    assert about["hardware"]["cores"] == os.cpu_count()
    (task,) = about["benchmarks"]
    assert task["name"] == "own"
    assert len(task["code_sha256"]) == len(task["questions_sha256"]) == 64
    for answer in alone.answers:
        (medium,) = answer.media
        assert alone.file(medium).is_file()
        assert len(medium.timestamps_s) == (8 if medium.kind == "video" else 1)
        assert len(medium.sha256 or "") == 64
        assert answer.prompt_ids
        assert answer.generation["max_new_tokens"] == 200
    assert {a.variant for a in alone.answers} == {"normal", "blind", "one_frame", "swapped"}


def test_one_bad_row_stops_nothing_and_counts_as_wrong(told: Any, questions: Write, tmp_path: Path) -> None:
    file = questions([*ROWS, {"video": "gone.mp4", "question": "What?", "answer": "a dog"}])
    right = {r["question"].split("\n")[0]: r["answer"] for r in ROWS}
    backend = told(lambda c, _: right[c.messages[-1].text.split("\n")[0]])
    tasks = [Task("own", OwnQuestions(file), Selection(controls=False))]
    run = evaluate(tasks, backend, tmp_path / "run")
    assert [a.scores["accuracy"] for a in run.answers] == [1, 1, 1, 0]
    assert "no such file" in run.answers[3].error
    scores = run.scores["benchmarks"]["own"]
    assert scores["counts"] == {"questions": 4, "errors": 1, "cut": 0, "unparsable": 0}
    assert scores["metrics"]["accuracy"]["overall"]["score"] == 75.0
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "a.mp4")
    backend.say = lambda *_: "A dog!"
    mended = evaluate(tasks, backend, tmp_path / "run")
    assert backend.asked.count("What?") == 1
    assert len(backend.asked) == 4  # nothing but the failed one is asked again
    assert [a.scores["accuracy"] for a in mended.answers] == [1, 1, 1, 1]


def test_an_engine_that_fails_for_all_stops_the_run(told: Any, questions: Write, tmp_path: Path) -> None:
    tried = []

    def fail(*_: object) -> str:
        tried.append(1)
        raise BackendError("connection refused")

    rows = [{"video": "a.mp4", "question": f"{n}?", "answer": "x"} for n in range(40)]
    tasks = [Task("own", OwnQuestions(questions(rows)), Selection(controls=False))]
    with pytest.raises(BackendError, match=r"in a row failed.*connection refused"):
        evaluate(tasks, told(fail), tmp_path / "run")
    assert len(tried) <= MOST_FAILURES_IN_A_ROW + 2
    assert not open_run(tmp_path / "run").about["finished"]
    run = evaluate(tasks, told(lambda *_: "x"), tmp_path / "run")
    assert run.scores["benchmarks"]["own"]["counts"]["errors"] == 0


def test_answers_of_another_model_or_of_other_questions_are_not_mixed(
    told: Any, questions: Write, tmp_path: Path
) -> None:
    task = Task("own", OwnQuestions(questions(ROWS)), Selection(controls=False))
    evaluate([task], told(lambda *_: "x", weights="1"), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"another run \(engine differ\)"):
        evaluate([task], told(lambda *_: "x", weights="2"), tmp_path / "run")
    shorter = Settings(GenerationParams(max_new_tokens=5))
    with pytest.raises(ConfigError, match=r"another run \(generation differ\)"):
        evaluate([task], told(lambda *_: "x", weights="1"), tmp_path / "run", shorter)
    other = Task("other", task.benchmark, task.selection)
    with pytest.raises(ConfigError, match=r"another run \(benchmarks differ\)"):
        evaluate([other], told(lambda *_: "x", weights="1"), tmp_path / "run")


def test_more_questions_are_added_to_those_that_are_answered(
    told: Any, questions: Write, tmp_path: Path
) -> None:
    benchmark, backend = OwnQuestions(questions(ROWS)), told(lambda *_: "x")
    for limit, num_answers in ((1, 1), (2, 2), (None, 3)):
        task = Task("own", benchmark, Selection(controls=False, limit=limit))
        assert len(evaluate([task], backend, tmp_path / "run").answers) == num_answers
    assert len(backend.asked) == 3


def test_no_benchmark_twice_and_none_without_its_judge(told: Any, questions: Write, tmp_path: Path) -> None:
    task = Task("own", OwnQuestions(questions(ROWS), is_judged=True))
    with pytest.raises(ConfigError, match="say which, such as --judge"):
        evaluate([task], told(lambda *_: ""), tmp_path / "run")
    with pytest.raises(ConfigError, match="each once"):
        evaluate([task, task], told(lambda *_: ""), tmp_path / "run")


_SLOWLY = """
import sys, time
sys.path.insert(0, {folder!r})
from pathlib import Path
from conftest import Told
from valley.evaluation.benchmark import Selection
from valley.evaluation.own_questions import OwnQuestions
from valley.evaluation.run import evaluate
from valley.evaluation.tasks import Settings, Task

def say(conversation, params):
    time.sleep(0.02)
    return "x"

task = Task("own", OwnQuestions(Path({file!r})), Selection(controls=False))
evaluate([task], Told(say), Path({out!r}), Settings(batch_size=2))
"""


def journalled(out: Path) -> list[str]:
    lines = [line for f in out.glob("journal/answers@1/*.jsonl") for line in f.read_bytes().split(b"\n")[:-1]]
    return [line.split(b" ")[1].decode() for line in lines]


@pytest.mark.parametrize(
    "kills", [(20,), pytest.param(tuple(range(3, 58, 6)), marks=pytest.mark.slow)], ids=["once", "often"]
)
def test_a_killed_run_goes_on_and_asks_nothing_twice(
    questions: Write, tmp_path: Path, kills: tuple[int, ...]
) -> None:
    rows = [{"video": "a.mp4", "question": f"{n}?", "answer": "x"} for n in range(60)]
    file, out = questions(rows), tmp_path / "run"
    words = _SLOWLY.format(folder=str(Path(__file__).parent), file=str(file), out=str(out))
    for enough in kills:
        process = subprocess.Popen([sys.executable, "-c", words])
        deadline_s = time.monotonic() + 120
        while len(journalled(out)) < enough and process.poll() is None:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        half = open_run(out)
        assert not half.about["finished"]
        assert enough <= len(half.answers) < 60
    subprocess.run([sys.executable, "-c", words], check=True, timeout=240)
    assert max(Counter(journalled(out)).values()) == 1
    assert [a.answer for a in open_run(out).answers] == ["x"] * 60
    assert len((out / "answers.jsonl").read_text(encoding="utf-8").splitlines()) == 60


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(questions: Write, tmp_path: Path) -> None:
    clips = ("a.mp4", "b.mp4")
    rows = [{"video": clips[n % 2], "question": f"What is it, {n}?", "answer": "x"} for n in range(300)]
    out = tmp_path / "run"
    words = ["eval", str(questions(rows)), "--out", str(out), "--no-controls", "--processes", "2"]
    process = subprocess.Popen([sys.executable, "-m", "valley", *words], stdout=subprocess.DEVNULL)
    deadline_s = time.monotonic() + 240
    while len(list(out.glob("journal/answers@1/*.jsonl"))) < 2:
        assert time.monotonic() < deadline_s
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    counts = [-1, len(journalled(out))]
    while counts[-1] != counts[-2]:  # whoever still writes is given three seconds to be seen
        assert time.monotonic() < deadline_s
        time.sleep(3)
        counts.append(len(journalled(out)))
    assert counts[-1] < len(rows)
    subprocess.run([sys.executable, "-m", "valley", *words], check=True, timeout=400)
    assert max(Counter(journalled(out)).values()) == 1
    assert len(open_run(out).answers) == len(rows)
