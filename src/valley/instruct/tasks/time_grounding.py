"""Time grounding: when something happens, from when to when."""

from collections.abc import Mapping
from typing import Any

from valley.instruct.evidence import Evidence
from valley.instruct.task import ReplyError
from valley.instruct.tasks._written import WrittenTask, has_timed_words, number


def _suits(evidence: Evidence) -> bool:
    return has_timed_words(evidence, fewest=1)


def _stretch(reply: Mapping[str, Any], evidence: Evidence) -> Mapping[str, Any]:
    start_s, end_s = number(reply, "start_s"), number(reply, "end_s")
    if not 0 <= start_s <= end_s <= evidence.duration_s + 0.05:
        raise ReplyError(
            "times", f"want 0 <= start_s <= end_s <= {evidence.duration_s:.1f}, got {start_s} and {end_s}"
        )
    return {"start_s": start_s, "end_s": end_s}


TASK = WrittenTask(
    __file__,
    "when something happens",
    "one turn about time. The person asks when something in the video happens; the assistant answers with "
    "the stretch in seconds, from when to when, as the facts give it, and says in a few words what happens "
    "then. Give the same stretch as start_s and end_s.",
    _suits,
    properties={"start_s": {"type": "number"}, "end_s": {"type": "number"}},
    details=_stretch,
    max_tokens=400,
)
