"""Truth known: a writer lies in a fifth of its conversations; the checks see the card alone."""

import json
import random
import re
from collections import Counter

import pytest

from instruct.cards import LANGUAGES, scene_evidence
from instruct.fake_writer import LIES, compose
from valley.instruct.planning import plan
from valley.instruct.run import checks_of
from valley.instruct.task import TASKS, ReplyError
from valley.instruct.writing import first_refusal

LEAST_CAUGHT, MOST_TRUE_REFUSED = 0.90, 0.05
TRUE = "true"


class Counts:
    """How many conversations of a kind there were, and how many were refused."""

    def __init__(self) -> None:
        self.all: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.unread: Counter[str] = Counter()

    def share(self, name: str) -> float:
        return self.refused[name] / self.all[name]


def judge(num_scenes: int, *, lies: float, first: int = 0, facts_in: tuple[str, ...] = LANGUAGES) -> Counts:
    """Let the writer write one conversation of each task about each scene, and check them as a run does."""
    checks = checks_of(["all"])
    made = [scene_evidence(first + n, facts_in) for n in range(num_scenes)]
    scenes = {evidence.clip.id: (truth, evidence) for truth, evidence in made}
    counts = Counts()
    weights = dict.fromkeys(TASKS.names(), 1.0)
    for wanted in plan((e for _, e in scenes.values()), weights, LANGUAGES):
        truth = scenes[wanted.evidence.clip.id][0]
        prompt = wanted.task.prompt(wanted.evidence, wanted.language, draw=wanted.draw)
        system = prompt.messages[0]["content"]
        rounds = re.search(r"exactly (\d+) turns", system)
        told: list[str] = []
        raw = compose(
            truth,
            wanted.language,
            system,
            int(rounds[1]) if rounds else 1,
            random.Random(wanted.id),
            lies=lies,
            fact="F1",
            note=told.append,
        )
        try:
            draft = wanted.task.parse(json.loads(raw), wanted.evidence, wanted.language, draw=wanted.draw)
        except ReplyError as error:  # a scene has not enough for six rounds: the writer's fault, and no lie
            counts.unread[error.reason] += 1
            continue
        refusal = first_refusal(checks, draft, wanted)
        kind = told[0] if told else TRUE
        for name in {kind, f"{TRUE if not told else 'lie'} {wanted.language}", f"{kind} {wanted.language}"}:
            counts.all[name] += 1
            counts.refused[name] += refusal is not None
        if refusal is not None:
            counts.reasons[kind, f"{refusal.check}: {refusal.reason}"] += 1
    return counts


def test_lies_are_caught_and_truths_are_not() -> None:
    counts = judge(60, lies=0.2)
    assert set(counts.unread) <= {"num_turns"}
    assert counts.share(TRUE) <= MOST_TRUE_REFUSED, counts.reasons
    for kind in LIES:
        assert counts.all[kind] > 0, counts.all
        assert counts.share(kind) >= LEAST_CAUGHT, (kind, counts.reasons)
    for tag in LANGUAGES:
        assert counts.share(f"lie {tag}") >= LEAST_CAUGHT, (tag, counts.reasons)
        assert counts.share(f"{TRUE} {tag}") <= MOST_TRUE_REFUSED, (tag, counts.reasons)


@pytest.mark.slow
@pytest.mark.parametrize("facts_in", [LANGUAGES, ("en",), ("zh",), ("es",)], ids=",".join)
def test_so_it_is_in_each_language_by_kind(facts_in: tuple[str, ...]) -> None:
    """Many scenes; also where the facts are in one language and the conversations in three."""
    counts = judge(600, lies=0.2, first=1000, facts_in=facts_in)
    shares = {kind: (counts.all[kind], round(counts.share(kind), 3)) for kind in sorted(counts.all)}
    for kind in LIES:
        assert counts.share(kind) >= LEAST_CAUGHT, (kind, shares)
        for tag in LANGUAGES:
            assert counts.share(f"{kind} {tag}") >= LEAST_CAUGHT, (kind, tag, shares)
    for tag in LANGUAGES:
        assert counts.share(f"{TRUE} {tag}") <= MOST_TRUE_REFUSED, (tag, shares)
