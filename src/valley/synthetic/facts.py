"""Reads the facts out of a caption or a description, so that answers can be scored by what they say.

The sentences are those of `narration`, and every pattern is made from the tables of `wording`. What does not
read as such a sentence is no error: it becomes an unclear statement, which is never right.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from valley.synthetic import wording
from valley.synthetic.world import COLORS, DIRECTIONS, EVENTS, SHAPES, SIZES, TRAVELLING

MAX_LENGTH = 4000
"""Characters of an answer that are read; the longest description has less than half as many."""


class Fact(NamedTuple):
    """One thing said.

    Attributes:
        shot: from 0; of the number of shots, which is about the clip, -1.
        about: (color, shape) of the object, None for the clip and for what is unclear.
        kind: "named", "size", "event", "direction", "to_color", "partner", "shots" or "unclear".
        value: what is said of it, such as "small", "up_left" or "red circle"; "" for "named".
    """

    shot: int
    about: tuple[str, str] | None
    kind: str
    value: str


class _Named(NamedTuple):
    color: str
    shape: str
    size: str | None


class _Said(NamedTuple):
    """What a clause says behind the name; `pushed` is named in the clause of the object that hits it."""

    event: str
    direction: str | None = None
    to_color: str | None = None
    partner: tuple[str, str] | None = None
    pushed: _Named | None = None


@dataclass(frozen=True)
class _Grammar:
    """All that can be said in a language.

    Attributes:
        names: every name, with either article -> what it names.
        name: matches a name at the begin of a text.
        events: every clause behind a name -> what it says.
        heading: matches the begin of a caption's shot; its group is the number.
        shows: matches the begin of a sentence that lists the objects of a shot.
        listed: splits such a list.
        num_shots: the sentences that count the shots -> the number.
    """

    names: dict[str, _Named]
    name: re.Pattern[str]
    events: dict[str, _Said]
    heading: re.Pattern[str]
    shows: re.Pattern[str]
    listed: re.Pattern[str]
    num_shots: dict[str, int]


@dataclass
class _Reading:
    """The facts read so far; `shot` is the one being told and `headed` the last one with a heading."""

    grammar: _Grammar
    facts: set[Fact] = field(default_factory=set)
    shot: int = 0
    headed: int = 0

    def name(self, named: _Named) -> None:
        about = (named.color, named.shape)
        self.facts.add(Fact(self.shot, about, "named", ""))
        if named.size:
            self.facts.add(Fact(self.shot, about, "size", named.size))

    def say(self, about: tuple[str, str], said: _Said) -> None:
        partner = (said.pushed.color, said.pushed.shape) if said.pushed else said.partner
        self.facts.add(Fact(self.shot, about, "event", said.event))
        told = {"to_color": said.to_color, "partner": " ".join(partner) if partner else None}
        if said.pushed and partner:
            self.name(said.pushed)
            self.say(partner, _Said("pushed", said.direction, partner=about))
        else:
            told["direction"] = said.direction
        self.facts |= {Fact(self.shot, about, kind, value) for kind, value in told.items() if value}

    def unclear(self, text: str) -> None:
        self.facts.add(Fact(self.shot, None, "unclear", text))


def facts_of(text: str, language: str) -> frozenset[Fact]:
    """Read what a caption or a description says.

    Args:
        text: any text; what is not understood becomes facts of the kind "unclear".
        language: the one it is in: "en", "zh" or "es".
    """
    reading = _Reading(_grammar(language))
    for clause in re.split(r"[.;。；\n]", text[:MAX_LENGTH].casefold()):
        if words := clause.strip():
            _read_clause(words, reading)
    if reading.headed:
        reading.facts.add(Fact(-1, None, "shots", str(reading.headed)))
    return frozenset(reading.facts)


def f1(answer: str, reference: str, language: str) -> float:
    """Compare two captions or descriptions by their facts: 1 if they say the same, 0 if nothing is shared.

    Facts that the answer lacks and facts that it adds count alike. A reference without any facts, such as a
    refusal, must be met to the word.
    """
    wanted = {fact for fact in facts_of(reference, language) if fact.kind != "unclear"}
    if not wanted:
        return float(answer.strip().casefold() == reference.strip().casefold())
    said = facts_of(answer, language)
    return 2 * len(said & wanted) / (len(said) + len(wanted))


def _read_clause(words: str, reading: _Reading) -> None:
    grammar = reading.grammar
    if heading := grammar.heading.match(words):
        reading.headed = int(heading[1])
        reading.shot, words = reading.headed - 1, words[heading.end() :].strip()
    if words in grammar.num_shots:
        reading.facts.add(Fact(-1, None, "shots", str(grammar.num_shots[words])))
    elif shows := grammar.shows.match(words):
        reading.shot = int(shows["number"] or 1) - 1
        for part in grammar.listed.split(words[shows.end() :]):
            _read_object(part.strip(), reading)
    else:
        _read_object(words, reading)


def _read_object(words: str, reading: _Reading) -> None:
    """Read a name and what is said behind it, if anything is."""
    found = reading.grammar.name.match(words)
    if found is None:
        reading.unclear(words)
        return
    named, rest = reading.grammar.names[found[0]], words[found.end() :].strip()
    reading.name(named)
    if rest in reading.grammar.events:
        reading.say((named.color, named.shape), reading.grammar.events[rest])
    elif rest:
        reading.unclear(rest)


@cache
def _grammar(language: str) -> _Grammar:
    names = _names(language)
    ordered = sorted(map(re.escape, names), key=len, reverse=True)
    end = "" if language == "zh" else r"(?![^\W\d_])"
    number = "(?P<number>[1-9])"
    shows = [
        re.escape(said[language].format("", number="#").casefold().rstrip()).replace(r"\#", number)
        for said in wording.SHOWS.values()
    ]
    joints = [re.escape(joint[language]) for joint in (wording.LIST_JOINT, wording.LAST_JOINT)]
    heading = re.escape(wording.SHOT_HEADING[language].format("#").casefold().rstrip())
    stop = len(".")
    return _Grammar(
        names=names,
        name=re.compile(f"(?:{'|'.join(ordered)}){end}"),
        events=_events(language),
        heading=re.compile(heading.replace(r"\#", "([1-9])")),
        shows=re.compile("|".join(sorted(shows, key=len, reverse=True))),
        listed=re.compile("|".join(joints)),
        num_shots={
            wording.shots_answer(n, language)[:-stop].casefold(): n for n in range(1, wording.MAX_COUNT + 1)
        },
    )


def _names(language: str) -> dict[str, _Named]:
    """Give every full name; one without a size has either article."""
    found: dict[str, _Named] = {}
    for color, shape in itertools.product(COLORS, SHAPES):
        found[wording.name(color, shape, language)] = _Named(color, shape, None)
        for size in (None, *SIZES):
            found[wording.name(color, shape, language, "a", size)] = _Named(color, shape, size)
    return found


def _events(language: str) -> dict[str, _Said]:
    """Give every clause that can stand behind a name, in both Spanish genders."""
    found: dict[str, _Said] = {}
    pairs = list(itertools.product(COLORS, SHAPES))
    for event in EVENTS:
        has_way = event in TRAVELLING and event != "hits"
        ways = tuple(DIRECTIONS) if has_way else (None,)
        colors = tuple(COLORS) if event == "recolors" else (None,)
        partners = pairs if event in ("hits", "pushed") else [None]
        for way, color, partner, feminine in itertools.product(ways, colors, partners, (False, True)):
            words = wording.phrase(event, way, color, partner, language, feminine=feminine)
            found[words] = _Said(event, way, color, partner)
    for (color, shape), size, way in itertools.product(pairs, (None, *SIZES), DIRECTIONS):
        pushed = wording.name(color, shape, language, "a", size)
        said = _Said("hits", way, pushed=_Named(color, shape, size))
        found[wording.collision_phrase(pushed, way, language)] = said
    return found
