"""What produced the numbers of each run, fact by fact, and which facts differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valley.evaluation.reporting.naming import NamedRun

_PARTS = ("engine", "sampling", "generation", "judge", "benchmarks", "packages", "hardware")
_SHOWN = (
    *("engine engine", "engine model", "engine weights", "engine dtype", "engine device", "engine server"),
    *("engine chat_template", "engine revision", "engine server_version", "judge name", "judge revision"),
    *("engine server_identity weights", "engine server_identity dtype", "engine server_identity device"),
)
_SHOWN_PARTS = ("sampling", "generation", "benchmarks")


@dataclass(frozen=True)
class Fact:
    """One fact about all runs.

    Attributes:
        name: such as "engine dtype".
        values: of each run; "" where the run does not say.
        is_shown: whether it is worth a look even where it does not differ.
    """

    name: str
    values: Mapping[str, str]
    is_shown: bool

    @property
    def words(self) -> str:
        """The name as people read it."""
        part, _, rest = self.name.partition(" ")
        return rest if rest == part else self.name

    @property
    def differs(self) -> bool:
        """Whether the runs do not agree."""
        return len(set(self.values.values())) > 1


def facts_of(runs: Sequence[NamedRun]) -> list[Fact]:
    """List what `run.json` of each run says of model, processor, frames, judge, benchmarks and place."""
    told = {run.name: dict(_told(run.record.about)) for run in runs}
    names = dict.fromkeys(name for facts in told.values() for name in facts)
    found = [Fact(n, {run: facts.get(n, "") for run, facts in told.items()}, _is_shown(n)) for n in names]
    places = {part: place for place, part in enumerate(_PARTS)}
    return sorted(found, key=lambda fact: places[fact.name.partition(" ")[0]])


def _is_shown(name: str) -> bool:
    return name in _SHOWN or name.partition(" ")[0] in _SHOWN_PARTS


def _told(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in _PARTS:
        if part == "benchmarks":
            for one in about.get(part, ()):
                yield from _flat(f"{part} {one['name']}", {k: v for k, v in one.items() if k != "name"})
        else:
            facts = about.get(part) or {}
            # what was asked for of the frames stands under "sampling", as it came out
            yield from _flat(
                part, {k: v for k, v in facts.items() if (part, k) != ("generation", "sampling")}
            )


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(f"{name} {key}", one)
    elif value is not None:
        yield name, _words(value)


def _words(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, list):
        return ", ".join(map(_words, value)) if value else "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
