"""Times: inside the clip; a cause begins before its effect; chapters do not overlap."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from valley.instruct.check import Refusal
from valley.instruct.evidence import Evidence
from valley.instruct.task import Draft
from valley.instruct.versions import content_version

SLACK_S = 0.6

_UNIT = (
    r"(?:s|sec|secs|second|seconds|秒|segundos?|sekunden?|secondes?|secondi|сек\w*|ثوان\w*|ثاني\w*|सेकंड|초)"
)
_RANGE = re.compile(
    rf"(\d{{1,5}}(?:[.,]\d{{1,3}})?)\s{{0,3}}{_UNIT}?\s{{0,3}}(?:-|–|—|to|a|bis|à|至|到|〜|~)\s{{0,3}}(\d{{1,5}}(?:[.,]\d{{1,3}})?)\s{{0,3}}{_UNIT}(?!\w)",
    re.IGNORECASE,
)
_SINGLE = re.compile(rf"(\d{{1,5}}(?:[.,]\d{{1,3}})?)\s{{0,3}}{_UNIT}(?![A-Za-z])", re.IGNORECASE)
_CLOCK = re.compile(r"(?<![\d:])(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?![\d:])")


class Times:
    """See the module's first line."""

    name = "times"
    help = "times inside the clip, causes before effects"
    version = content_version(Path(__file__))
    cost = 4
    tasks: tuple[str, ...] = ()

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        if evidence.clip.kind != "video":
            return None
        last_s = evidence.duration_s + SLACK_S
        for turn in draft.turns:
            late = [t for t in times_in(turn.answer) + times_in(turn.question) if t > last_s]
            if late:
                detail = f"the clip ends at {evidence.duration_s:.1f} s, got {late[0]:.1f} s"
                return Refusal(self.name, "time_outside", detail, late[0])
            crooked = next((pair for pair in ranges_in(turn.answer) if pair[0] > pair[1]), None)
            if crooked:
                detail = f"a stretch ends before it begins: {crooked[0]}-{crooked[1]} s"
                return Refusal(self.name, "crooked_stretch", detail, crooked[0])
        return self._check_order(draft)

    def _check_order(self, draft: Draft) -> Refusal | None:
        details = draft.details
        if draft.task == "causal_inference" and details["cause_s"] > details["effect_s"]:
            detail = f"the cause ({details['cause_s']} s) comes after the effect ({details['effect_s']} s)"
            return Refusal(self.name, "effect_before_cause", detail, details["cause_s"] - details["effect_s"])
        if draft.task in ("summary_with_chapters", "multi_shot_caption"):
            stretches = ranges_in(draft.turns[0].answer)
            for (_, end_s), (start_s, _) in pairwise(stretches):
                if start_s < end_s - SLACK_S:
                    detail = f"stretches overlap: one ends at {end_s} s, the next begins at {start_s} s"
                    return Refusal(self.name, "overlap", detail, end_s - start_s)
        return None


def ranges_in(text: str) -> list[tuple[float, float]]:
    """Find the stretches that a text names, in seconds."""
    return [(_number(m[1]), _number(m[2])) for m in _RANGE.finditer(text)]


def times_in(text: str) -> list[float]:
    """Find the times that a text names, in seconds: "3.2 s", "1:05", "2.5 秒"."""
    found = [t for pair in ranges_in(text) for t in pair]
    found += [_number(m[1]) for m in _SINGLE.finditer(text)]
    for m in _CLOCK.finditer(text):
        parts = [int(p) for p in m.groups() if p is not None]
        found.append(float(sum(part * 60**k for k, part in enumerate(reversed(parts)))))
    return found


def _number(text: str) -> float:
    return float(text.replace(",", "."))


CHECK = Times()
