"""Grounded directions: where something goes stands in a fact about the same thing."""

from __future__ import annotations

from pathlib import Path

from valley.instruct import claims, lexicon
from valley.instruct.check import Refusal
from valley.instruct.checks.grounded_things import Known
from valley.instruct.claims import Clause
from valley.instruct.evidence import Evidence
from valley.instruct.task import Draft
from valley.instruct.versions import content_version


class GroundedDirections:
    """See the module's first line."""

    name = "grounded_directions"
    help = "directions that stand in a fact about the same thing"
    version = content_version(Path(__file__), Path(claims.__file__), Path(lexicon.__file__))
    cost = 11
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        known = claims.comparable(evidence.facts, draft.language)
        if not known or not lexicon.knows("directions", draft.language):
            return None
        for turn in draft.turns:
            asked = claims.things_in(turn.question, draft.language)
            for clause in claims.clauses_of(turn.answer, draft.language, about=asked):
                if clause.directions and not clause.denies and not _stands(clause, known):
                    ways = " and ".join(sorted(clause.directions))
                    who = " or ".join(map(str, clause.things)) or "anything"
                    return Refusal(self.name, "ungrounded_direction", f"no fact says {ways} of {who}", 1)
        return None


def _stands(claim: Clause, known: Known) -> bool:
    """Whether one fact's clause about one of the things has all directions, and no fewer of them."""
    told = [clause for _, clauses in known for clause in clauses if clause.directions]
    about = [c for c in told if not claim.things or any(t.fits(o) for t in claim.things for o in c.things)]
    return any(claim.directions == c.directions for c in about) or (
        len(claim.things) > 1 and any(claim.directions <= c.directions for c in about)
    )


CHECK = GroundedDirections()
