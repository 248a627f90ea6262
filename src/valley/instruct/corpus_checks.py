"""Checks over all conversations: nothing twice, "no" as often as "yes", choices out of other clips.

They go through the accepted ones in the order of their names, which are hashes: what is refused does not
depend on what came first over the wire.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from valley.instruct import lexicon
from valley.instruct.check import Check
from valley.instruct.checks.turns import bare
from valley.instruct.languages import num_words
from valley.instruct.task import Draft, Turn
from valley.instruct.tasks.action_recognition import choice_turn
from valley.instruct.writing import Try, Written, first_refusal

NEAR_WORDS = 25
NEAR_SHARE = 0.9
"""Answers of so many words that share so many of their phrases are the same answer."""

NUM_HASHES = 128
MOST_SURPLUS = 1.2
"""So many times as many conversations may be answered by "yes" as by "no", and the other way round."""


@dataclass(frozen=True)
class Sorted:
    """What is kept, and what a look at all of them refused."""

    kept: list[Written]
    refused: list[Written]


def check_all(written: Iterable[Written], checks: Sequence[Check], *, seed: int = 0) -> Sorted:
    """Refuse what is there already or out of balance; give half of the actions four choices."""
    found = Sorted([], [])
    for one in _without_doubles(sorted(written, key=lambda w: w.wanted.id), found.refused):
        found.kept.append(one)
    kept = _balanced(found.kept, found.refused)
    return Sorted(_with_choices(kept, checks, seed), found.refused)


def refuse(written: Written, check: str, reason: str, detail: str, number: float | int) -> Written:
    """Turn an accepted conversation into a refused one."""
    last = written.tries[-1]
    tried = Try(last.key, last.content, reason, detail, check, float(number))
    return replace(written, draft=None, tries=(*written.tries[:-1], tried))


def _without_doubles(written: Sequence[Written], refused: list[Written]) -> Iterable[Written]:
    from rensa import RMinHash, RMinHashLSH  # pyright: ignore[reportAttributeAccessIssue]

    asked: dict[str, set[str]] = defaultdict(set)
    index = RMinHashLSH(threshold=NEAR_SHARE, num_perm=NUM_HASHES, num_bands=16)
    hashes: list[RMinHash] = []
    for one in written:
        draft, clip = one.draft, one.wanted.evidence.clip
        assert draft is not None
        questions = {bare(f"{draft.language} {draft.task} {turn.question}") for turn in draft.turns}
        if questions & asked[clip.id]:
            refused.append(refuse(one, "duplicates", "question_again", "asked about this clip already", 1))
            continue
        long = [t.answer for t in draft.turns if num_words(t.answer, draft.language) >= NEAR_WORDS]
        if long:
            own = RMinHash(num_perm=NUM_HASHES, seed=42)
            own.update(_phrases(" ".join(long)))
            near = max((own.jaccard(hashes[n]) for n in index.query(own)), default=0.0)
            if near >= NEAR_SHARE:
                detail = f"{near:.0%} of its phrases stand in another answer"
                refused.append(refuse(one, "duplicates", "near_duplicate", detail, near))
                continue
            index.insert(len(hashes), own)
            hashes.append(own)
        asked[clip.id] |= questions
        yield one


def _phrases(text: str) -> list[str]:
    words = text.split()
    if len(words) < NEAR_WORDS // 2:  # no spaces
        letters = bare(text)
        return [letters[k : k + 4] for k in range(max(1, len(letters) - 3))]
    return [" ".join(words[k : k + 3]) for k in range(max(1, len(words) - 2))]


def _balanced(written: Sequence[Written], refused: list[Written]) -> list[Written]:
    """Leave out what is too much of "yes", or of "no", in each language."""
    sides: dict[str, dict[bool, list[Written]]] = defaultdict(lambda: {True: [], False: []})
    for one in written:
        verdict = _verdict(one.draft)
        if verdict is not None and one.draft is not None:
            sides[one.draft.language][verdict].append(one)
    surplus: set[str] = set()
    for both in sides.values():
        fewer, more = sorted(both.values(), key=len)
        most = max(int(MOST_SURPLUS * len(fewer)), 1)
        for one in more[most:]:
            surplus.add(one.wanted.id)
            detail = f"{len(more)} conversations of one answer, {len(fewer)} of the other"
            refused.append(refuse(one, "yes_no_balance", "surplus", detail, len(more) / max(len(fewer), 1)))
    return [one for one in written if one.wanted.id not in surplus]


def _verdict(draft: Draft | None) -> bool | None:
    """Say whether all answers that begin with yes or no are the same one."""
    if draft is None:
        return None
    found = {v for turn in draft.turns if (v := verdict_of(turn.answer, draft.language)) is not None}
    return found.pop() if len(found) == 1 else None


def verdict_of(answer: str, language: str) -> bool | None:
    """Read the yes or no with which an answer begins."""
    text = lexicon.normal(answer).lstrip("¡¿ ")
    for verdict in (True, False):
        found = lexicon.first_of("affirms" if verdict else "declines", text, language)
        if found is not None and found.start == 0:
            return verdict
    return None


def _with_choices(written: Sequence[Written], checks: Sequence[Check], seed: int) -> list[Written]:
    """Make every second action a question with four choices, three of them actions of other clips."""
    actions = [w for w in written if w.draft is not None and w.draft.task == "action_recognition"]
    made = {w.wanted.id: _choose(w, actions, checks, seed) for w in actions if w.wanted.draw % 2}
    return [made.get(w.wanted.id) or w for w in written]


def _choose(one: Written, actions: Sequence[Written], checks: Sequence[Check], seed: int) -> Written | None:
    draft = one.draft
    assert draft is not None
    right, clip_id = str(draft.details["action"]), one.wanted.evidence.clip.id
    known = bare(" ".join(fact.text for fact in one.wanted.evidence.facts))
    others = sorted(
        (
            w
            for w in actions
            if w.wanted.evidence.clip.id != clip_id and w.draft and w.draft.language == draft.language
        ),
        key=lambda w: hashlib.sha256(f"{seed}|{one.wanted.id}|{w.wanted.id}".encode()).digest(),
    )
    wrong: dict[str, str] = {}
    for other in others:
        assert other.draft is not None
        action = str(other.draft.details["action"])
        if bare(action) != bare(right) and bare(action) not in known:
            wrong.setdefault(bare(action), action)
        if len(wrong) == 3:
            break
    if len(wrong) < 3:
        return None
    choices = list(wrong.values())
    place = one.wanted.draw // 2 % 4
    choices.insert(place, right)
    question, answer = choice_turn(choices, place, draft.language)
    turn = Turn(question, answer, draft.facts_used)
    chosen = replace(draft, turns=(turn,), choices=tuple(choices), right_choice=place)
    if first_refusal([c for c in checks if c.name == "choices"], chosen, one.wanted):
        return None
    return replace(one, draft=chosen)
