"""Tables of a page: cells as they are shown, and how numbers are written in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_ROWS = 40
"""Of a table; more of them nobody reads."""


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        caption: said above it.
        head: the names of the columns; the first column names the row.
        rows: the cells as they are shown.
        words: columns that hold words and not numbers, by index.
        marked: rows that need the reader's eye, by index.
        rest: what is said of rows that are left out.
        has_long_cells: whether a few columns are too many for a phone already.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset({0})
    marked: frozenset[int] = frozenset()
    rest: str = ""
    has_long_cells: bool = False

    @property
    def is_wide(self) -> bool:
        """Whether a phone has to show each row as a card of its own."""
        return len(self.head) > 5 or len(self.words) > 1 or self.has_long_cells


def cut_table(
    caption: str,
    head: Sequence[str],
    cells: list[list[str]],
    *,
    words: set[int] | None = None,
    marked: set[int] | None = None,
) -> Table:
    """Make a table of the first rows, and say how many are left out.

    Args:
        caption: said above it.
        head: the names of the columns.
        cells: all rows.
        words: columns that hold words, by index; the first unless it is given.
        marked: rows that need the reader's eye, by index.
    """
    left = len(cells) - MOST_ROWS
    rest = f"and {count(left)} more rows" if left > 0 else ""
    return Table(caption, head, cells[:MOST_ROWS], frozenset(words or {0}), frozenset(marked or ()), rest)


def count(number: int) -> str:
    """Write a count, such as 12,345."""
    return f"{number:,}"


def share(part: int, whole: int) -> str:
    """Write a part of a whole, such as 12.3%; nothing of nothing."""
    return f"{part / whole:.1%}" if whole else ""


def shortened(text: str) -> str:
    """Cut a text that a cell has no room for."""
    return text if len(text) <= 120 else text[:117] + "..."


def spread(least: float | None, middle: float | None, most: float | None) -> str:
    """Write the numbers behind a reason: one where all are the same, none where there are none."""
    if least is None or middle is None or most is None:
        return ""
    numbers = [f"{number:.4g}" for number in (least, middle, most)]
    return numbers[0] if numbers[0] == numbers[-1] else ", ".join(numbers)
