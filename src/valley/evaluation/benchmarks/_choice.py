"""Questions with choices, scored by rule: the part that all such benchmarks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from valley.conversation import Conversation, Image, Video, user
from valley.errors import ConfigError
from valley.evaluation.annotations import DataFolder, check_level, in_order, open_data
from valley.evaluation.benchmark import DataSource, Item, Metric, Selection
from valley.evaluation.choosing import MAX_CHOICES, choice_of, letters

Read: TypeAlias = Callable[[DataFolder, Selection, str], Iterable[Item]]

LETTER_ONLY = "Answer with the option's letter from the given choices directly."
"""The words of LLaVA-1.5 (arXiv 2310.03744) and lmms-eval, where a benchmark's authors publish no prompt."""


@dataclass(eq=False)
class ChoiceBenchmark:
    """A benchmark whose right answers are letters.

    Attributes:
        name: the module's name.
        source: see `Benchmark`.
        read: yields the questions of a level.
        levels: see `Benchmark`.
        metrics: see `Benchmark`.
        needs_judge: see `Benchmark`.
    """

    name: str
    source: DataSource | None
    read: Read
    levels: tuple[str, ...] = ("all",)
    metrics: tuple[Metric, ...] = (Metric("accuracy"),)
    needs_judge: bool = False

    def items(self, folder: Path, selection: Selection) -> list[Item]:
        """List the questions; see `Benchmark.items`."""
        del folder
        level = check_level(selection.level, self.levels)
        return in_order(self.read(open_data(self.name, selection), selection, level), selection.limit)

    def score(self, item: Item, answer: str) -> Mapping[str, float]:
        """Give 1 where the answer takes the right choice; one that takes none or two is wrong."""
        return {"accuracy": float(choice_of(answer, item.choices) == item.reference)}

    def has_refused(self, item: Item, answer: str) -> bool:
        """Tell nothing: these benchmarks ask for a letter."""
        del item, answer
        return False


def choice_item(
    name: str,
    medium: Image | Video,
    prompt: str,
    *,
    right: int,
    choices: Sequence[str],
    task: str,
    clip: str,
    tags: tuple[str, ...] = (),
) -> Item:
    """Make an item of one turn with a medium, whose right choice is counted from 0.

    Raises:
        ConfigError: there are more choices than letters.
    """
    if len(choices) > MAX_CHOICES:
        raise ConfigError(f"{name}: want at most {MAX_CHOICES} choices, got {len(choices)}")
    return Item(
        id=name,
        variant="normal",
        task=task,
        language="en",
        tags=tags,
        conversation=Conversation((user(medium, prompt),), "en", name),
        reference=letters(len(choices))[right],
        rule="choice",
        clip=clip,
        choices=tuple(choices),
    )


def lettered(choices: Sequence[str], form: str = "{letter}. {choice}") -> str:
    """Write the choices one a line."""
    pairs = zip(letters(len(choices)), choices, strict=True)
    return "\n".join(form.format(letter=letter, choice=choice) for letter, choice in pairs)
