"""Records are read as they were written; nothing that opens a door stands in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valley.errors import BackendError, ConfigError
from valley.evaluation.own_questions import OwnQuestions
from valley.evaluation.records import (
    AnswerRecord,
    MediumRecord,
    answer_from,
    open_run,
    packed,
    read_lines,
    to_json,
    unpacked,
    write_lines,
)
from valley.evaluation.redacting import without_secrets
from valley.evaluation.run import evaluate
from valley.evaluation.tasks import Task


@given(st.lists(st.integers(0, 3)))
def test_token_ids_are_read_back_from_their_short_form(ids: list[int]) -> None:
    assert unpacked(json.loads(json.dumps(packed(ids)))) == ids


def test_a_clip_of_placeholders_takes_no_room() -> None:
    assert packed([1, *[402] * 1000, 5, 5]) == (1, (402, 1000), 5, 5)


def test_an_answer_is_read_as_it_was_written(tmp_path: Path) -> None:
    medium = MediumRecord("media/a.mp4", "video", "1c", 3.0, (0.0, 0.5), (1.0,))
    message = {"role": "user", "content": [{"type": "text", "text": "这是什么?"}]}
    answer = AnswerRecord(
        "k",
        "own",
        "1",
        messages=(message,),
        media=(medium,),
        prompt_ids=(1, (2, 9)),
        scores={"accuracy": 1.0},
    )
    write_lines(tmp_path / "answers.jsonl", [answer])
    assert [answer_from(line) for line in read_lines(tmp_path / "answers.jsonl")] == [answer]
    assert answer_from({**to_json(answer), "of_a_later_version": 1}) == answer
    assert answer.question == "这是什么?"


def test_a_last_line_that_was_cut_is_left_out_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text('{"a": 1}\n{"a": 2}\n{"a"', encoding="utf-8")
    assert read_lines(file) == [{"a": 1}, {"a": 2}]
    file.write_text('{"a": 1}\n{"a"\n{"a": 3}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"answers.jsonl:2: is no JSON"):
        read_lines(file)


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found no run.json"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(ConfigError, match="of format 99"):
        open_run(tmp_path)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("http://me:hidden@host/v1 is away", "http://host/v1 is away"),
        ("rtsp://token@cam/1", "rtsp://cam/1"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
        ("https://host/a.mp4?api_key=hidden&x=1", "https://host/a.mp4?api_key=***&x=1"),
        ("https://host/a.mp4?X-Amz-Signature=hidden", "https://host/a.mp4?X-Amz-Signature=***"),
        ("bad key sk-abcdefgh12345678", "bad key sk-***"),
        ("a@b.org asks: what is a token?", "a@b.org asks: what is a token?"),
        ("at 3:20/4 p. m. @home", "at 3:20/4 p. m. @home"),
    ],
)
def test_credentials_are_taken_out_and_words_are_not(text: str, kept: str) -> None:
    assert without_secrets({"a": [text]}) == {"a": [kept]}


def test_no_secret_lands_in_a_run(told: Any, questions: Callable[..., Path], tmp_path: Path) -> None:
    secrets = ("sekret-password", "sk-sekretsekret", "sekretbearer1234")

    def fail(*_: object) -> str:
        raise BackendError(f"http://me:{secrets[0]}@host/v1: 401 for Bearer {secrets[2]} ({secrets[1]})")

    backend = told(fail, server=f"http://me:{secrets[0]}@host/v1", key=f"token={secrets[1]}")
    file = questions([{"video": "a.mp4", "question": "?", "answer": "x"}])
    run = evaluate([Task("own", OwnQuestions(file))], backend, tmp_path / "run")
    assert run.answers[0].error.startswith("BackendError: http://host/v1: 401")
    written = [p for p in (tmp_path / "run").rglob("*") if p.is_file()]
    assert len(written) >= 5
    for path in written:
        assert not any(secret.encode() in path.read_bytes() for secret in secrets), path
