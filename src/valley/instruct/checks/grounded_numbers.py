"""Grounded numbers: a number stands in a fact, or is what the facts name one by one.

Times have a check of their own, and "one" is a word like others in most languages, so that only a task that
counts is held to it.
"""

from __future__ import annotations

from pathlib import Path

from valley.instruct import claims, lexicon
from valley.instruct.check import Refusal
from valley.instruct.checks.grounded_things import Known, is_shape
from valley.instruct.evidence import Evidence
from valley.instruct.task import Draft
from valley.instruct.versions import content_version


class GroundedNumbers:
    """See the module's first line."""

    name = "grounded_numbers"
    help = "numbers that stand in a fact or can be counted in them"
    version = content_version(Path(__file__), Path(claims.__file__), Path(lexicon.__file__))
    cost = 12
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        known = claims.comparable(evidence.facts, draft.language)
        if not known:
            return None
        allowed = numbers_known(known, evidence)
        for turn in draft.turns:
            asked = {n for c in claims.clauses_of(turn.question, draft.language) for n in c.numbers}
            for clause in claims.clauses_of(turn.answer, draft.language):
                wrong = sorted(clause.numbers - allowed - asked)
                if wrong and not clause.denies:
                    detail = f"no fact has the number {wrong[0]}: want one of {sorted(allowed)}"
                    return Refusal(self.name, "ungrounded_number", detail, wrong[0])
        count: int = draft.details.get("count", 0)
        if draft.task == "counting" and count not in allowed and not (count == 1 and not is_many(known)):
            detail = f"count {count}: the facts give {sorted(allowed)}"
            return Refusal(self.name, "ungrounded_count", detail, float(count))
        return None


def numbers_known(known: Known, evidence: Evidence) -> set[int]:
    """Give the numbers that the facts say, and those that follow from what they list."""
    allowed = {n for _, clauses in known for clause in clauses for n in clause.numbers}
    distinct = _distinct(known)
    if distinct:
        allowed.add(distinct)
    shots = len(evidence.of_kind("shot"))
    return allowed | ({shots} if shots else set())


def is_many(known: Known) -> bool:
    """Whether the facts list more than one thing of a kind that can be counted."""
    return _distinct(known) > 1


def _distinct(known: Known) -> int:
    """Count the different things with a colour and a shape, in the fact that lists most of them."""
    counts = [
        len({t for clause in clauses for t in clause.things if clause.named and t.color and is_shape(t)})
        for _, clauses in known
    ]
    return max(counts, default=0)


CHECK = GroundedNumbers()
