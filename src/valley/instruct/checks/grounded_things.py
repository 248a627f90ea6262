"""Grounded things: what has a colour stands in a fact with this colour; what a fact shows is not denied.

"The blue square" is grounded where a fact has a blue square; "the square is blue" as well. Facts in another
language are compared by colours, and by shapes where both languages' are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from valley.instruct import claims, lexicon
from valley.instruct.check import Refusal
from valley.instruct.claims import Clause, Thing
from valley.instruct.evidence import Evidence, Fact
from valley.instruct.task import Draft
from valley.instruct.versions import content_version
from valley.language_id import primary

Known = Sequence[tuple[Fact, tuple[Clause, ...]]]


class GroundedThings:
    """See the module's first lines."""

    name = "grounded_things"
    help = "colours and shapes that stand in a fact"
    version = content_version(Path(__file__), Path(claims.__file__), Path(lexicon.__file__))
    cost = 10
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        known = claims.comparable(evidence.facts, draft.language)
        if not known or not lexicon.knows("colors", draft.language):
            return None
        for turn in draft.turns:
            asked = claims.things_in(turn.question, draft.language)
            for clause in claims.clauses_of(turn.answer, draft.language, about=asked):
                refusal = self._check_clause(clause, known, draft)
                if refusal is not None:
                    return refusal
        return None

    def _check_clause(self, clause: Clause, known: Known, draft: Draft) -> Refusal | None:
        # What is named before the denial is there: "the blue square does not move".
        if clause.denied_at is not None and (clause.lead_at is None or clause.denied_at < clause.lead_at):
            return self._check_denial(clause, known, draft)
        for thing in clause.things if clause.named else ():
            if thing.color is not None and not stands_in(thing, known, draft.language):
                return Refusal(self.name, "ungrounded_thing", f"no fact tells of a {thing}", 1)
            if thing.color is None and is_shape(thing) and not stands_in(thing, known, draft.language):
                return Refusal(self.name, "ungrounded_shape", f"no fact tells of a {thing}", 1)
        for color in sorted(clause.colors):
            about = [Thing(color, t.noun) for t in clause.things] or [Thing(color, None)]
            said = any(is_said_of(color, t, known) for t in clause.things)
            if not said and not any(stands_in(t, known, draft.language) for t in about):
                return Refusal(self.name, "ungrounded_color", f"no fact says {color} of {about[0]}", 1)
        return None

    def _check_denial(self, clause: Clause, known: Known, draft: Draft) -> Refusal | None:
        """A clause that names nothing but one thing, and denies it: "there is no red circle"."""
        bare = clause.named and len(clause.things) == 1 and not clause.directions and not clause.collides
        if not bare or len(clause.text) > MOST_DENIAL:
            return None
        thing = clause.things[0]
        there_is = any(clause.text.startswith(words) for words in _THERE_IS.get(primary(draft.language), ()))
        if there_is and thing.color and is_shape(thing) and stands_in(thing, known, draft.language):
            return Refusal(self.name, "denies_fact", f"a fact tells of a {thing}", 1)
        return None


MOST_DENIAL = 60

_THERE_IS = {
    "en": ("there is no", "there are no", "there isn't", "no "),
    "zh": ("没有", "视频里没有", "画面中没有", "视频中没有"),
    "es": ("no hay", "ningún", "ninguna"),
    "fr": ("il n'y a",),
    "de": ("es gibt kein",),
    "pt": ("não há",),
}


def is_shape(thing: Thing) -> bool:
    """Whether the noun is one that several languages name."""
    return thing.noun is not None and not thing.noun.startswith("~")


def stands_in(thing: Thing, known: Known, language: str) -> bool:
    """Whether a fact has a thing that fits, or says the colour of one that does."""
    for fact, clauses in known:
        foreign = fact.language not in ("und", language) and primary(fact.language) != primary(language)
        wanted = Thing(thing.color, None) if foreign and not is_shape(thing) else thing
        for clause in clauses:
            if any(_fits(wanted, t) for t in clause.things if clause.named):
                return True
            if wanted.color in clause.colors and any(Thing(None, wanted.noun).fits(t) for t in clause.things):
                return True
    return False


def is_said_of(color: str, thing: Thing, known: Known) -> bool:
    """Whether a fact says the colour of a thing that fits: "the circle turns blue"."""
    return any(
        color in clause.colors and any(thing.fits(t) for t in clause.things)
        for _, clauses in known
        for clause in clauses
    )


def _fits(wanted: Thing, found: Thing) -> bool:
    """A fact that says less than the claim does not ground it."""
    if wanted.color is not None and found.color is None:
        return False
    if is_shape(wanted) and found.noun is None:
        return False
    return wanted.fits(found)


CHECK = GroundedThings()
