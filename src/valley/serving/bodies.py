"""Parse the bytes of a stranger's JSON; what no text or program can hold is refused first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from valley.serving.errors import RequestError

# Every value costs some 60 bytes and more once it is parsed, and one or two as text. A hundred turns have a
# few thousand, and a comma within words counts too.
MOST_VALUES = 1_000_000
MOST_DEPTH = 100  # a JSON schema of many parts has a dozen; who writes it out again goes a level deeper each


def parse_json(body: bytes | bytearray) -> Any:  # noqa: ANN401
    """Parse the body of a request.

    Raises:
        RequestError: it is no JSON, too deep, or too many values.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:
        raise RequestError(f"the JSON has more than {MOST_VALUES} values", code="too_complex")
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is no text in UTF-8 ({error.reason})", code="json") from error
    except RecursionError as error:
        raise RequestError("the JSON is nested too deeply", code="too_complex") from error
    except ValueError as error:  # json.JSONDecodeError among them; or a number of thousands of digits
        raise RequestError(f"the body is no JSON: {str(error)[:200]}", code="json") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def refuse_bad_text(body: object) -> None:
    """Refuse halves of surrogate pairs, which JSON can spell and no text can hold, and what is nested deeply.

    Raises:
        RequestError: there is one.
    """
    waiting: list[tuple[object, int]] = [(body, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise RequestError(f"the JSON is nested more than {MOST_DEPTH} levels deep", code="too_complex")
        if isinstance(value, Mapping):
            waiting += ((each, depth + 1) for pair in value.items() for each in pair)
        elif isinstance(value, list | tuple):
            waiting += ((each, depth + 1) for each in value)
        elif isinstance(value, str) and not _is_text(value):
            raise RequestError("a text holds half of a surrogate pair (\\ud800 to \\udfff)", code="json")


def _is_text(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
