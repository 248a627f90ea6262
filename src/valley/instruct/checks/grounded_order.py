"""Grounded order: what is said to come first, or before something else, does so by the times of the facts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from valley.instruct import claims, lexicon
from valley.instruct.check import Refusal
from valley.instruct.checks.grounded_things import Known
from valley.instruct.claims import Clause, Thing
from valley.instruct.evidence import Evidence
from valley.instruct.task import Draft
from valley.instruct.versions import content_version

SLACK_S = 0.05


class GroundedOrder:
    """See the module's first line."""

    name = "grounded_order"
    help = "orders that agree with the times of the facts"
    version = content_version(Path(__file__), Path(claims.__file__), Path(lexicon.__file__))
    cost = 13
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        known = [
            (f, c) for f, c in claims.comparable(evidence.facts, draft.language) if f.start_s is not None
        ]
        if not known or not lexicon.knows("first", draft.language):
            return None
        for turn in draft.turns:
            asked = claims.things_in(turn.question, draft.language)
            said = claims.clauses_of(turn.answer, draft.language, about=asked)
            for earlier, later in _claimed(said, asked):
                one_s, other_s = begin_s(earlier, known), begin_s(later, known)
                if one_s is not None and other_s is not None and one_s > other_s + SLACK_S:
                    detail = f"the {earlier} begins at {one_s} s, the {later} at {other_s} s"
                    return Refusal(self.name, "wrong_order", detail, one_s - other_s)
        return None


def _claimed(said: Sequence[Clause], asked: Sequence[Thing]) -> list[tuple[Thing, Thing]]:
    """Give the pairs (earlier, later) that an answer claims."""
    pairs: list[tuple[Thing, Thing]] = []
    for clause in said:
        if clause.first and clause.named and not clause.denies:
            lead = clause.things[0]
            pairs += [(lead, other) for other in asked if not lead.fits(other)]
    for before, behind in pairwise([clause for clause in said if clause.named]):
        if before.things[0].fits(behind.things[0]):
            continue
        if behind.then or before.first:
            pairs.append((before.things[0], behind.things[0]))
        elif behind.after:
            pairs.append((behind.things[0], before.things[0]))
        elif before.after:
            pairs.append((before.things[0], behind.things[0]))
    return pairs


def begin_s(thing: Thing, known: Known) -> float | None:
    """Say when the facts first tell what a thing does; None where they do not."""
    found = [f.start_s for f, clauses in known for c in clauses if c.named and thing.fits(c.things[0])]
    return min((s for s in found if s is not None), default=None)


CHECK = GroundedOrder()
