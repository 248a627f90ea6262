"""A benchmark and a backend: every answer is written down as it comes, and an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valley.conversation import to_record
from valley.errors import ConfigError
from valley.evaluation.benchmark import Benchmark, Item, Selection
from valley.inference.backend import Backend, GenerationParams

ANSWERS_NAME = "answers.jsonl"
RUN_NAME = "run.json"

MAX_ANSWER_TOKENS = 200
"""Longer than the longest reference; a model that never stops is cut here and scores nothing."""


@dataclass(frozen=True)
class Scored:
    """An answered question with the value of each metric, and whether the model said it cannot know."""

    item: Item
    answer: str
    scores: Mapping[str, float]
    refused: bool = False

    @property
    def score(self) -> float:
        """The headline: the first metric's value."""
        return next(iter(self.scores.values()))

    def to_record(self) -> dict[str, Any]:
        """Give what `answers.jsonl` holds: enough to check every score by eye."""
        item = self.item
        return {
            "id": item.id,
            "variant": item.variant,
            "task": item.task,
            "language": item.language,
            "tags": list(item.tags),
            "messages": to_record(item.conversation)["messages"],
            "reference": item.reference,
            "answer": self.answer,
            "score": round(self.score, 4),
            "refused": self.refused,
        }


def evaluate(
    benchmark: Benchmark,
    backend: Backend,
    out: Path,
    selection: Selection,
    *,
    model_fingerprint: str = "",
    on_answer: Callable[[int, int], None] | None = None,
) -> list[Scored]:
    """Ask every question of the benchmark and score the answers.

    Args:
        benchmark: what to ask.
        backend: who answers, greedily.
        out: a folder for clips and answers; a run that was interrupted there goes on.
        selection: which of its questions.
        model_fingerprint: changes when the weights do, so that no answer of another model is taken over.
        on_answer: called with (answered, of all) after each answer.

    Raises:
        ConfigError: the folder holds answers of another run.
        MediaError: a clip cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    _claim(
        out / RUN_NAME,
        {
            "seed": selection.seed,
            "level": selection.level,
            "model": backend.capabilities.model,
            "weights": model_fingerprint,
        },
    )
    items = benchmark.items(out / "clips", selection)
    known = _read_answers(out / ANSWERS_NAME)
    scored: list[Scored] = []
    with (out / ANSWERS_NAME).open("a", encoding="utf-8") as file:
        for item in items:
            answer = known.get(_key(item))
            is_new = answer is None
            if answer is None:
                answer = _ask(backend, item)
            refused = benchmark.has_refused(item, answer)
            result = Scored(item, answer, benchmark.score(item, answer), refused)
            scored.append(result)
            if is_new:
                line = {"key": _key(item), **result.to_record()}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                file.flush()
            if on_answer:
                on_answer(len(scored), len(items))
    return scored


def _ask(backend: Backend, item: Item) -> str:
    params = GenerationParams(max_new_tokens=MAX_ANSWER_TOKENS, temperature=0.0)
    with closing(backend.stream(item.conversation, params)) as pieces:
        return "".join(piece.text for piece in pieces).strip()


def _key(item: Item) -> str:
    words = json.dumps([item.id, item.conversation.messages[-1].text, item.reference], ensure_ascii=False)
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def _claim(marker: Path, run: dict[str, Any]) -> None:
    if marker.exists() and json.loads(marker.read_text(encoding="utf-8")) != run:
        raise ConfigError(f"{marker.parent}: this folder holds answers of another run; choose another --out")
    marker.write_text(json.dumps(run) + "\n", encoding="utf-8")


def _read_answers(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [json.loads(line) for line in lines if line.endswith("\n")]
    if len(whole) != len(lines):  # the last line was cut by a kill: drop it before appending
        path.write_text("".join(lines[: len(whole)]), encoding="utf-8")
    return {record["key"]: record["answer"] for record in whole}
