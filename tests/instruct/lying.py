"""A writer that lies in a share of its conversations, and what the checks make of them; nothing is sent."""

import json
import random
import re
from collections import Counter

from instruct.cards import LANGUAGES, scene_evidence
from instruct.fake_writer import compose
from valley.instruct.planning import plan
from valley.instruct.run import checks_of
from valley.instruct.task import TASKS, ReplyError
from valley.instruct.writing import first_refusal

TRUE = "true"


class Counts:
    """How many conversations of a kind there were, and how many were refused."""

    def __init__(self) -> None:
        self.all: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.unread: Counter[str] = Counter()

    def share(self, name: str) -> float:
        return self.refused[name] / self.all[name] if self.all[name] else float("nan")


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
