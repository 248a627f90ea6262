"""What a benchmark is: questions with media, and a score for each answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from valley.conversation import Conversation
from valley.registry import Registry

BENCHMARKS = Registry("valley.evaluation.benchmarks", attribute="BENCHMARK", kind="benchmark")


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        id: unique and the same in every run.
        variant: "normal", or a control such as "blind" (black frames) that is reported apart.
        task: what is asked for, such as "direction".
        language: BCP-47 tag.
        tags: further groups the item counts in, such as "one_object".
        conversation: ends with the user's turn.
        reference: the right answer.
    """

    id: str
    variant: str
    task: str
    language: str
    tags: tuple[str, ...]
    conversation: Conversation
    reference: str


@runtime_checkable
class Benchmark(Protocol):
    """A set of questions; one file in `valley/evaluation/benchmarks` each."""

    def items(self, folder: Path, *, num_clips: int, seed: int) -> list[Item]:
        """Make or find the media under `folder` and list the questions, those on one clip side by side."""
        ...

    def score(self, item: Item, answer: str) -> float:
        """Score an answer from 0 to 1; the reference itself scores 1."""
        ...
