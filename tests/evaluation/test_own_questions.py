"""Questions of one's own are read from lines and tables, and scored by rule or by a judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from valley.conversation import Image, Video
from valley.errors import ConfigError
from valley.evaluation.benchmark import Benchmark, JudgedBenchmark, Selection
from valley.evaluation.own_questions import OwnQuestions

Write = Callable[[Sequence[dict[str, Any]]], Path]
CHOICES = {
    "image": "photo.png",
    "question": "What is it?",
    "choices": ["a cat", "a square"],
    "answer": "a square",
}


def only(questions: Write, row: dict[str, Any], *, is_judged: bool = False) -> tuple[OwnQuestions, Any]:
    benchmark = OwnQuestions(questions([row]), is_judged=is_judged)
    (item,) = benchmark.items(Path(), Selection())
    return benchmark, item


@pytest.mark.parametrize(
    ("row", "right", "wrong"),
    [
        ({"video": "a.mp4", "question": "?", "answer": "To the right."}, "to the RIGHT", "to the left"),
        ({"video": "a.mp4", "question": "?", "answer": "向右。", "language": "zh"}, "向右", "向左"),
        ({"video": "a.mp4", "question": "?", "answer": "yes"}, "Yes, it does.", "No, it does not."),
        ({"video": "a.mp4", "question": "?", "answer": "no", "language": "es"}, "No. Está quieto.", "Sí."),
        ({"video": "a.mp4", "question": "?", "answer": "8"}, "8.", "18"),
        (CHOICES, "B", "A"),
        (CHOICES, "(B) a square", "(A)"),
        (CHOICES, "It is a square.", "It is a cat."),
        ({**CHOICES, "answer": "b"}, "The answer is B", "a dog"),
    ],
)
def test_answers_count_by_their_meaning(
    questions: Write, row: dict[str, Any], right: str, wrong: str
) -> None:
    benchmark, item = only(questions, row)
    assert benchmark.score(item, right) == {"accuracy": 1.0}
    assert benchmark.score(item, item.reference) == {"accuracy": 1.0}
    for answer in (wrong, "", "?"):
        assert benchmark.score(item, answer) == {"accuracy": 0.0}


def test_choices_are_part_of_the_question_and_never_judged(questions: Write) -> None:
    benchmark, item = only(questions, CHOICES, is_judged=True)
    assert item.conversation.messages[-1].text == "What is it?\n(A) a cat\n(B) a square"
    assert item.reference == "B"
    assert not benchmark.needs_judge
    assert benchmark.judge_requests([(item, "B")]) == []
    benchmark, item = only(questions, {"video": "a.mp4", "question": "?", "answer": "x"}, is_judged=True)
    assert benchmark.needs_judge
    assert benchmark.score(item, "x") == {}
    assert len(benchmark.judge_requests([(item, "y")])) == 1
    assert isinstance(benchmark, JudgedBenchmark)
    assert isinstance(benchmark, Benchmark)


def test_a_table_says_the_same_as_lines(questions: Write, tmp_path: Path) -> None:
    rows = [
        {"video": "a.mp4", "question": "Wo ist es, hier?", "answer": "da", "start": 0.5, "end": 2, "id": "x"},
        {k: v for k, v in CHOICES.items() if k != "id"} | {"id": "y"},
    ]
    table = tmp_path / "own.csv"
    table.write_text(
        "id,video,image,question,answer,choices,start,end\n"
        'x,a.mp4,,"Wo ist es, hier?",da,,0.5,2\n'
        "y,,photo.png,What is it?,a square,a cat|a square,,\n",
        encoding="utf-8",
    )
    of_lines, of_table = (OwnQuestions(f).items(Path(), Selection()) for f in (questions(rows), table))
    assert of_lines == of_table
    assert of_lines[0].conversation.media == (Video(tmp_path / "a.mp4", 0.5, 2.0),)
    assert of_lines[1].conversation.media == (Image(tmp_path / "photo.png"),)
    assert of_lines[0].language == "de"
    assert [i.clip for i in of_lines] == ["a.mp4", "photo.png"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "?", "answer": "x"}, "either 'video' or 'image'"),
        ({"video": "a", "image": "b", "question": "?", "answer": "x"}, "either 'video' or 'image'"),
        ({"video": "a", "answer": "x"}, "want a text 'question', got None"),
        ({"video": "a", "question": "?", "answer": 3}, "want a text 'answer', got 3"),
        ({"video": "a", "question": "?", "answer": "x", "anwser": "y"}, r"unknown fields \['anwser'\]"),
        ({"video": "a", "question": "?", "answer": "x", "start": "soon"}, "want seconds in 'start'"),
        ({"image": "a", "question": "?", "answer": "x", "end": 1}, "a picture has no"),
        ({**CHOICES, "answer": "a dog"}, "one of the choices or its letter"),
        ({**CHOICES, "choices": ["a square"]}, "want 2 to 26 choices"),
        ({"video": "a", "question": "?", "answer": "x", "language": "d e"}, "BCP-47"),
    ],
)
def test_a_row_of_another_form_is_named(questions: Write, row: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"own.jsonl:1: .*{reason}"):
        OwnQuestions(questions([row]))


def test_files_of_another_form_are_named(questions: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file of questions"):
        OwnQuestions(tmp_path / "gone.jsonl")
    with pytest.raises(ConfigError, match="holds no questions"):
        OwnQuestions(questions([]))
    row = {"video": "a.mp4", "question": "?", "answer": "x", "id": "1"}
    with pytest.raises(ConfigError, match=r"own.jsonl:2: the id '1' is there twice"):
        OwnQuestions(questions([row, row]))
    (tmp_path / "own.jsonl").write_text("{not json\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"own.jsonl:1: is no JSON"):
        OwnQuestions(tmp_path / "own.jsonl")
