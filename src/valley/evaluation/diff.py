"""Where two runs part: which questions, media, frames, prompts, answers or values differ, and which first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from valley.evaluation.records import AnswerRecord, RunRecord

STAGES = ("questions", "media", "frames", "prompt", "generation", "scoring")
"""In the order in which an answer comes about."""

SAME_TIME_S = 1e-6


@dataclass(frozen=True)
class Difference:
    """One question on which two runs differ at a stage.

    Attributes:
        benchmark: whose question.
        variant: of it.
        id: of it.
        first: what the first run has; None where it lacks the question.
        second: what the second run has.
    """

    benchmark: str
    variant: str
    id: str
    first: Any
    second: Any


@dataclass(frozen=True)
class RunDiff:
    """How two runs compare.

    Attributes:
        num_questions: in either.
        counts: at each stage, how many questions differ.
        stage: the first one at which any does; None where the runs are equal.
        example: the first question that differs there.
        notes: what else differs and is no fault by itself: the engine's fields, packages, hardware.
    """

    num_questions: int
    counts: Mapping[str, int]
    stage: str | None
    example: Difference | None
    notes: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether all questions have the same media, frames, prompts, answers and values."""
        return self.stage is None

    def to_dict(self) -> dict[str, Any]:
        """Return what `valley eval diff --json` prints."""
        return {**asdict(self), "equal": self.is_equal}


def compare(first: RunRecord, second: RunRecord) -> RunDiff:
    """Compare two runs, question by question; where one of them does not say (a server), nothing is held."""
    one, other = ({a.place: a for a in run.answers} for run in (first, second))
    places = list(dict.fromkeys([*one, *other]))
    found = {stage: [p for p in places if _differs(stage, one.get(p), other.get(p))] for stage in STAGES}
    stage = next((stage for stage in STAGES if found[stage]), None)
    example = None
    if stage is not None:
        place = found[stage][0]
        view = _VIEWS[stage]
        example = Difference(*place, *(view(run[place]) if place in run else None for run in (one, other)))
    return RunDiff(
        num_questions=len(places),
        counts={stage: len(differing) for stage, differing in found.items()},
        stage=stage,
        example=example,
        notes=tuple(_notes(first.about, second.about)),
    )


def _differs(stage: str, one: AnswerRecord | None, other: AnswerRecord | None) -> bool:
    if one is None or other is None:
        return stage == "questions"
    view = _VIEWS[stage]
    mine, theirs = view(one), view(other)
    return mine is not None and theirs is not None and not _same(mine, theirs)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401
    if isinstance(one, float) and isinstance(other, float | int):
        return abs(one - other) <= SAME_TIME_S
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one == other


def question_of(answer: AnswerRecord) -> Any:  # noqa: ANN401
    """Give what makes it this question: words, windows of its media, the right answer, choices."""
    parts = [[m["role"], [_words(p) for p in m["content"]]] for m in answer.messages]
    return {"messages": parts, "reference": answer.reference, "choices": list(answer.choices)}


def _words(part: Mapping[str, Any]) -> Any:  # noqa: ANN401
    return part["text"] if part["type"] == "text" else {k: v for k, v in part.items() if k != "path"}


def _media(answer: AnswerRecord) -> Any:  # noqa: ANN401
    return [{"path": m.path.rsplit("/", 1)[-1], "sha256": m.sha256} for m in answer.media]


def _frames(answer: AnswerRecord) -> Any:  # noqa: ANN401
    if answer.error or not all(m.timestamps_s for m in answer.media):
        return None
    return [{"timestamps_s": list(m.timestamps_s), "missing_s": list(m.missing_s)} for m in answer.media]


def _prompt(answer: AnswerRecord) -> Any:  # noqa: ANN401
    return (
        None
        if answer.prompt_ids is None
        else [list(i) if isinstance(i, tuple) else i for i in answer.prompt_ids]
    )


def _generation(answer: AnswerRecord) -> Any:  # noqa: ANN401
    return {
        "generation": dict(answer.generation),
        "answer": answer.answer,
        "finish": answer.finish,
        "failed": bool(answer.error),
    }


def _scoring(answer: AnswerRecord) -> Any:  # noqa: ANN401
    return {"scores": dict(answer.scores), "refused": answer.refused}


_VIEWS: dict[str, Callable[[AnswerRecord], Any]] = {
    "questions": question_of,
    "media": _media,
    "frames": _frames,
    "prompt": _prompt,
    "generation": _generation,
    "scoring": _scoring,
}


def _notes(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for part in ("engine", "sampling", "packages", "hardware"):
        mine, theirs = (dict(_facts(about.get(part) or {})) for about in (one, other))
        differing = (n for n in dict.fromkeys([*mine, *theirs]) if mine.get(n) != theirs.get(n))
        found += [f"{part} {n}: {_short(mine.get(n))} / {_short(theirs.get(n))}" for n in differing]
    return found


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give every fact; what a server says of itself, one by one."""
    for name, value in told.items():
        if name == "server_identity" and isinstance(value, Mapping):
            yield from ((f"{name} {inner}", one) for inner, one in _facts(value))
        else:
            yield name, value


def _short(value: Any) -> str:  # noqa: ANN401
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
