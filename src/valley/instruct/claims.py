"""What a text claims, as far as words and their order tell: coloured things, directions, numbers, causes.

No grammar is parsed. A text falls into clauses; a clause has the things that are named in it, or, where it
names none ("it moves left"), those of the clause before. What is said in a clause is said about its things
together: "the red ball hits the blue one" and "the blue one hits the red ball" are the same here.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from valley.instruct import lexicon
from valley.instruct.evidence import Fact
from valley.instruct.languages import UNSPACED
from valley.instruct.lexicon import Mention
from valley.language_id import primary

_NOUN_FIRST = frozenset(("es", "fr", "pt", "it", "ar", "vi", "id"))
"""Languages whose colours stand behind the noun."""

_NEAR = 14
"""So many letters may stand between a colour and its noun: a size, an article's end."""

_LONGEST_COLOR, _LONGEST_WORD = 24, 48
"""In letters; a longer one is none."""

_CUT = re.compile(
    r"[.;:!?。\n]+(?!\d)|,\s+(?=(?:and|then|while|which|who|that|but|because|so|after|before|"
    r"y|luego|después|mientras|que|pero|porque|antes|und|dann|der|die|das|weil|aber|et|puis|qui|mais|e|depois)\b)"
    r"|\s(?=(?:because|while|before|after|then|porque|mientras|luego|weil|während|puis|parce)\b)"
    r"|(?=因为|然后|接着|随后|之后)",
)
_CUT_UNSPACED = re.compile(rf"{_CUT.pattern}|,")
_NUMBER = re.compile(r"(?<![\w.,:])(\d{1,6})(?![\w:]|[.,]\d)(?!\s*(?:s|sec|seconds?|秒|segundos?|%)\b)")
_WORD_BEHIND = re.compile(r"\s+([^\W\d_]{3,})")
_WORD_BEFORE = re.compile(r"([^\W\d_]{3,})\s+$")
_CHARACTERS_BEHIND = re.compile(r"的?\s*([\u3040-\u30ff\u4e00-\u9fff]{1,2})")


@dataclass(frozen=True)
class Thing:
    """Something with a colour, or a noun, or both; a noun is a shape's name or "~" and the word itself."""

    color: str | None
    noun: str | None

    def fits(self, other: Thing) -> bool:
        """Whether both may be the same thing, as far as both are described."""
        return _same(self.color, other.color) and _same(self.noun, other.noun)

    def __str__(self) -> str:
        return " ".join(part.lstrip("~") for part in (self.color, self.noun) if part) or "it"


@dataclass(frozen=True)
class Clause:
    """A piece of text and what is claimed in it.

    Attributes:
        text: the words, in `lexicon.normal` form.
        things: what is named; where nothing is, what the clause before named.
        named: whether the things are named in this clause itself.
        lead_at: where in the text the first of them stands.
        colors: those that are said of the things and stand beside no noun: "it is red".
        directions: where to.
        numbers: cardinal numbers from 2.
        collides: something hits or pushes.
        is_cause: says why.
        on_its_own: says that nothing is the cause.
        denied_at: where in the text the first word stands that says that something is not.
        first: says what comes first.
        then: says what comes later than the clause before.
        after: begins with what comes earlier than the next clause.
    """

    text: str
    things: tuple[Thing, ...] = ()
    named: bool = False
    lead_at: int | None = None
    colors: frozenset[str] = frozenset()
    directions: frozenset[str] = frozenset()
    numbers: frozenset[int] = frozenset()
    collides: bool = False
    is_cause: bool = False
    on_its_own: bool = False
    denied_at: int | None = None
    first: bool = False
    then: bool = False
    after: bool = False

    @property
    def denies(self) -> bool:
        """Whether it says that something is not."""
        return self.denied_at is not None


def clauses_of(text: str, language: str, *, about: tuple[Thing, ...] = ()) -> list[Clause]:
    """Cut a text into clauses; `about` are the things that a question named before."""
    found: list[Clause] = []
    last = about
    cut = _CUT_UNSPACED if primary(language) in UNSPACED else _CUT
    for piece in cut.split(lexicon.normal(text)):
        if piece and piece.strip():
            clause = _clause(piece.strip(), language)
            if clause.things:
                last = clause.things
            else:
                clause = replace(clause, things=last)
            found.append(clause)
    return found


def things_in(text: str, language: str) -> tuple[Thing, ...]:
    """Give the things that a text names, each once, in order."""
    return tuple(dict.fromkeys(t for t, _ in _things(lexicon.normal(text), language)))


@lru_cache(maxsize=4096)
def clauses_of_fact(fact: Fact, language: str) -> tuple[Clause, ...]:
    """Cut a fact into clauses, by its own language, or by the given one where nobody knows it."""
    return tuple(clauses_of(fact.text, language if fact.language == "und" else fact.language))


def comparable(facts: Iterable[Fact], language: str) -> list[tuple[Fact, tuple[Clause, ...]]]:
    """Give the facts with words, each with its clauses."""
    return [(fact, clauses_of_fact(fact, language)) for fact in facts if fact.text]


def _clause(text: str, language: str) -> Clause:
    pairs = _things(text, language)
    things = tuple(dict.fromkeys(thing for thing, _ in pairs))
    used = {span for _, spans in pairs for span in spans}
    colors = [m for m in _longest(lexicon.find("colors", text, language)) if (m.start, m.end) not in used]
    words = {m.name for m in lexicon.find("numbers", text, language)}
    denial = lexicon.first_of("denials", text, language)
    return Clause(
        text,
        things,
        bool(things),
        min((span[0] for _, spans in pairs for span in spans), default=None),
        frozenset(m.name for m in colors),
        frozenset(m.name for m in lexicon.find("directions", text, language)),
        frozenset(n for n in map(int, [*words, *_NUMBER.findall(text)]) if n > 1),
        collides=lexicon.has("collisions", text, language),
        is_cause=lexicon.has("causes", text, language),
        on_its_own=lexicon.has("on_its_own", text, language),
        denied_at=denial.start if denial else None,
        first=lexicon.has("first", text, language),
        then=lexicon.has("then", text, language),
        after=lexicon.has("after", text, language),
    )


def _things(text: str, language: str) -> list[tuple[Thing, tuple[tuple[int, int], ...]]]:
    """Pair colours with the nouns beside them; give each thing with the places of its words."""
    free = {m.start: m for m in _longest(lexicon.find("colors", text, language))}
    shapes = _longest(lexicon.find("shapes", text, language))
    plain = [Mention("", m.start, m.end) for m in lexicon.every("things", text, language)]
    found: list[tuple[int, Thing, tuple[tuple[int, int], ...]]] = []
    places = sorted(free)
    for noun in sorted([*shapes, *plain], key=lambda m: m.start):
        color = _beside(noun, free, places, text, language)
        if color is not None:
            del free[color.start]
        name = noun.name or None
        if name is None and color is None:
            continue
        spans = ((noun.start, noun.end), *([(color.start, color.end)] if color else []))
        found.append((noun.start, Thing(color.name if color else None, name), spans))
    for color in free.values():
        word = _word_beside(color, text, language)
        if word is not None:
            found.append((color.start, Thing(color.name, "~" + word), ((color.start, color.end),)))
    return [(thing, spans) for _, thing, spans in sorted(found, key=lambda f: f[0])]


def _beside(
    noun: Mention, free: Mapping[int, Mention], places: Sequence[int], text: str, language: str
) -> Mention | None:
    """Find the colour of a noun among those that are free; `places` are those of all colours, in order."""
    if primary(language) in _NOUN_FIRST:
        first, last = bisect_left(places, noun.end), bisect_right(places, noun.end + _NEAR)
        near = [free[k] for k in places[first:last] if k in free]
        between = [text[noun.end : c.start] for c in near]
    else:
        first, last = (
            bisect_left(places, noun.start - _NEAR - _LONGEST_COLOR),
            bisect_left(places, noun.start),
        )
        near = [free[k] for k in reversed(places[first:last]) if k in free]
        near = [c for c in near if 0 <= noun.start - c.end <= _NEAR]
        between = [text[c.end : noun.start] for c in near]
    return next(
        (c for c, b in zip(near, between, strict=True) if not re.search(r"[,、，]| (?:and|y|et|und|e) ", b)),
        None,
    )


def _word_beside(color: Mention, text: str, language: str) -> str | None:
    """Give the noun next to a colour, where there is a word that may be one."""
    if primary(language) in UNSPACED:
        found = _CHARACTERS_BEHIND.match(text, color.end)
    elif primary(language) in _NOUN_FIRST:
        found = _WORD_BEFORE.search(text[max(0, color.start - _LONGEST_WORD) : color.start])
    else:
        found = _WORD_BEHIND.match(text, color.end)
    word = found[1] if found else None
    if word is None or word in stop_words(language) or lexicon.has("becomes", word, language):
        return None  # "se vuelve amarillo": a verb before a colour is no noun
    return word


@cache
def stop_words(language: str) -> frozenset[str]:
    """Give a language's words that carry no meaning of their own."""
    import stopwordsiso

    code = primary(language)
    return frozenset(stopwordsiso.stopwords(code)) if stopwordsiso.has_lang(code) else frozenset()


def _longest(found: list[Mention]) -> list[Mention]:
    """Leave out what lies inside of something longer."""
    kept: list[Mention] = []
    for mention in sorted(found, key=lambda m: (m.start, -m.end)):
        if not kept or mention.end > kept[-1].end:
            kept.append(mention)
    return kept


def _same(one: str | None, other: str | None) -> bool:
    if one is None or other is None or one == other:
        return True
    if one.startswith("~") and other.startswith("~"):  # forms of a word differ at its end
        stem = min(len(one), len(other), 6)
        return stem >= 4 and one[:stem] == other[:stem]
    return False
