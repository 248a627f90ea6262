"""Write one conversation: ask, read, check; ask again with the reason; draw afresh; give up.

Every request goes through the gateway, which answers from its store what was asked before: doing all of
this again costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from valley.errors import BackendError
from valley.instruct.check import Check, Refusal
from valley.instruct.gateway.client import NotStoredError, RejectedError, Reply
from valley.instruct.planning import Wanted
from valley.instruct.replies import read_reply
from valley.instruct.task import Draft, Prompt, ReplyError

Mode: TypeAlias = Literal["json_schema", "tools", "prompt"]
MODES: tuple[Mode, ...] = ("json_schema", "tools", "prompt")
"""How a server is told the form of a reply, the strictest first."""

MOST_TOKENS = 8192


@runtime_checkable
class Asks(Protocol):
    """What sends a request: the gateway's client."""

    async def complete(self, body: Mapping[str, Any], *, sample: int = 0, stored_only: bool = False) -> Reply:
        """See `GatewayClient.complete`."""
        ...


@dataclass(frozen=True)
class Try:
    """One reply and what was wrong with it.

    Attributes:
        key: the request's name in the store.
        content: the raw words.
        reason: of the refusal; empty where it was accepted.
        detail: see `Refusal.detail`.
        check: which check refused, or "reply".
        number: the number behind it.
    """

    key: str
    content: str
    reason: str = ""
    detail: str = ""
    check: str = ""
    number: float = 0.0


@dataclass(frozen=True)
class Written:
    """What came of one wanted conversation.

    Attributes:
        wanted: what was asked for.
        draft: the accepted one; None: it is for the quarantine.
        tries: all replies, in order.
        model: which model says it wrote it.
        cost_pico: what the replies cost when they were made, in picodollars.
        num_billed: calls paid for in this run.
        mended: whether the accepted reply's JSON had to be mended.
    """

    wanted: Wanted
    draft: Draft | None
    tries: tuple[Try, ...]
    model: str = ""
    cost_pico: int = 0
    num_billed: int = 0
    mended: bool = False


@dataclass
class Writer:
    """Asks one model.

    Attributes:
        client: sends requests.
        model: its name at the server.
        checks: in the order in which they run.
        seed: goes to the server where it is not None.
        mode: how the form of a reply is told; found out at the first request that is rejected.
        most_tries: replies for one conversation, and one more where one of them had not the form.
        settled: conversations that an earlier run came to an end with, and the name of their first request:
            no further reply is paid for, whatever the checks say now.
    """

    client: Asks
    model: str
    checks: Sequence[Check]
    seed: int | None = None
    mode: Mode = "json_schema"
    most_tries: int = 3
    settled: Mapping[str, str] = field(default_factory=dict)

    async def write(self, wanted: Wanted) -> Written:
        """Write a conversation, or give up.

        Raises:
            BudgetSpentError: the cap does not allow another call.
            NotStoredError: the gateway is offline, and the store lacks the first reply.
            BackendError: the server cannot be reached, or failed too often.
        """
        prompt = wanted.task.prompt(wanted.evidence, wanted.language, draw=wanted.draw)
        found = Written(wanted, None, ())
        max_tokens = prompt.max_tokens
        while found.draft is None and len(found.tries) < self._most_tries(found):
            reply = await self._ask_once_more(prompt, found, max_tokens)
            if reply is None:
                break
            draft, mended, refused = self.judge(reply, wanted)
            tried = refused or Try(reply.key, reply.content)
            found = replace(
                found,
                draft=draft,
                tries=(*found.tries, tried),
                model=reply.model or found.model,
                cost_pico=found.cost_pico + reply.cost_pico,
                num_billed=found.num_billed + reply.billed,
                mended=mended and draft is not None,
            )
            if tried.reason == "truncated":
                max_tokens = min(2 * max_tokens, MOST_TOKENS)
        return found

    def _most_tries(self, found: Written) -> int:
        """Allow one more where a reply had not the form: that says nothing about the conversation."""
        return self.most_tries + any(tried.check == "reply" for tried in found.tries)

    async def _ask_once_more(self, prompt: Prompt, found: Written, max_tokens: int) -> Reply | None:
        """Ask for the next reply; None: an earlier run ended here, and the next one is not stored."""
        tries = found.tries
        again = len(tries) == 1 and _is_worth_it(tries[-1])
        messages = _asked_again(prompt, tries[-1]) if again else prompt.messages
        is_settled = bool(tries) and self.settled.get(found.wanted.id) == tries[0].key
        try:
            return await self._ask(messages, prompt, max_tokens, sample=len(tries), stored_only=is_settled)
        except NotStoredError:
            if not tries:
                raise
            return None

    def judge(self, reply: Reply, wanted: Wanted) -> tuple[Draft | None, bool, Try | None]:
        """Read and check a reply: (the draft if it is accepted, whether it was mended, what is wrong)."""
        try:
            value, mended = read_reply(reply)
            draft = wanted.task.parse(value, wanted.evidence, wanted.language, draw=wanted.draw)
        except ReplyError as error:
            return None, False, Try(reply.key, reply.content, error.reason, error.detail, "reply")
        refusal = first_refusal(self.checks, draft, wanted)
        if refusal is None:
            return draft, mended, None
        refused = Try(
            reply.key, reply.content, refusal.reason, refusal.detail, refusal.check, float(refusal.number)
        )
        return None, mended, refused

    async def _ask(
        self,
        messages: Sequence[Mapping[str, Any]],
        prompt: Prompt,
        max_tokens: int,
        *,
        sample: int,
        stored_only: bool,
    ) -> Reply:
        """Ask in the strictest way that the server takes; the next request begins with it."""
        modes = MODES[MODES.index(self.mode) :]
        for mode in modes:
            body = self.body(messages, prompt, max_tokens, sample, mode)
            try:
                reply = await self.client.complete(body, sample=sample, stored_only=stored_only)
            except NotStoredError:
                if mode == modes[-1]:
                    raise
            except RejectedError as error:
                if mode == modes[-1] or error.status not in (400, 422):
                    raise BackendError(f"the server does not take the request: {error}") from error
            else:
                self.mode = mode
                return reply
        raise AssertionError("the last way is answered or raises")

    def body(
        self,
        messages: Sequence[Mapping[str, Any]],
        prompt: Prompt,
        max_tokens: int,
        sample: int,
        mode: Mode,
    ) -> dict[str, Any]:
        """Make a request's body."""
        schema = dict(prompt.schema)
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(m) for m in messages],
            "max_tokens": max_tokens,
            "temperature": prompt.temperature,
        }
        if self.seed is not None:
            body["seed"] = self.seed + sample
        if mode == "json_schema":
            form = {"name": "conversation", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        elif mode == "tools":
            function = {
                "name": "conversation",
                "description": "Hand in the conversation.",
                "parameters": schema,
            }
            body["tools"] = [{"type": "function", "function": function}]
            body["tool_choice"] = {"type": "function", "function": {"name": "conversation"}}
        else:
            told = f"\nAnswer with one JSON object and nothing else; its schema:\n{json.dumps(schema)}"
            first = body["messages"][0]
            body["messages"][0] = {**first, "content": first["content"] + told}
        return body


def first_refusal(checks: Sequence[Check], draft: Draft, wanted: Wanted) -> Refusal | None:
    """Give the first refusal of the checks that are for the task."""
    for check in checks:
        if not check.tasks or draft.task in check.tasks:
            refusal = check.check(draft, wanted.evidence)
            if refusal is not None:
                return refusal
    return None


def _is_worth_it(last: Try) -> bool:
    """A reply that was read can be bettered; one that was none is drawn afresh."""
    return last.reason not in ("unreadable", "refused", "truncated") and bool(last.content)


def _asked_again(prompt: Prompt, last: Try) -> tuple[Mapping[str, Any], ...]:
    """Send the reply back with what is wrong."""
    wrong = f"That cannot be used: {last.detail}. Write it anew, with all the rules above."
    return (
        *prompt.messages,
        {"role": "assistant", "content": last.content},
        {"role": "user", "content": wrong},
    )
