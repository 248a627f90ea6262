"""What a check is: a pure rule that holds a draft against the evidence, and refuses it with a number.

Checks live in `valley/instruct/checks`, one file each, versioned by a hash of the file's contents. They run
in the order of their cost, and the first refusal ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from valley.instruct.evidence import Evidence
from valley.instruct.task import Draft
from valley.registry import Registry

CHECKS = Registry("valley.instruct.checks", attribute="CHECK", kind="check")


@dataclass(frozen=True)
class Refusal:
    """Why a draft is refused.

    Attributes:
        check: the check's name.
        reason: a short word for counting, such as "wrong_language" or "ungrounded_color".
        detail: what was wanted and what came, in words that can be sent back to the writer.
        number: the number behind it.
    """

    check: str
    reason: str
    detail: str
    number: float | int


@runtime_checkable
class Check(Protocol):
    """One rule; one module in `valley/instruct/checks` each, called as the check.

    Attributes:
        name: the module's name.
        help: one line for people.
        version: twelve hex digits of the SHA-256 of the module's file.
        cost: its place; the cheap ones come first.
        tasks: the tasks it is for; empty: all.
    """

    name: str
    help: str
    version: str
    cost: int
    tasks: tuple[str, ...]

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """Refuse the draft, or give None."""
        ...
