"""Grounded cause: who hit or pushed what stands in a fact; nothing that was hit moves on its own."""

from __future__ import annotations

from pathlib import Path

from valley.instruct import claims, lexicon
from valley.instruct.check import Refusal
from valley.instruct.checks.grounded_things import Known
from valley.instruct.claims import Clause, Thing
from valley.instruct.evidence import Evidence
from valley.instruct.task import Draft
from valley.instruct.versions import content_version


class GroundedCause:
    """See the module's first line."""

    name = "grounded_cause"
    help = "collisions and causes that stand in a fact"
    version = content_version(Path(__file__), Path(claims.__file__), Path(lexicon.__file__))
    cost = 14
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        known = claims.comparable(evidence.facts, draft.language)
        if not known or not lexicon.knows("collisions", draft.language):
            return None
        for turn in draft.turns:
            asked = claims.things_in(turn.question, draft.language)
            for clause in claims.clauses_of(turn.answer, draft.language, about=asked):
                refusal = self._check_clause(clause, asked, known)
                if refusal is not None:
                    return refusal
        return None

    def _check_clause(self, clause: Clause, asked: tuple[Thing, ...], known: Known) -> Refusal | None:
        if clause.denies:
            return None
        if clause.on_its_own:
            hit = next((t for t in clause.things or asked if t.color and _is_hit(t, known)), None)
            return (
                Refusal(self.name, "denies_cause", f"a fact says what the {hit} is hit by", 1)
                if hit
                else None
            )
        if not clause.collides:
            return None
        things = tuple(dict.fromkeys((*clause.things, *(asked if len(clause.things) < 2 else ()))))
        named = [t for t in things if t.color is not None]
        if len(named) >= 2 and not any(_together(a, b, known) for a in named for b in named if a != b):
            return Refusal(
                self.name, "ungrounded_cause", f"no fact says that {named[0]} and {named[1]} collide", 1
            )
        if len(named) == 1 and not any(_meets(named[0], c) for _, cs in known for c in cs):
            return Refusal(self.name, "ungrounded_cause", f"no fact says that the {named[0]} collides", 1)
        return None


def _together(one: Thing, other: Thing, known: Known) -> bool:
    return any(
        clause.collides
        and any(one.fits(t) for t in clause.things)
        and any(other.fits(t) for t in clause.things)
        for _, clauses in known
        for clause in clauses
    )


def _meets(thing: Thing, clause: Clause) -> bool:
    return clause.collides and any(thing.fits(t) for t in clause.things)


def _is_hit(thing: Thing, known: Known) -> bool:
    """Whether a fact names a thing behind another one in a collision, or behind the word for it."""
    return any(
        any(thing.fits(t) for t in _struck(clause, fact.language))
        for fact, clauses in known
        for clause in clauses
        if clause.collides
    )


def _struck(clause: Clause, language: str) -> tuple[Thing, ...]:
    word = lexicon.first_of("collisions", clause.text, language)
    is_first = word is not None and clause.lead_at is not None and word.start < clause.lead_at
    return clause.things if is_first else clause.things[1:]


CHECK = GroundedCause()
