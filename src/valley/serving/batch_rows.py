"""The rows of a batch: OpenAI's requests, or Valley's conversations, one JSON object a line.

    {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [...]}}
    {"id": "b", "messages": [{"role": "user", "content": [{"type": "video", "path": "b.mp4"}, ...]}]}

A line that is neither is a row, too: one that fails. Paths are taken from the folder of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from valley.conversation import Conversation, Image, Video, from_record, resolved
from valley.errors import ConfigError, ConversationError
from valley.inference.backend import Capabilities, GenerationParams
from valley.serving.asking import Medium
from valley.serving.bodies import parse_json
from valley.serving.errors import RequestError
from valley.serving.limits import ServeSettings
from valley.serving.media import Lease
from valley.serving.media_data import no_frames
from valley.serving.schema import read_request
from valley.video.decoding import is_image

CHAT_URL = "/v1/chat/completions"
_ENVELOPE = {"custom_id", "method", "url", "body"}


@dataclass(frozen=True)
class Row:
    """Where a row stands, and what it is called.

    Attributes:
        key: names the row with its content: a row that was changed is another one.
        custom_id: what the user calls it; None where the line does not say.
        number: of the line, from 1.
        offset: of its first byte.
        length: in bytes.
    """

    key: str
    custom_id: str | None
    number: int
    offset: int
    length: int


@dataclass(frozen=True)
class Question:
    """What a row asks."""

    conversation: Conversation
    params: GenerationParams


def read_rows(path: Path) -> list[Row]:
    """Find the rows of a file, without keeping what they say.

    Raises:
        ConfigError: two rows have the same name: their answers could not be told apart.
    """
    rows: list[Row] = []
    numbers: dict[str, int] = {}
    for row in _rows(path):
        if row.custom_id is not None:
            before = numbers.setdefault(row.custom_id, row.number)
            if before != row.number:
                raise ConfigError(
                    f"{path}:{row.number}: the name {row.custom_id!r} is taken by line {before}: "
                    "give each row its own custom_id"
                )
        rows.append(row)
    return rows


def _rows(path: Path) -> Iterator[Row]:
    offset = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            said = line.strip()
            if said:
                name = _name(said, number)
                told = said if name is not None else b"%d %s" % (number, said)
                digest = hashlib.blake2b(told, digest_size=12).hexdigest()
                yield Row(f"batch_req_{digest}", name, number, offset, len(line))
            offset += len(line)


def _name(line: bytes, number: int) -> str | None:
    try:
        row = parse_json(line)
    except RequestError:
        return None
    if not isinstance(row, dict):
        return None
    name = row.get("custom_id", row.get("id"))
    if isinstance(name, str) and name:
        return name
    return f"line-{number}" if "messages" in row else None


class RowReader:
    """Reads what rows ask."""

    def __init__(
        self, path: Path, can: Capabilities, *, media_root: Path | None = None, isolated: bool = False
    ) -> None:
        """Take the file, what the engine can, and where paths begin: else in the file's folder."""
        self._path, self._can = path, can
        self._root = media_root or path.parent
        self._isolated = isolated

    async def question(self, row: Row, lease: Lease) -> Question:
        """Read one row; media within it go to the disk, under the lease.

        Raises:
            RequestError: it does not fit.
            ConversationError: it is a conversation that does not fit.
        """
        with self._path.open("rb") as file:
            file.seek(row.offset)
            said = parse_json(file.read(row.length).strip())
        if not isinstance(said, dict):
            raise RequestError(f"want a JSON object, got {type(said).__name__}", code="row")
        if "messages" in said and "body" not in said:
            return self._of_conversation(said)
        return await self._of_request(said, lease)

    def _of_conversation(self, said: dict[str, Any]) -> Question:
        talk = resolved(from_record(said), self._root)
        messages = talk.messages
        while messages and messages[-1].role == "assistant":  # the answer that is known
            messages = messages[:-1]
        if not messages or messages[-1].role != "user":
            raise ConversationError("want a user's turn to answer, got none at the end")
        return Question(replace(talk, messages=messages), self._params())

    async def _of_request(self, said: dict[str, Any], lease: Lease) -> Question:
        _check_envelope(said)
        asked = read_request(said["body"])
        if asked.response_schema is not None and not self._can.structured_output:
            raise RequestError(
                f"{self._can.model} cannot be held to a schema: want response_format of type text",
                code="unsupported",
                param="body.response_format",
            )
        params = asked.params(max_tokens=ServeSettings.default_max_tokens, isolated=self._isolated)
        media = [await self._placed(medium, lease) for medium in asked.media]
        return Question(asked.conversation(media), params)

    def _params(self) -> GenerationParams:
        return GenerationParams(max_new_tokens=ServeSettings.default_max_tokens, isolated=self._isolated)

    async def _placed(self, medium: Medium, lease: Lease) -> Image | Video:
        scheme = medium.url[:8].partition(":")[0].lower()
        if scheme in ("http", "https"):
            raise RequestError(
                "nothing is fetched: download the file, and name its path", code="address", param=medium.param
            )
        if scheme == "data":
            kind = medium.kind or "video"
            source = await lease.local(medium.url, kind, timestamps_s=medium.timestamps_s)
        elif medium.timestamps_s is not None:
            raise no_frames()
        else:
            named = unquote(urlsplit(medium.url).path) if scheme == "file" else medium.url
            source = self._root / named
        kind = medium.kind or ("image" if source.is_file() and is_image(source) else "video")
        if kind not in self._can.media:
            raise RequestError(f"{self._can.model} takes no {kind}", code="unsupported", param=medium.param)
        return medium.at(str(source), kind)


def _check_envelope(said: Mapping[str, Any]) -> None:
    unknown = sorted(said.keys() - _ENVELOPE)
    if unknown or not isinstance(said.get("custom_id"), str):
        raise RequestError(
            f"want custom_id (a text), method, url and body, got {', '.join(map(repr, said)) or 'nothing'}",
            code="row",
        )
    if said.get("method", "POST") != "POST" or said.get("url", CHAT_URL) != CHAT_URL:
        raise RequestError(
            f"want POST {CHAT_URL}, got {said.get('method')} {said.get('url')}", code="row", param="url"
        )
    if "body" not in said:
        raise RequestError("want a body", code="row", param="body")
