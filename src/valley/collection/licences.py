"""Licences as SPDX ids: told from a field, a line or the text of a LICENSE file.

Words that stand for no known id become one of SPDX's own making, `LicenseRef-...`, so that nothing is lost.
"""

from __future__ import annotations

import re
from pathlib import Path

from valley.manifest import UNKNOWN_LICENCE

_MOST_CHARS = 100_000  # the longest known licence has 40,000
_MOST_NAME_CHARS = 60

_IDENTIFIER = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+-]+)")
_ADDRESS = re.compile(r"creativecommons\.org/licenses/(by(?:-nc)?(?:-sa|-nd)?)/(\d\.\d)")
_SHORT = re.compile(
    r"^\(?\s*CC[ -]?(BY(?:-NC)?(?:-SA|-ND)?)[ -]v?(\d\.\d)(?: ?(?:International|Unported|DEED))?\s*\)?$", re.I
)
_LONG = re.compile(
    r"Attribution([ -]NonCommercial)?(?:[ -](ShareAlike|NoDerivatives|NoDerivs))?,? (\d\.\d)"
    r" (?:International|Unported|Generic)",
    re.I,
)
_ZERO = re.compile(
    r"creativecommons\.org/publicdomain/zero/1\.0|^CC0(?:[ -]1\.0)?(?: Universal)?$|CC0 1\.0 Universal", re.I
)
_MARK = re.compile(r"creativecommons\.org/publicdomain/mark/1\.0", re.I)
_OTHERS = (
    (re.compile(r"Apache License,?\s+Version 2\.0|^apache[- ]?2(?:\.0)?$", re.I), "Apache-2.0"),
    (re.compile(r"^\s*(?:The )?MIT License|^MIT$", re.I), "MIT"),
    (re.compile(r"^PDDL(?:-1\.0)?$|Public Domain Dedication and License", re.I), "PDDL-1.0"),
    (re.compile(r"^The Unlicense$|This is free and unencumbered software", re.I), "Unlicense"),
)
_FILE_NAMES = tuple(f"{name}{suffix}" for name in ("LICENSE", "LICENCE") for suffix in ("", ".txt", ".md"))
_NOBODY_SAID = frozenset({"", "unknown", "none", "n/a", "na", "?", "-", "null"})


def spdx_of(text: str) -> str | None:
    """Tell the SPDX id that a licence's name, address or text stands for; None where it is not known."""
    text = text[:_MOST_CHARS].strip()
    if found := _IDENTIFIER.search(text):
        return found[1]
    if found := _ADDRESS.search(text) or _SHORT.match(text):
        return f"CC-{found[1].upper()}-{found[2]}"
    if found := _LONG.search(text):
        terms = ["BY", *(["NC"] if found[1] else []), *_ending(found[2])]
        return f"CC-{'-'.join(terms)}-{found[3]}"
    if _ZERO.search(text):
        return "CC0-1.0"
    if _MARK.search(text):
        return "LicenseRef-public-domain-mark-1.0"
    return next((name for pattern, name in _OTHERS if pattern.search(text)), None)


def _ending(word: str | None) -> list[str]:
    if not word:
        return []
    return ["SA"] if word.lower() == "sharealike" else ["ND"]


def licence_id(field: str) -> str:
    """Make an SPDX id of what a licence field says; "unknown" where it says nothing.

    Example:
        ``licence_id("CC BY 4.0") == "CC-BY-4.0"``, ``licence_id("ask Ann") == "LicenseRef-ask-Ann"``
    """
    field = field.strip()
    if field.lower() in _NOBODY_SAID:
        return UNKNOWN_LICENCE
    known = spdx_of(field)
    if known is not None:
        return known
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9.+]*(?:-[A-Za-z0-9.+]+)+", field):  # an id as they all look
        return field
    name = re.sub(r"[^A-Za-z0-9.]+", "-", field).strip("-")[:_MOST_NAME_CHARS]
    return f"LicenseRef-{name}" if name else UNKNOWN_LICENCE


class FolderLicences:
    """Licences that LICENSE files state, each for its folder and those below."""

    def __init__(self, top: Path) -> None:
        """Say above which folder nothing is looked for."""
        self._top = top
        self._known: dict[Path, tuple[str, Path] | None] = {}

    def of(self, folder: Path) -> tuple[str, Path] | None:
        """Give the nearest file's SPDX id, "unknown" where its text is not known, and the file."""
        if folder not in self._known:
            stated = _stated_in(folder)
            if stated is None and folder != self._top and folder.is_relative_to(self._top):
                stated = self.of(folder.parent)
            self._known[folder] = stated
        return self._known[folder]


def _stated_in(folder: Path) -> tuple[str, Path] | None:
    file = next((folder / name for name in _FILE_NAMES if (folder / name).is_file()), None)
    if file is None:
        return None
    with file.open("rb") as opened:
        text = opened.read(_MOST_CHARS).decode("utf-8", "replace")
    return spdx_of(text) or UNKNOWN_LICENCE, file
