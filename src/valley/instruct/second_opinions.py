"""What only a model can tell: whether a question needs the clip, and how good an answer is.

Both are asked through the same gateway, and paid for once. A reply that cannot be read decides nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from valley.instruct.checks.turns import bare
from valley.instruct.corpus_checks import refuse
from valley.instruct.gateway.budget import BudgetSpentError
from valley.instruct.gateway.client import Reply
from valley.instruct.languages import name_of
from valley.instruct.recipe import InstructSettings
from valley.instruct.replies import read_reply
from valley.instruct.task import ReplyError
from valley.instruct.writing import Asks, Writer, Written

BLIND = (
    "You are asked about a video that you cannot see. Answer in {language}, in one sentence, with what is "
    "most likely; do not say that you cannot see it. If nothing is likely, answer with the single word "
    "UNKNOWN."
)
JUDGE = (
    "You review training conversations about videos. Below are the facts that are known about a video, and "
    "a conversation. Rate it from 1 to 5: 5 is helpful, natural in {language} and wholly supported by the "
    "facts; 3 is usable; 1 contradicts the facts, makes things up or is nonsense. Answer with JSON: "
    '{{"score": 1 to 5, "why": "in a few words"}}.'
)
LEAST_SCORE = 3
ALIKE = 0.8
"""So much of an answer's letters in pairs in common: it was guessed."""


@dataclass(frozen=True)
class Opinions:
    """What is left of the conversations; `stopped`: why some of them were not looked at."""

    written: list[Written]
    stopped: str = ""


async def second_opinions(
    settings: InstructSettings, written: Sequence[Written], client: Asks, writer: Writer
) -> Opinions:
    """Look at the wanted shares of what was accepted, several at once; what fails is refused."""
    model = settings.judge_model or writer.model
    gate = asyncio.Semaphore(settings.writer.concurrency)
    stopped: list[str] = []

    async def look_at(one: Written) -> Written:
        async with gate:
            try:
                return one if stopped else await _look_at(one, settings, client, model)
            except BudgetSpentError as error:
                stopped.append(str(error))
                return one

    looked = await asyncio.gather(*map(look_at, written))
    return Opinions(list(looked), stopped[0] if stopped else "")


async def _look_at(one: Written, settings: InstructSettings, client: Asks, model: str) -> Written:
    if one.draft is not None and _is_drawn(one, "blind", settings.blind_share):
        one = await _answer_blind(one, client, model)
    if one.draft is not None and _is_drawn(one, "judge", settings.judge_share):
        one = await _judge(one, client, model)
    return one


def _is_drawn(one: Written, what: str, share: float) -> bool:
    number = int(hashlib.sha256(f"{what}|{one.wanted.id}".encode()).hexdigest()[:8], 16)
    return number < share * 16**8


async def _answer_blind(one: Written, client: Asks, model: str) -> Written:
    """Refuse a conversation all of whose questions are answered alike by who sees nothing."""
    assert one.draft is not None
    draft = one.draft
    if draft.task in ("unanswerable", "complex_reasoning"):
        return one
    system = BLIND.format(language=name_of(draft.language))
    shares = []
    for turn in draft.turns:
        reply = await client.complete(_body(model, system, turn.question))
        one = _with_cost(one, reply)
        shares.append(likeness(reply.content, turn.answer))
    if min(shares) < ALIKE:
        return one
    return refuse(
        one, "blind", "answered_without_video", "every answer was guessed without the video", min(shares)
    )


async def _judge(one: Written, client: Asks, model: str) -> Written:
    assert one.draft is not None
    draft = one.draft
    told = "\n".join(f"Q: {turn.question}\nA: {turn.answer}" for turn in draft.turns)
    words = f"Facts:\n{one.wanted.evidence.card}\n\nConversation:\n{told}"
    reply = await client.complete(_body(model, JUDGE.format(language=name_of(draft.language)), words))
    one = _with_cost(one, reply)
    try:
        value, _ = read_reply(reply)
        score = float(value["score"])
    except (ReplyError, KeyError, TypeError, ValueError):
        return one
    if score >= LEAST_SCORE:
        return one
    return refuse(one, "judge", "low_score", f"score {score:g}: {json.dumps(value.get('why'))[:120]}", score)


def _with_cost(one: Written, reply: Reply) -> Written:
    return replace(one, cost_pico=one.cost_pico + reply.cost_pico, num_billed=one.num_billed + reply.billed)


def _body(model: str, system: str, words: str) -> Mapping[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": words}]
    return {"model": model, "messages": messages, "max_tokens": 200, "temperature": 0.0}


def likeness(one: str, other: str) -> float:
    """Give how much two texts have in common: pairs of letters, intersection over union."""
    pairs = [{bare(t)[k : k + 2] for k in range(len(bare(t)) - 1)} for t in (one, other)]
    union = pairs[0] | pairs[1]
    return len(pairs[0] & pairs[1]) / len(union) if union else 0.0
