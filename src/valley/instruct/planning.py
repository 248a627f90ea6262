"""Which conversations are written, drawn by hashes: more clips change nothing about the others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from valley.errors import ConfigError
from valley.instruct.evidence import Evidence
from valley.instruct.task import TASKS, Task


@dataclass(frozen=True)
class Wanted:
    """One conversation to be written.

    Attributes:
        evidence: about what.
        task: of which kind.
        language: BCP-47 tag.
        draw: seeds what is chosen at random.
    """

    evidence: Evidence
    task: Task
    language: str
    draw: int

    @property
    def id(self) -> str:
        """A name that stays the same from run to run."""
        said = f"{self.evidence.clip.id}|{self.task.name}|{self.language}"
        return hashlib.sha256(said.encode()).hexdigest()[:24]


def chosen_tasks(names: Sequence[str]) -> tuple[str, ...]:
    """Give the tasks of a list; "all" stands for all there are.

    Raises:
        UnknownNameError: there is no such task.
    """
    known = TASKS.names()
    wanted = known if "all" in names else list(dict.fromkeys(names))
    for name in wanted:
        TASKS.get(name)
    return tuple(wanted)


def plan(
    evidence: Iterable[Evidence],
    weights: Mapping[str, float],
    languages: Sequence[str],
    *,
    per_clip: int | None = None,
    seed: int = 0,
) -> Iterator[Wanted]:
    """Yield what is to be written, in the order of the clips.

    Args:
        evidence: the clips.
        weights: tasks, and how often each is wanted.
        languages: a conversation is in one of them, each as often as the others.
        per_clip: so many conversations a clip, of different tasks; None: one of every task that suits.
        seed: another seed draws others.

    Raises:
        ConfigError: nothing is wanted, or a weight is negative.
    """
    if not weights or not languages or min(weights.values()) < 0 or not sum(weights.values()):
        raise ConfigError("want at least one task with a weight above 0, and one language")
    tasks: list[Task] = [TASKS.get(name) for name in weights if weights[name] > 0]
    for one in evidence:
        suited = [task for task in tasks if task.suits(one)]
        ranked = sorted(suited, key=lambda t: _rank(one, t, weights[t.name], seed))
        for task in ranked if per_clip is None else ranked[:per_clip]:
            number = _hash(seed, one.clip.id, task.name)
            language = languages[number % len(languages)]
            yield Wanted(one, task, language, number >> 16)


def _rank(evidence: Evidence, task: Task, weight: float, seed: int) -> float:
    """Draw without replacement by weight (Efraimidis and Spirakis 2006): the smallest come first."""
    import math

    chance = (_hash(seed, evidence.clip.id, task.name, "rank") + 1) / (2**48 + 1)
    return -math.log(chance) / weight


def _hash(*said: object) -> int:
    return int.from_bytes(hashlib.sha256("|".join(map(str, said)).encode()).digest()[:6], "big")
