"""Asking through the gateway: it may be restarted meanwhile, and the same request is the same call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from valley.errors import BackendError
from valley.instruct.gateway.budget import BudgetSpentError
from valley.instruct.gateway.connections import Connections, LostError, NotSentError, Response
from valley.instruct.gateway.server import SAMPLE_HEADER, STORED_ONLY_HEADER
from valley.instruct.gateway.starting import Address

TRIES = 6
MOST_WAIT_S = 3600.0
"""The gateway has limits of its own; behind a low rate a call may wait long for its turn."""


class NotStoredError(BackendError):
    """The store has no reply to this request, and none may be paid for."""


@dataclass(frozen=True)
class Reply:
    """What the server said.

    Attributes:
        key: the request's name in the store.
        content: the words, or the arguments of the tool that was called.
        finish_reason: "stop", "length", ...
        refusal: the server's own refusal, or "".
        model: which model says it answered.
        billed: whether it was paid for now.
        cost_pico: what it cost when it was made.
        tokens: of prompt and reply.
    """

    key: str
    content: str
    finish_reason: str
    refusal: str = ""
    model: str = ""
    billed: bool = False
    cost_pico: int = 0
    tokens: tuple[int, int] = (0, 0)


class GatewayClient:
    """Sends requests to a gateway."""

    def __init__(self, address: Callable[[], Address], *, concurrency: int = 16) -> None:
        """Take a function that finds the gateway, and starts it again where it died."""
        self._find = address
        self._gate = asyncio.Semaphore(concurrency)
        self._finding = asyncio.Lock()
        self._take(address())

    def _take(self, address: Address) -> None:
        self._address = address
        self._server = Connections(address.base_url, api_key=address.token, timeout_s=MOST_WAIT_S)

    async def __aenter__(self) -> GatewayClient:
        """Enter."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._server.close()

    async def complete(self, body: Mapping[str, Any], *, sample: int = 0, stored_only: bool = False) -> Reply:
        """Ask for a chat completion.

        Args:
            body: of the request.
            sample: tells apart several draws of the same request.
            stored_only: take the reply out of the store, or none.

        Raises:
            BudgetSpentError: the cap does not allow it.
            NotStoredError: the store has no reply, and the gateway is offline or may not ask.
            RejectedError: the server will not have this request; another one may do.
            BackendError: the server cannot be reached, or failed too often.
        """
        headers = {SAMPLE_HEADER: str(sample), **({STORED_ONLY_HEADER: "1"} if stored_only else {})}
        said = json.dumps(dict(body)).encode()
        for tried in range(TRIES):
            server = self._server
            try:
                async with self._gate:
                    response = await server.send("POST", "chat/completions", said, headers=headers)
            except (NotSentError, LostError):  # to ask the gateway again for the same is the same call
                await asyncio.sleep(0.1 * 2**tried)
                await self._find_again(server)
                continue
            if response.status == 200:
                return _reply(response)
            raise _error(response)
        raise BackendError("the gateway cannot be reached; its log is beside its store")

    async def _find_again(self, gone: Connections) -> None:
        async with self._finding:
            if self._server is gone:
                gone.close()
                self._take(await asyncio.to_thread(self._find))


class RejectedError(BackendError):
    """The server will not have this request.

    Attributes:
        status: its HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def _error(response: Response) -> Exception:
    try:
        said = json.loads(response.content)["error"]
        code, message = said.get("code"), str(said.get("message"))
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message = None, response.text[:500]
    if response.status == 402:
        return BudgetSpentError(message)
    if code == "not_in_store":
        return NotStoredError(message)
    if response.status in (400, 404, 413, 415, 422):
        return RejectedError(response.status, message)
    return BackendError(f"the server answered {response.status}: {message}")


def _reply(response: Response) -> Reply:
    headers = response.headers
    kept = {
        "key": headers["x-valley-key"],
        "billed": headers["x-valley-billed"] == "1",
        "cost_pico": int(headers["x-valley-cost-pico"]),
    }
    try:
        body = json.loads(response.content)
        choice = body["choices"][0]
        usage = body.get("usage") or {}
        return Reply(
            content=content_of(body),
            finish_reason=str(choice.get("finish_reason") or ""),
            refusal=str(choice["message"].get("refusal") or ""),
            model=str(body.get("model") or ""),
            tokens=(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)),
            **kept,
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return Reply(content="", finish_reason="unreadable", **kept)


def content_of(body: Mapping[str, Any]) -> str:
    """Give the words of a chat completion, or the arguments of the tool that was called.

    Raises:
        KeyError: or ValueError, TypeError, IndexError, AttributeError: it is none.
    """
    message = body["choices"][0]["message"]
    calls = message.get("tool_calls") or [{"function": {"arguments": ""}}]
    return str(message.get("content") or calls[0]["function"]["arguments"] or "")
