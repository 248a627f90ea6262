"""The page on which people look at conversations: a small server for this machine alone.

Its address holds a token that nobody can guess, without which there is nothing here. A medium is asked for by
the place of its conversation and its own in that, never by a path: only files that the conversations name are
sent, and of these only what is a video or a picture by its name.
"""

from __future__ import annotations

import json
import mimetypes
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valley.errors import MissingExtraError, ValleyError
from valley.instruct.gateway.server import listen
from valley.instruct.places import decisions_path
from valley.instruct.reviewing import STATES, DecidedMeanwhileError, Decision, Decisions, Turn
from valley.instruct.reviewing_items import ReviewItems, overview, shown, state_of
from valley.locking import locked

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MOST_BODY_BYTES = 2_000_000
MOST_LETTERS = 20_000
"""Of a question, an answer or a reason."""

_PAGE = "review.html"
_HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
    "media-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

OnReady = Callable[[str, int, int], None]


class BadRequestError(ValleyError):
    """What came is no decision.

    Attributes:
        status: of the answer.
    """

    def __init__(self, message: str, *, status: int = 422) -> None:
        self.status = status
        super().__init__(message)


def now() -> str:
    """Say the time, in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def serve(conversations: Path, *, by: str, port: int = 0, on_ready: OnReady | None = None) -> None:
    """Serve the page until Ctrl-C.

    Args:
        conversations: the file; decisions go beside it.
        by: who decides.
        port: 0 takes a free one.
        on_ready: is told the address, how many conversations there are, and how many are decided.

    Raises:
        ConfigError: the port is taken, another page has the file, or there is nothing in it.
        ConversationError: a line does not fit.
        MissingExtraError: the web server is absent.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(wanted_by="the page", package="uvicorn", extra="data") from error
    path = decisions_path(conversations)
    taken = f"{conversations}: another page is open on this file: use that one, or stop it"
    items = ReviewItems(conversations)
    decisions = None
    try:
        with locked(path.with_name(path.name + ".lock"), taken=taken), listen(port) as listener:
            decisions = Decisions(path)
            token = secrets.token_urlsafe(24)
            app = review_app(items, decisions, token=token, by=by)
            server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
            if on_ready is not None:
                num_decided = sum(one["state"] != "open" for one in overview(items, decisions))
                address = f"http://127.0.0.1:{listener.getsockname()[1]}/{token}/"
                on_ready(address, len(items.entries), num_decided)
            server.run(sockets=[listener])
    finally:
        items.close()
        if decisions is not None:
            decisions.close()


def review_app(
    items: ReviewItems, decisions: Decisions, *, token: str, by: str, clock: Callable[[], str] = now
) -> Starlette:
    """Make the web application.

    Args:
        items: what is looked at.
        decisions: what was decided.
        token: the first part of every address.
        by: who decides.
        clock: says the time.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    page = _Page(items, decisions, token, by, clock)
    routes = [
        Route("/{token}/", page.guarded(page.page)),
        Route("/{token}/api/items", page.guarded(page.overview)),
        Route("/{token}/api/items/{number:int}", page.guarded(page.item)),
        Route("/{token}/api/items/{number:int}/decision", page.guarded(page.decide), methods=["POST"]),
        Route("/{token}/media/{number:int}/{which:int}", page.guarded(page.medium)),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False  # or any address would be answered with another
    return app


class _Page:
    """What the addresses answer."""

    def __init__(
        self, items: ReviewItems, decisions: Decisions, token: str, by: str, clock: Callable[[], str]
    ) -> None:
        self._items, self._decisions, self._token, self._by, self._clock = items, decisions, token, by, clock
        self._html = resources.files("valley.instruct").joinpath(_PAGE).read_text(encoding="utf-8")

    def guarded(
        self, handle: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Answer only those who know the token, and only about conversations that there are."""

        async def guarded(request: Request) -> Response:
            known = secrets.compare_digest(request.path_params["token"].encode(), self._token.encode())
            number = request.path_params.get("number", 0)
            if not known or number >= len(self._items.entries):
                return _json({"error": "there is nothing here"}, status=404)
            try:
                return await handle(request)
            except BadRequestError as error:
                return _json({"error": str(error)}, status=error.status)

        return guarded

    async def page(self, request: Request) -> Response:
        """Give the page itself."""
        from starlette.responses import HTMLResponse

        del request
        nonce = secrets.token_urlsafe(16)
        policy = {"content-security-policy": _POLICY.format(nonce=nonce), "cache-control": "no-store"}
        return HTMLResponse(self._html.replace("{nonce}", nonce), headers={**_HEADERS, **policy})

    async def overview(self, request: Request) -> Response:
        """Give all conversations, each with its state."""
        from starlette.concurrency import run_in_threadpool

        del request
        found = await run_in_threadpool(overview, self._items, self._decisions)
        return _json({"file": self._items.path.name, "by": self._by, "items": found})

    async def item(self, request: Request) -> Response:
        """Give one conversation, with all that is known about it."""
        from starlette.concurrency import run_in_threadpool

        number: int = request.path_params["number"]
        return _json(await run_in_threadpool(shown, self._items, number, self._decisions))

    async def decide(self, request: Request) -> Response:
        """Take a decision; the answer comes when it is on the disk."""
        from starlette.concurrency import run_in_threadpool

        number: int = request.path_params["number"]
        try:
            told = json.loads(await _body(request))
        except (ValueError, RecursionError) as error:
            raise BadRequestError("want a JSON object", status=400) from error
        return await run_in_threadpool(self._decide, number, told)

    def _decide(self, number: int, told: object) -> Response:
        entry, conversation = self._items.entries[number], shown(self._items, number, self._decisions)
        written = tuple((turn["question"], turn["answer"]) for turn in conversation["written"])
        decision, seen = read_decision(told, written)
        named = Decision(entry.id, entry.words, by=self._by, at=self._clock(), **decision)
        try:
            added = self._decisions.add(named, seen=seen)
        except DecidedMeanwhileError:
            held = self._decisions.about(entry.id, entry.words)
            current = state_of(held, number=self._decisions.number(entry.id))
            return _json({"error": "it was decided elsewhere meanwhile", "decision": current}, status=409)
        except OSError as error:
            return _json({"error": f"the decision could not be kept: {error}"}, status=507)
        return _json({"decision": state_of(added, number=added.number)})

    async def medium(self, request: Request) -> Response:
        """Send a clip or a picture, or a part of one."""
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import FileResponse

        number, which = request.path_params["number"], request.path_params["which"]
        path = await run_in_threadpool(self._items.medium, number, which)
        if path is None or not path.is_file():
            return _json({"error": "there is no such file"}, status=404)
        kind = mimetypes.guess_type(path.name)[0] or ""
        if not kind.startswith(("video/", "image/")):
            return _json({"error": "neither a video nor a picture by its name"}, status=415)
        policy = {"content-security-policy": "default-src 'none'; sandbox", "cache-control": "private"}
        return FileResponse(path, media_type=kind, headers={**_HEADERS, **policy})


def read_decision(told: object, written: tuple[Turn, ...]) -> tuple[dict[str, Any], int]:
    """Read a decision as the page sends it: (fields of a `Decision`, how many its maker had seen).

    Raises:
        BadRequestError: it is none; the message says what was wanted.
    """
    if not isinstance(told, dict):
        raise BadRequestError("want a JSON object")
    state, reason, seen = told.get("state"), told.get("reason", ""), told.get("seen")
    if state not in STATES:
        raise BadRequestError(f"state: want one of {', '.join(STATES)}")
    if not isinstance(seen, int) or isinstance(seen, bool):
        raise BadRequestError("seen: want how many decisions the page knows of")
    if not isinstance(reason, str) or len(reason) > MOST_LETTERS:
        raise BadRequestError(f"reason: want words, at most {MOST_LETTERS} letters")
    if state == "refused" and not reason.strip():
        raise BadRequestError("reason: want to know why it is refused")
    turns = _read_turns(told.get("turns"), len(written))
    kept = reason.strip() if state == "refused" else ""
    return {"state": state, "reason": kept, "turns": () if turns == written else turns}, seen


def _read_turns(value: object, count: int) -> tuple[Turn, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) != count:
        raise BadRequestError(f"turns: want a list of {count}, or none where nothing was changed")
    return tuple((_words(turn, "question"), _words(turn, "answer")) for turn in value)


def _words(turn: object, name: str) -> str:
    words = turn.get(name) if isinstance(turn, Mapping) else None
    if not isinstance(words, str) or not words.strip() or len(words) > MOST_LETTERS:
        raise BadRequestError(f"turns: want words in every {name}, at most {MOST_LETTERS} letters")
    return words.strip()


def _json(content: object, *, status: int = 200) -> Response:
    from starlette.responses import Response

    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")
    headers = {**_HEADERS, "cache-control": "no-store"}
    return Response(body, status, headers, media_type="application/json")


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BODY_BYTES:
            raise BadRequestError(f"want at most {MOST_BODY_BYTES} bytes", status=413)
        parts.append(part)
    return b"".join(parts)
