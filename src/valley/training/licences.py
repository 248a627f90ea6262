"""Which of several licences allows least: what a checkpoint's card has to say."""

from __future__ import annotations

import re
from collections.abc import Iterable

# From what allows most to what allows least; the first pattern that a licence matches is its rank.
_RANKS = (
    r"cc0|public.?domain|unlicense|0bsd",
    r"^mit|apache|bsd|^isc",
    r"cc-by-[1-4]|cc-by$|odc-by|cdla-permissive",
    r"cc-by-sa|odbl|gpl|mpl|share",
    r"cc-by-nd",
    r"llama|gemma|qwen|community|openrail",
    r"nc|non.?commercial|research",
)


def strictest(licences: Iterable[str | None]) -> str | None:
    """Give the licence that allows least; None where one is not known, because it may allow nothing."""
    found = list(licences)
    if not found or any(licence is None for licence in found):
        return None
    return max((str(licence) for licence in found), key=rank)


def rank(licence: str) -> int:
    """Order licences by how little they allow; one that nothing is known of allows least."""
    name = licence.lower().replace("_", "-").replace(" ", "-")
    restricted = len(_RANKS) - 1
    if re.search(_RANKS[restricted], name):
        return restricted
    return next((n for n, pattern in enumerate(_RANKS) if re.search(pattern, name)), len(_RANKS))
