"""Counting: how many people, things or times, where the facts say it."""

from collections.abc import Mapping
from typing import Any

from valley.instruct.evidence import Evidence
from valley.instruct.task import ReplyError
from valley.instruct.tasks._written import WrittenTask, number


def _count(reply: Mapping[str, Any], evidence: Evidence) -> Mapping[str, Any]:
    del evidence
    count = number(reply, "count")
    if count != int(count) or count < 0:
        raise ReplyError("schema", f'"count": want a whole number, got {count}')
    return {"count": int(count)}


TASK = WrittenTask(
    __file__,
    "how many there are",
    "one turn about a number. The person asks how many people, animals, things or repetitions there are in "
    "the {medium}; the assistant says the number in words or digits and what was counted. Count only what "
    "the facts name one by one or give a number for; give that number as count as well.",
    properties={"count": {"type": "integer"}},
    details=_count,
    max_tokens=400,
)
