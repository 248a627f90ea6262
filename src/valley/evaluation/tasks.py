"""What a run asks, and how: benchmarks with what is chosen of them, and their questions with controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from valley.errors import ConfigError
from valley.evaluation.asking import Question
from valley.evaluation.benchmark import Benchmark, Item, Selection
from valley.evaluation.controls import plan_controls
from valley.evaluation.workers import OpenBackend
from valley.inference.backend import GenerationParams

MAX_ANSWER_TOKENS = 200
"""Longer than the longest reference; a model that never stops is cut here."""

CONTROL_LIMIT = 200
"""Of each control, where a benchmark has none of its own: enough to tell a blind model from one that sees."""

MEDIA_FOLDER = "media"


@dataclass(frozen=True)
class Task:
    """A benchmark to ask.

    Attributes:
        name: as it was asked for, such as "synthetic:rich"; unique in a run.
        benchmark: what it is.
        selection: which of its questions.
    """

    name: str
    benchmark: Benchmark
    selection: Selection = field(default_factory=Selection)


@dataclass(frozen=True)
class Settings:
    """How a run is made.

    Attributes:
        params: how answers are made; greedily unless said otherwise.
        batch_size: questions at once; None is as many as the engine answers together.
        num_processes: with an engine each; more than one needs `open_backend`.
        open_backend: opens the same engine again in another process; has to be picklable.
        control_limit: at most so many of each control that is made.
    """

    params: GenerationParams = field(
        default_factory=lambda: GenerationParams(max_new_tokens=MAX_ANSWER_TOKENS)
    )
    batch_size: int | None = None
    num_processes: int = 1
    open_backend: OpenBackend | None = None
    control_limit: int = CONTROL_LIMIT


def check_tasks(tasks: Sequence[Task], *, has_judge: bool) -> None:
    """Refuse what could not be run.

    Raises:
        ConfigError: nothing or the same thing twice is asked for, or a judge is missing.
    """
    names = [task.name for task in tasks]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"want benchmarks, each once, got {', '.join(names) or 'none'}")
    judged = [task.name for task in tasks if task.benchmark.needs_judge]
    if judged and not has_judge:
        raise ConfigError(
            f"{', '.join(judged)}: answers are scored by a model; say which, such as --judge "
            "http://localhost:8000/v1#Qwen3-8B, or --judge and a model's name or folder"
        )


def questions_of(task: Task, out: Path, settings: Settings) -> list[Question]:
    """List what a benchmark asks, controls last; their media are not made yet.

    Raises:
        ConfigError: the benchmark's data are absent, or two questions have the same id.
    """
    folder = out / MEDIA_FOLDER / task.name.replace(":", "-").replace("/", "-")
    items = _limited(task.benchmark.items(folder, task.selection), task.selection.limit)
    found = [Question(task.name, item) for item in items]
    if task.selection.controls and all(item.variant == "normal" for item in items):
        controls = plan_controls(items, folder, limit=settings.control_limit)
        found += [Question(task.name, control.item, control) for control in controls]
    places = {(q.item.variant, q.item.id) for q in found}
    if len(places) != len(found):
        raise ConfigError(f"{task.name}: want ids that are unique, {len(found) - len(places)} are not")
    return found


def _limited(items: Sequence[Item], limit: int | None) -> list[Item]:
    if limit is None:
        return list(items)
    counts: dict[str, int] = {}
    found = []
    for item in items:
        counts[item.variant] = counts.get(item.variant, 0) + 1
        if counts[item.variant] <= limit:
            found.append(item)
    return found
