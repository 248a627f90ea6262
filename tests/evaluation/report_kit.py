"""Folders of runs made by hand, and what a browser would find in a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from valley.evaluation.benchmark import Metric
from valley.evaluation.records import AnswerRecord, JudgementRecord, open_run, write_json, write_lines
from valley.evaluation.reporting.naming import NamedRun, names_of
from valley.evaluation.scoring import scores_file, tables_of

ACCURACY = Metric("accuracy")


def answer(
    number: int, score: float | int | None = None, variant: str = "normal", **given: Any
) -> AnswerRecord:
    """One answer: two questions a clip, in two tasks and two languages, one tag on every third question."""
    words: dict[str, Any] = {
        "key": f"{variant}-{number}",
        "benchmark": "own",
        "id": f"q{number}",
        "variant": variant,
        "task": ("colour", "motion")[number % 2],
        "language": ("en", "de")[number // 2 % 2],
        "tags": ("third",) if number % 3 == 0 else (),
        "clip": f"clip-{number // 2}",
        "messages": ({"role": "user", "content": [{"type": "text", "text": f"Question {number}?"}]},),
        "reference": "red",
        "answer": "red" if score else f"blue {number}",
        "finish": "stop",
        "scores": {} if score is None else {"accuracy": score},
    }
    return AnswerRecord(**{**words, **given})


def answers(scores: Sequence[float | int], variant: str = "normal", **given: Any) -> list[AnswerRecord]:
    """Answers to questions 0, 1, 2 ... with these scores."""
    return [answer(number, score, variant, **given) for number, score in enumerate(scores)]


def make_run(
    folder: Path,
    answers: Sequence[AnswerRecord],
    judgements: Sequence[JudgementRecord] = (),
    *,
    metrics: Sequence[Metric] = (ACCURACY,),
    judge: str | None = None,
    is_finished: bool = True,
    **about: Any,
) -> Path:
    """Write a folder as `valley eval` does."""
    names = list(dict.fromkeys(a.benchmark for a in answers))
    folder.mkdir(parents=True, exist_ok=True)
    engine = {"engine": "told", "model": "told", "weights": ["ab" * 32], "dtype": "float32"}
    told: dict[str, Any] = {
        "format": 1,
        "created": "2026-01-02T03:04:05+00:00",
        "engine": engine,
        "generation": {"temperature": 0.0},
        "sampling": {"num_frames": 8, "rule": "time"},
        "packages": {"torch": "2.0"},
        "hardware": {"cpu": "one", "cores": 2},
        "benchmarks": [
            {
                "name": name,
                "selection": {"seed": 0},
                "code_sha256": "cd" * 32,
                "annotations": {},
                "questions_sha256": str(hash(tuple(a.key for a in answers if a.benchmark == name))),
                "num_questions": len(answers),
            }
            for name in names
        ],
        "judge": None if judge is None else dict(zip(("name", "revision"), judge.split("@"), strict=True)),
        "finished": is_finished,
    }
    write_json(folder / "run.json", told | about)
    write_lines(folder / "answers.jsonl", answers)
    write_lines(folder / "judgements.jsonl", judgements)
    if is_finished:
        tables = {
            name: tables_of(
                metrics,
                [a for a in answers if a.benchmark == name],
                [j for j in judgements if j.benchmark == name],
                judge,
            )
            for name in names
        }
        write_json(folder / "scores.json", scores_file(tables))
    return folder


def judged(given: Sequence[AnswerRecord], judge: str) -> list[AnswerRecord]:
    """The same answers with values by a judge."""
    return [replace(a, scores={f"{n}[{judge}]": v for n, v in a.scores.items()}) for a in given]


def named(*folders: Path) -> list[NamedRun]:
    """Runs as the command reads them."""
    return [NamedRun(n, open_run(f)) for n, f in zip(names_of(folders), folders, strict=True)]


class Page(HTMLParser):
    """Tables by caption, attributes, words."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tables: list[tuple[str, list[list[str]]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._rows: list[list[str]] = []
        self._caption = ""
        self._open: list[str] = []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("img", "meta", "input"):
            return
        self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert tag in self._open, tag
        while self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables.append((self._caption, self._rows))

    def handle_data(self, data: str) -> None:
        self.words += data
        if "style" in self._open:
            return
        if "caption" in self._open:
            self._caption += data
        elif "th" in self._open or "td" in self._open:
            self._rows[-1][-1] += data

    def rows(self, caption: str) -> list[dict[str, str]]:
        """The rows of the only table whose caption begins so, by the names of the columns."""
        (found,) = (rows for title, rows in self.tables if title.startswith(caption))
        return [dict(zip(found[0], row, strict=True)) for row in found[1:]]

    def row(self, caption: str, name: str) -> dict[str, str]:
        """The row of that name."""
        (found,) = (row for row in self.rows(caption) if next(iter(row.values())) == name)
        return found
