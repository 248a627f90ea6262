"""From a raw reply to JSON: wrappings are taken off, small damage is mended, the rest is refused."""

from __future__ import annotations

import json
import re
from typing import Any

from valley.instruct.gateway.client import Reply
from valley.instruct.task import ReplyError

_FENCE = re.compile(r"```(?:json)?\s*\n?(.*?)```", re.DOTALL | re.IGNORECASE)
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_REFUSED = re.compile(
    r"^\W*(?:i(?:'m| am) (?:sorry|unable)|sorry\b|"
    r"i (?:cannot|can't|won't) (?:help|assist|comply|create|provide)|"
    r"抱歉|对不起|lo siento|no puedo ayudar|je suis désolé|es tut mir leid|desculpe)",
    re.IGNORECASE,
)


def read_reply(reply: Reply) -> tuple[Any, bool]:
    """Give the JSON of a reply, and whether it had to be mended.

    Raises:
        ReplyError: `unreadable`, `refused`, `truncated`, or `not_json`; the detail can be sent back.
    """
    if reply.finish_reason == "unreadable":
        raise ReplyError("unreadable", "the server's answer was no chat completion")
    if reply.refusal or _REFUSED.match(reply.content):
        raise ReplyError("refused", f"the writer refused: {(reply.refusal or reply.content)[:80]!r}")
    if reply.finish_reason == "length":
        raise ReplyError("truncated", "the reply was cut off: write less")
    text = _THOUGHT.sub("", reply.content).strip()
    for candidate in (text, *_FENCE.findall(text), _between_braces(text)):
        value = _parsed(candidate)
        if value is not None:
            return value, candidate != text
    return _mended(text), True


def _parsed(text: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(text)
    except ValueError:
        return None


def _between_braces(text: str) -> str:
    first, last = text.find("{"), text.rfind("}")
    return text[first : last + 1] if 0 <= first < last else ""


def _mended(text: str) -> Any:  # noqa: ANN401
    """Mend from the first brace to the end: what is missing is most often the last braces."""
    from json_repair import repair_json

    begun = text[text.find("{") :].rstrip("` \n") if "{" in text else ""
    value = repair_json(begun, return_objects=True) if begun else None
    if not isinstance(value, dict) or not value:
        raise ReplyError("not_json", "want a JSON object and nothing else")
    return value
