"""Holds what an answer says of a rendered clip against the scene itself: what is claimed, and what is false.

The evidence is not looked at: what a check lets through because its words do not name it counts all the same.
What is denied is not judged, nor what is said of something that is not there: naming it is false already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from valley.instruct import claims, lexicon
from valley.instruct.claims import Clause, Thing
from valley.synthetic.truth import ObjectTruth, Truth

ClaimKind: TypeAlias = Literal["color", "shape", "count", "direction", "order", "cause"]
KINDS: tuple[ClaimKind, ...] = ("color", "shape", "count", "direction", "order", "cause")

SLACK_S = 0.05
"""Of two that begin so close together, either may be said to be first."""


@dataclass(frozen=True)
class Claim:
    """Something said.

    Attributes:
        kind: of which kind.
        is_false: whether the scene says otherwise.
        said: what, in a few words.
    """

    kind: ClaimKind
    is_false: bool
    said: str


def claims_in(question: str, answer: str, language: str, truth: Truth) -> list[Claim]:
    """Find what an answer claims, and whether it is so."""
    asked, questions = claims.things_in(question, language), claims.clauses_of(question, language)
    every = claims.clauses_of(answer, language, about=asked)
    clauses = [clause for clause in every if not clause.denies]
    found = [
        claim for c in every if _denies_of_something(c, language) for claim in _of_thing(c.things[0], truth)
    ]
    for clause in clauses:
        found += _things(clause, truth)
        found += _colors_said(clause, truth)
        found += _directions(clause, truth)
        found += _counts(clause, questions, language, truth)
        found += _causes(clause, asked, truth)
    return [*found, *_orders(clauses, asked, truth)]


def count_claim(count: int, question: str, language: str, truth: Truth) -> Claim | None:
    """Judge a number that stands beside an answer; None where the question does not say of what."""
    allowed = _numbers(claims.clauses_of(question, language), language, truth)
    return None if allowed is None else Claim("count", count not in allowed, str(count))


def _denies_of_something(clause: Clause, language: str) -> bool:
    """Whether a clause names something and then says what is not so of it: "the blue cross does not move"."""
    denial = lexicon.first_of("denials", clause.text, language) if clause.denies else None
    return denial is not None and clause.lead_at is not None and clause.lead_at < denial.start


def _things(clause: Clause, truth: Truth) -> list[Claim]:
    """Colours and shapes of what is named; where both are there, but not of one thing, the shape is wrong."""
    return [claim for thing in clause.things if clause.named for claim in _of_thing(thing, truth)]


def _of_thing(thing: Thing, truth: Truth) -> Iterator[Claim]:
    colors, shapes = _colors(truth), {item.shape for item in truth.objects}
    shape = _shape(thing)
    if thing.color is not None:
        yield Claim("color", thing.color not in colors, str(thing))
    if shape is not None:
        there = bool(_fitting(thing, truth))
        elsewhere = thing.color is not None and thing.color not in colors and shape in shapes
        yield Claim("shape", not there and not elsewhere, str(thing))


def _colors_said(clause: Clause, truth: Truth) -> Iterator[Claim]:
    """Colours that are said of something: "it is red", "the circle turns blue"."""
    about = _about(clause.things, truth)
    for color in sorted(clause.colors):
        if about:
            yield Claim("color", not any(color in (o.color, o.to_color) for o in about), color)


def _directions(clause: Clause, truth: Truth) -> Iterator[Claim]:
    about = _about(clause.things, truth)
    if not clause.directions or not about:
        return
    ways = [frozenset(item.direction.split("_")) for item in about if item.direction]
    is_true = clause.directions in ways
    if len(clause.things) > 1:  # "the circle goes left and the square right"
        is_true = is_true or clause.directions <= frozenset().union(*ways)
    yield Claim("direction", not is_true, " and ".join(sorted(clause.directions)))


def _counts(clause: Clause, questions: Sequence[Clause], language: str, truth: Truth) -> Iterator[Claim]:
    said = clause.numbers - {number for one in questions for number in one.numbers}
    if not said:
        return
    allowed = _numbers([clause], language, truth)
    if allowed is None:
        allowed = _numbers(questions, language, truth)
    if allowed is not None:
        yield from (Claim("count", number not in allowed, str(number)) for number in sorted(said))


def _numbers(clauses: Sequence[Clause], language: str, truth: Truth) -> set[int] | None:
    """Give the numbers that are true of what is spoken of; None where that is not said."""
    things = [t for clause in clauses if clause.named for t in clause.things if _shape(t) or t.color]
    if any(lexicon.has("things", clause.text, language) for clause in clauses):
        return {len(truth.objects), *(len(shot.objects) for shot in truth.shots)}
    if things:  # "shot 2 shows a red circle" has the number of a shot
        shots = range(1, len(truth.shots) + 1)
        return {len(truth.objects), *shots, *(len(_fitting(thing, truth)) for thing in things)}
    return None


def _causes(clause: Clause, asked: Sequence[Thing], truth: Truth) -> Iterator[Claim]:
    if clause.on_its_own:
        about = _about(clause.things or tuple(asked), truth)
        if about:
            yield Claim("cause", all(item.event == "pushed" for item in about), "on its own")
        return
    if not clause.collides:
        return
    named = tuple(dict.fromkeys((*clause.things, *(asked if len(clause.things) < 2 else ()))))
    hits = [(item, item.partner) for item in truth.objects if item.event == "hits" and item.partner]
    said = " and ".join(map(str, named[:2])) or "something collides"
    yield Claim("cause", not any(_meet(named, hit, partner) for hit, partner in hits), said)


def _meet(named: Sequence[Thing], hit: ObjectTruth, partner: tuple[str, str]) -> bool:
    """Whether what is named has part in a collision: both sides where two or more are named."""
    one = [n for n, thing in enumerate(named) if _fits(thing, hit)]
    other = [n for n, thing in enumerate(named) if _bare(thing).fits(Thing(*partner))]
    if len(named) < 2:
        return not named or bool(one or other)
    return any(a != b for a in one for b in other)


def _orders(clauses: Sequence[Clause], asked: Sequence[Thing], truth: Truth) -> Iterator[Claim]:
    pairs: list[tuple[Thing, Thing]] = []
    named = [clause for clause in clauses if clause.named]
    for clause in named:
        if clause.first:
            lead = clause.things[0]
            pairs += [(lead, other) for other in asked if not lead.fits(other)]
    for before, behind in pairwise(named):
        one, other = before.things[0], behind.things[0]
        if behind.then or before.first or before.after:
            pairs.append((one, other))
        elif behind.after:
            pairs.append((other, one))
    for earlier, later in dict.fromkeys(pairs):
        begins, follows = _begin_s(earlier, truth), _begin_s(later, truth)
        if begins is not None and follows is not None and not earlier.fits(later):
            yield Claim("order", begins > follows + SLACK_S, f"{earlier} before {later}")


def _begin_s(thing: Thing, truth: Truth) -> float | None:
    return min((o.start_s for o in _fitting(thing, truth) if o.start_s is not None), default=None)


def _colors(truth: Truth) -> set[str]:
    return {color for item in truth.objects for color in (item.color, item.to_color) if color}


def _shape(thing: Thing) -> str | None:
    return None if thing.noun is None or thing.noun.startswith("~") else thing.noun


def _bare(thing: Thing) -> Thing:
    """Leave out a noun that is no shape: everything here is an object."""
    return Thing(thing.color, _shape(thing))


def _fits(thing: Thing, item: ObjectTruth) -> bool:
    bare = _bare(thing)
    return bare.fits(Thing(item.color, item.shape)) or (
        item.to_color is not None and bare.fits(Thing(item.to_color, item.shape))
    )


def _fitting(thing: Thing, truth: Truth) -> list[ObjectTruth]:
    return [item for item in truth.objects if _fits(thing, item)]


def _about(things: Sequence[Thing], truth: Truth) -> list[ObjectTruth]:
    """Give the objects that are spoken of: all where none is named."""
    if not things:
        return list(truth.objects)
    return [item for item in truth.objects if any(_fits(thing, item) for thing in things)]
