"""Two runs that are equal are found equal; else the first stage where they part is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from valley.cli import run as command
from valley.evaluation.benchmark import Selection
from valley.evaluation.diff import STAGES, compare
from valley.evaluation.own_questions import OwnQuestions
from valley.evaluation.records import AnswerRecord, MediumRecord, RunRecord, open_run, write_lines
from valley.evaluation.run import evaluate
from valley.evaluation.tasks import Task

ANSWER = AnswerRecord(
    "k",
    "own",
    "1",
    messages=({"role": "user", "content": [{"type": "video", "path": "a"}, {"type": "text", "text": "?"}]},),
    media=(MediumRecord("a.mp4", "video", "1c", 3.0, (0.0, 0.5)),),
    prompt_ids=(1, (2, 9)),
    generation={"temperature": 0.0},
    answer="left",
    finish="stop",
    scores={"accuracy": 1.0},
)
MEDIUM = ANSWER.media[0]


def runs(other: AnswerRecord | None) -> tuple[RunRecord, RunRecord]:
    one = replace(ANSWER, id="0")
    both = (one, other) if other is not None else (one,)
    return RunRecord(Path("a"), {}, (one, ANSWER)), RunRecord(Path("b"), {}, both)


@pytest.mark.parametrize(
    ("stage", "other"),
    [
        ("questions", None),
        ("questions", replace(ANSWER, reference="up")),
        ("media", replace(ANSWER, media=(replace(MEDIUM, sha256="2d"),), answer="right")),
        ("frames", replace(ANSWER, media=(replace(MEDIUM, timestamps_s=(0.0, 0.6)),), prompt_ids=(1,))),
        ("frames", replace(ANSWER, media=(replace(MEDIUM, missing_s=(1.0,)),))),
        ("prompt", replace(ANSWER, prompt_ids=(1, (2, 8)), scores={"accuracy": 0.0})),
        ("generation", replace(ANSWER, generation={"temperature": 0.5})),
        ("generation", replace(ANSWER, answer="right", scores={"accuracy": 0.0})),
        ("generation", replace(ANSWER, error="gone", answer="left")),
        ("scoring", replace(ANSWER, scores={"accuracy": 0.0})),
        ("scoring", replace(ANSWER, scores={"accuracy[other@1]": 1.0})),
    ],
)
def test_the_first_stage_that_differs_is_named(stage: str, other: AnswerRecord | None) -> None:
    found = compare(*runs(other))
    assert found.stage == stage
    assert not found.is_equal
    assert found.counts[stage] == 1
    assert all(found.counts[earlier] == 0 for earlier in STAGES[: STAGES.index(stage)])
    assert found.example is not None
    assert found.example.id == "1"
    assert found.example.first != found.example.second
    json.dumps(found.to_dict())


@pytest.mark.parametrize(
    "other",
    [
        ANSWER,
        replace(ANSWER, media=(replace(MEDIUM, path="elsewhere/a.mp4"),)),
        replace(ANSWER, media=(replace(MEDIUM, timestamps_s=(0.0, 0.5 + 1e-9)),)),
        replace(ANSWER, prompt_ids=None),
        replace(ANSWER, media=(replace(MEDIUM, timestamps_s=()),)),
    ],
)
def test_what_is_the_same_or_not_known_is_no_difference(other: AnswerRecord) -> None:
    assert compare(*runs(other)).is_equal


def test_other_weights_behind_a_server_are_named() -> None:
    one, other = runs(ANSWER)
    about = [
        {
            "engine": {
                "engine": "openai",
                "server_identity": {"weights": [digest], "processor": {"long": "x" * 80}},
            }
        }
        for digest in ("1c", "2d")
    ]
    found = compare(replace(one, about=about[0]), replace(other, about=about[1]))
    assert found.notes == ("engine server_identity weights: ['1c'] / ['2d']",)


def test_the_command_says_it_with_its_exit_code(
    told: Any,
    questions: Callable[[Sequence[dict[str, Any]]], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"video": "a.mp4", "question": "Which way?", "answer": "left", "id": "which"}]
    task = Task("own", OwnQuestions(questions(rows)), Selection(controls=False))
    for name in ("a", "b"):
        evaluate([task], told(lambda *_: "left", device=name), tmp_path / name)
    words = ["eval", "diff", str(tmp_path / "a"), str(tmp_path / "b")]
    assert command(words) == 0
    said = capsys.readouterr()
    assert said.out == "equal: 1 questions, from media to scores\n"
    assert "engine device: a / b" in said.err
    answer = open_run(tmp_path / "b").answers[0]
    write_lines(tmp_path / "b" / "answers.jsonl", [replace(answer, answer="right", scores={"accuracy": 0.0})])
    assert command(words) == 1
    said = capsys.readouterr().out
    assert "the runs part at: generation" in said
    assert "first: own, normal, which" in said
    assert '"answer": "left"' in said
    assert '"answer": "right"' in said
    assert command([*words, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["counts"] == {
        "questions": 0,
        "media": 0,
        "frames": 0,
        "prompt": 0,
        "generation": 1,
        "scoring": 1,
    }
