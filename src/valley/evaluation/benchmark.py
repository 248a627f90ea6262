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
        tags: further groups the item counts in, such as "unseen_phrasing".
        conversation: ends with the user's turn.
        reference: the right answer.
        rule: how an answer is held against the reference; each benchmark has its own rules.
        time_s: the right time, where a time is asked for.
    """

    id: str
    variant: str
    task: str
    language: str
    tags: tuple[str, ...]
    conversation: Conversation
    reference: str
    rule: str = "exact"
    time_s: float | None = None


@dataclass(frozen=True)
class Selection:
    """Which of a benchmark's questions are asked.

    Attributes:
        num_clips: about how many clips.
        seed: which clips.
        level: how hard, one of the benchmark's `levels`; the first of them by default.
        controls: also ask the control questions.
        real_clips: a folder of recorded videos, for benchmarks that ask about those too.
    """

    num_clips: int
    seed: int = 0
    level: str | None = None
    controls: bool = True
    real_clips: Path | None = None


@runtime_checkable
class Benchmark(Protocol):
    """A set of questions; one file in `valley/evaluation/benchmarks` each."""

    levels: tuple[str, ...]

    def items(self, folder: Path, selection: Selection) -> list[Item]:
        """Make or find the media under `folder` and list the questions, those on one clip side by side.

        Raises:
            ConfigError: there is no such level.
        """
        ...

    def score(self, item: Item, answer: str) -> float:
        """Score an answer from 0 to 1; the reference itself scores 1."""
        ...

    def has_refused(self, item: Item, answer: str) -> bool:
        """Tell whether an answer says that the model does not know this kind of footage."""
        ...
