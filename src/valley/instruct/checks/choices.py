"""Choices: four different ones, exactly one of them right, and none that is true of the clip as well."""

from __future__ import annotations

from pathlib import Path

from valley.instruct.check import Refusal
from valley.instruct.checks.turns import bare
from valley.instruct.evidence import Evidence
from valley.instruct.task import Draft
from valley.instruct.versions import content_version


class Choices:
    """See the module's first line."""

    name = "choices"
    help = "exactly one right choice"
    version = content_version(Path(__file__))
    cost = 5
    tasks: tuple[str, ...] = ("action_recognition",)

    def check(self, draft: Draft, evidence: Evidence) -> Refusal | None:
        """See `Check.check`."""
        if not draft.choices:
            return None
        right = draft.right_choice
        if right is None or not 0 <= right < len(draft.choices):
            return Refusal(self.name, "no_right_choice", "want the number of the right choice", -1)
        shown = [bare(choice) for choice in draft.choices]
        if len(set(shown)) < len(shown):
            return Refusal(
                self.name, "same_choices", f"two choices are the same: {draft.choices}", len(set(shown))
            )
        known = bare(" ".join(fact.text for fact in evidence.facts))
        also = [c for n, c in enumerate(draft.choices) if n != right and bare(c) in known]
        if also:
            return Refusal(
                self.name, "several_right", f"a wrong choice is true as well: {also[0]!r}", 1 + len(also)
            )
        return None


CHECK = Choices()
