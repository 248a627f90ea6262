"""A model that scores answers: asked once for the same question, ever; what it replies is read with patience.

A reply is on the disk before it is read. One that cannot be read is asked for once more, with another draw;
then the question counts as unparsable. That the engine fails (after its own tries) ends the run.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from valley.conversation import to_record
from valley.errors import BackendError, ConversationError
from valley.evaluation.benchmark import JudgeRequest
from valley.evaluation.records import JudgementRecord
from valley.evaluation.redacting import without_secrets
from valley.inference.backend import Backend, GenerationParams
from valley.journal import Journal

MAX_TOKENS = 1024
"""Room for a model that thinks aloud before its verdict."""

NUM_TRIES = 2
_REPLIES = ("replies", 1)
_REVISION_DIGITS = 12
_LONGEST_OBJECT = 20_000

ReadVerdict: TypeAlias = Callable[[JudgeRequest, Mapping[str, Any]], Mapping[str, float]]


class Judge:
    """An engine that scores, with the store of its replies.

    Attributes:
        name: the model's, as its engine signs.
        revision: which one of that name.
    """

    def __init__(self, backend: Backend, cache: Path) -> None:
        """Take an engine and a folder for its replies, which several runs may share."""
        self._backend = backend
        identity = backend.identity()
        self.name = str(identity.get("model") or backend.capabilities.model)
        self.revision = revision_of(identity)
        self._journal = Journal(cache, *_REPLIES)
        self._lock = threading.Lock()

    @property
    def label(self) -> str:
        """Name and revision, as they stand in the metrics' names."""
        return f"{self.name}@{self.revision}"

    @property
    def max_concurrency(self) -> int:
        """How many questions it answers together."""
        return self._backend.capabilities.max_concurrency

    def about(self) -> dict[str, Any]:
        """Give what a record says of the judge."""
        identity = without_secrets(self._backend.identity())
        return {"name": self.name, "revision": self.revision, "engine": identity}

    def metric(self, name: str) -> str:
        """Name a metric that this judge gives values of."""
        return judged_name(name, self.label)

    def judge(
        self, request: JudgeRequest, read: ReadVerdict, *, benchmark: str, variant: str
    ) -> JudgementRecord:
        """Ask about answers, unless the reply is known.

        Raises:
            BackendError: the engine does not answer.
        """
        replies: list[str] = []
        values, reason = None, ""
        for attempt in range(NUM_TRIES):
            replies.append(self._reply(request, attempt))
            try:
                values = dict(read(request, read_object(replies[-1])))
                break
            except ConversationError as error:
                reason = str(error)
        return JudgementRecord(
            benchmark=benchmark,
            variant=variant,
            request=request.id,
            items=request.item_ids,
            judge=self.label,
            prompt_sha256=_hash(_prompt(request)),
            replies=tuple(replies),
            values=values,
            reason="" if values is not None else reason,
        )

    def close(self) -> None:
        """Let go of engine and store."""
        self._backend.close()
        self._journal.close()

    def _reply(self, request: JudgeRequest, attempt: int) -> str:
        params = GenerationParams(max_new_tokens=MAX_TOKENS, response_schema=request.schema)
        if attempt:  # greedily it would say the same again
            params = replace(params, temperature=0.7, seed=attempt)
        key = _hash(
            [self.label, _prompt(request), params.max_new_tokens, params.temperature, params.seed, attempt]
        )
        with self._lock:
            known = self._journal.get(key)
        if known is not None:
            return known["reply"]
        try:
            with closing(self._backend.stream(request.conversation, params)) as pieces:
                reply = "".join(piece.text for piece in pieces)
        except BackendError as error:
            raise BackendError(
                f"the judge {self.label} fails, so the run stops; what was answered and judged is kept, the "
                f"same command goes on: {error}"
            ) from error
        with self._lock:
            self._journal.append(key, {"reply": reply, "request": request.id})
        return reply


def judged_name(metric: str, label: str) -> str:
    """Name a metric after who gave its values, such as `accuracy[Qwen3-8B@1f3c]`."""
    return f"{metric}[{label}]"


def revision_of(identity: Mapping[str, Any]) -> str:
    """Say which model of its name this is: its weights' hash, what a server says, or "unknown"."""
    weights = identity.get("weights")
    if weights:
        return _hash(weights)[:_REVISION_DIGITS]
    behind = identity.get("server_identity")
    if behind:
        return revision_of(behind)
    said = identity.get("revision") or identity.get("server_version") or "unknown"
    return re.sub(r"[^\w.+-]+", "-", str(said))


def _prompt(request: JudgeRequest) -> list[Any]:
    return [to_record(request.conversation)["messages"], dict(request.schema)]


def _hash(value: Any) -> str:  # noqa: ANN401
    words = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(words.encode(errors="surrogatepass")).hexdigest()


def read_object(reply: str) -> dict[str, Any]:
    """Find the last JSON object (or Python dictionary) in a reply, whatever stands around it.

    Raises:
        ConversationError: there is none.
    """
    found, start = None, reply.find("{")
    while start >= 0:
        value, end = _object_at(reply, start)
        found = value if value is not None else found
        start = reply.find("{", end)
    if found is None:
        short = reply if len(reply) <= 80 else reply[:77] + "..."
        raise ConversationError(f"want a JSON object in the judge's reply, got {short!r}")
    return found


def _object_at(reply: str, start: int) -> tuple[dict[str, Any] | None, int]:
    try:
        value, end = json.JSONDecoder().raw_decode(reply, start)
    except (ValueError, RecursionError):
        end = reply.find("}", start) + 1
        value = _dictionary(reply[start:end])
    return (value, end) if isinstance(value, dict) else (None, start + 1)


def _dictionary(words: str) -> object:
    """Read a flat Python dictionary, as judges that were shown one in their prompt write it."""
    if not words or len(words) > _LONGEST_OBJECT:
        return None
    try:
        return ast.literal_eval(words)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
