"""Runs with names that tell them apart in one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valley.errors import ConfigError
from valley.evaluation.records import AnswerRecord, RunRecord, open_run

NORMAL = "normal"


@dataclass(frozen=True)
class NamedRun:
    """A run, and what the report calls it."""

    name: str
    record: RunRecord

    def scores(self, benchmark: str) -> Mapping[str, Any]:
        """Give what `scores.json` says of a benchmark; empty where the run lacks it or did not end."""
        return self.record.scores.get("benchmarks", {}).get(benchmark, {})

    def metric(self, benchmark: str, metric: str) -> Mapping[str, Any]:
        """Give the tables of one metric; empty where the run has no such."""
        return self.scores(benchmark).get("metrics", {}).get(metric, {})

    def answers(self, benchmark: str, variant: str = NORMAL) -> list[AnswerRecord]:
        """Give the answers to one variant of a benchmark's questions."""
        return [a for a in self.record.answers_of(benchmark) if a.variant == variant]

    def about(self, benchmark: str) -> Mapping[str, Any]:
        """Give what `run.json` says of a benchmark; empty where the run lacks it."""
        found = (b for b in self.record.about.get("benchmarks", ()) if b["name"] == benchmark)
        return next(found, {})


def open_runs(folders: Sequence[Path]) -> list[NamedRun]:
    """Read runs, and name each by the end of its path.

    Raises:
        ConfigError: one is no run, or is given twice.
    """
    names = names_of([folder.resolve() for folder in folders])
    return [NamedRun(name, open_run(folder)) for name, folder in zip(names, folders, strict=True)]


def names_of(folders: Sequence[Path]) -> list[str]:
    """Name folders by as many last parts of their paths as tell them all apart.

    Raises:
        ConfigError: there is none, or one is there twice.
    """
    if not folders or len(set(folders)) != len(folders):
        raise ConfigError(
            f"want folders of runs, each once, got {len(folders)} ({len(set(folders))} of them differ)"
        )
    for length in range(1, max(len(f.parts) for f in folders) + 1):
        names = ["/".join(f.parts[-length:]) for f in folders]
        if len(set(names)) == len(names):
            return names
    return [str(f) for f in folders]


def benchmarks_of(runs: Sequence[NamedRun]) -> list[str]:
    """Name every benchmark that any run was asked, in the order of the runs."""
    return list(dict.fromkeys(name for run in runs for name in run.record.benchmarks))
