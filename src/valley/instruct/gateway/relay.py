"""The heart of the gateway: a request is answered from the store, joined to an equal one, or sent once.

Whoever asked may die: a call that is under way is finished and kept all the same.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from valley.instruct.gateway.budget import Budget, BudgetSpentError, dollars
from valley.instruct.gateway.calls import INTENT, REPLY, VOID, Attempt, Calls
from valley.instruct.gateway.connections import Connections, LostError, NotSentError, Response
from valley.instruct.gateway.governor import Governor, retry_after_s
from valley.instruct.gateway.requests import estimated_tokens, most_reply_tokens, request_key

RETRIES_SHARE, RETRIES_FREE = 0.5, 50
"""Retries, at most so many of all sendings, the first ones free: more of them mean a broken server."""

FIRST_BACKOFF_S, MOST_BACKOFF_S = 0.5, 30.0
BREAKS_AFTER, BROKEN_FOR_S = 20, 15.0
"""After so many failures in a row, calls are refused for a while without being sent."""


@dataclass(frozen=True)
class Answer:
    """What goes back to who asked.

    Attributes:
        status: an HTTP status.
        body: JSON.
        key: the request's.
        billed: whether this call was sent for it, and charged.
        cost_pico: what the reply cost when it was made.
    """

    status: int
    body: bytes
    key: str = ""
    billed: bool = False
    cost_pico: int = 0


def failure(status: int, code: str, message: str, key: str = "") -> Answer:
    """Make an answer in the shape of OpenAI's errors."""
    error = {"message": message, "type": "gateway_error", "code": code, "param": None}
    return Answer(status, json.dumps({"error": error}).encode(), key)


@dataclass
class Tally:
    """Counts since the gateway started."""

    asked: int = 0
    from_store: int = 0
    joined: int = 0
    sent: int = 0
    billed: int = 0
    retries: int = 0
    failures: Counter[str] = field(default_factory=Counter)


class Relay:
    """Answers requests; one event loop, many callers."""

    def __init__(
        self,
        calls: Calls,
        governor: Governor,
        budget: Budget,
        client: Connections | None,
        *,
        most_attempts: int = 8,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the parts; without a client only the store answers. What the store has been paid counts."""
        self.calls, self.governor, self.budget = calls, governor, budget
        self.tally = Tally()
        self._client = client
        self._most_attempts = most_attempts
        self._wait = wait
        self._under_way: dict[str, asyncio.Task[Answer]] = {}
        self._released = asyncio.Event()
        self._in_a_row, self._broken_until_s = 0, float("-inf")
        for reply in calls.replies():
            budget.spend(reply["cost_pico"], sum(reply["tokens"]))
        for _, intent in calls.unknown():  # they may have been charged: the cap counts them
            budget.spend(intent["reserved_pico"], sum(intent["tokens"]))

    async def answer(self, asked: Mapping[str, Any], *, sample: int = 0, stored_only: bool = False) -> Answer:
        """Answer a canonical request; `stored_only`: send nothing, even where it could be sent.

        Raises:
            BudgetSpentError: it would have to be sent, and the cap does not allow it.
            ConfigError: there is a cap in dollars, and the price of the model is unknown.
        """
        self.tally.asked += 1
        key = request_key(asked, sample=sample)
        if (stored := self._stored(key)) is not None:
            self.tally.from_store += 1
            return stored
        task = self._under_way.get(key)
        if self._client is None or (stored_only and task is None):
            why = "it is offline" if self._client is None else "none may be paid for"
            return failure(404, "not_in_store", f"the store has no reply to this request, and {why}", key)
        if task is None:
            task = asyncio.create_task(self._call(key, asked, sample, self._client))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        else:
            self.tally.joined += 1
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for the calls that are under way: they are paid for, whoever waits for them."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _stored(self, key: str) -> Answer | None:
        reply = self.calls.reply(key)
        if reply is None:
            return None
        return Answer(200, reply["raw"].encode(), key, billed=False, cost_pico=reply["cost_pico"])

    async def _call(self, key: str, asked: Mapping[str, Any], sample: int, client: Connections) -> Answer:
        """Send until there is a reply, or a refusal that sending again will not change."""
        tokens = (estimated_tokens(asked), most_reply_tokens(asked))
        last = failure(503, "upstream", "the server cannot be reached", key)
        for tried in range(self._most_attempts):
            if tried and not await self._may_retry(tried):
                break
            if time.monotonic() < self._broken_until_s:
                return failure(
                    503, "upstream_broken", f"the server failed {BREAKS_AFTER} times in a row", key
                )
            reserved = await self._reserve(asked["model"], tokens)
            try:
                done = await self._send(self.calls.next_attempt(key), asked, sample, tokens, reserved, client)
            finally:
                self.budget.release(reserved, sum(tokens))
                self._released.set()
            if done.status not in _AGAIN:
                return done
            last = done
        return last

    async def _reserve(self, model: str, tokens: tuple[int, int]) -> int:
        """Promise the worst case of a call; wait where it is only other promises that stand in the way."""
        while True:
            try:
                return self.budget.reserve(model, *tokens)
            except BudgetSpentError:
                if not self.budget.reserved_tokens:
                    raise
            self._released.clear()
            await self._released.wait()

    async def _may_retry(self, tried: int) -> bool:
        if self.tally.retries >= RETRIES_FREE + RETRIES_SHARE * self.tally.sent:
            return False
        self.tally.retries += 1
        most_s = min(MOST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (tried - 1))
        await self._wait(random.uniform(most_s / 2, most_s))
        return True

    async def _send(
        self,
        attempt: Attempt,
        asked: Mapping[str, Any],
        sample: int,
        tokens: tuple[int, int],
        reserved: int,
        client: Connections,
    ) -> Answer:
        await self.governor.acquire(sum(tokens))
        too_much, pause_s, began_s = False, 0.0, time.monotonic()
        try:
            intent = {"model": asked["model"], "sample": sample, "tokens": tokens, "reserved_pico": reserved}
            await self.calls.write(attempt, INTENT, intent)
            self.tally.sent += 1
            try:
                response = await client.send("POST", "chat/completions", json.dumps(asked).encode())
            except NotSentError as error:
                await self.calls.write(attempt, VOID, {"reason": "not_sent"})
                return self._failed(503, "unreachable", str(error), attempt)
            except LostError as error:  # it was sent: whether it was charged is not known
                self.budget.spend(reserved, sum(tokens))
                return self._failed(502, "unknown_outcome", str(error), attempt)
            if response.status == 200:
                return await self._keep(attempt, asked, response, time.monotonic() - began_s)
            await self.calls.write(attempt, VOID, {"reason": str(response.status)})
            too_much = response.status in (429, 503)
            pause_s = retry_after_s(response.headers.get("retry-after")) or 0.0
            if response.status in _AGAIN:
                return self._failed(response.status, str(response.status), response.text[:500], attempt)
            return Answer(response.status, response.content, attempt.key)
        finally:
            await self.governor.done(too_much=too_much, pause_s=pause_s)

    def _failed(self, status: int, code: str, message: str, attempt: Attempt) -> Answer:
        self.tally.failures[code] += 1
        self._in_a_row += code != "429"
        if self._in_a_row >= BREAKS_AFTER:
            self._broken_until_s, self._in_a_row = time.monotonic() + BROKEN_FOR_S, 0
        return failure(status, code, f"the server: {message}", attempt.key)

    async def _keep(
        self, attempt: Attempt, asked: Mapping[str, Any], response: Response, took_s: float
    ) -> Answer:
        """Write the raw reply down before anybody reads it."""
        raw = response.text
        used = usage_of(raw) or (estimated_tokens(asked), most_reply_tokens(asked))
        cost = self.budget.cost(asked["model"], *used)
        record = {
            "raw": raw,
            "model": asked["model"],
            "tokens": used,
            "cost_pico": cost,
            "latency_s": round(took_s, 3),
            "request_id": response.headers.get("x-request-id", ""),
        }
        self.budget.spend(cost, sum(used))
        await self.calls.write(attempt, REPLY, record)
        self.tally.billed += 1
        self._in_a_row = 0
        return Answer(200, raw.encode(), attempt.key, billed=True, cost_pico=cost)

    def stats(self) -> dict[str, Any]:
        """Say what was asked, sent and paid."""
        unknown = [
            {"call": name, **intent}
            for name, intent in self.calls.unknown()
            if name.partition(".")[0] not in self._under_way
        ]
        return {
            **vars(self.tally),
            "failures": dict(self.tally.failures),
            "refused_by_rate": self.governor.num_refused,
            "in_flight": self.governor.in_flight,
            "spent": dollars(self.budget.spent_pico),
            "spent_pico": self.budget.spent_pico,
            "spent_tokens": self.budget.spent_tokens,
            "known_prices": sorted(self.budget.prices),
            "unknown_outcomes": unknown,
            "unknown_outcomes_pico": sum(call["reserved_pico"] for call in unknown),
        }


_AGAIN = frozenset((408, 409, 425, 429, 500, 502, 503, 504))


def usage_of(raw: str) -> tuple[int, int] | None:
    """Read the tokens of prompt and reply that a server counted; None where it says nothing sensible."""
    try:
        usage = json.loads(raw)["usage"]
        counts = (usage["prompt_tokens"], usage["completion_tokens"])
    except (ValueError, KeyError, TypeError):
        return None
    fine = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in counts)
    return counts if fine else None
