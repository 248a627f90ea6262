"""Parse the bytes of a stranger's JSON; what no text can hold is refused before anybody meets it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from valley.serving.errors import RequestError

# Every value costs some 60 bytes and more once it is parsed, and one or two as text. A hundred turns have a
# few thousand, and a comma within words counts too.
MOST_VALUES = 1_000_000


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
    """Refuse halves of surrogate pairs, which JSON can spell and no text can hold.

    Raises:
        RequestError: there is one.
    """
    waiting = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.keys()
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
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
