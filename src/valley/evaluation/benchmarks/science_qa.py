"""ScienceQA, its questions about a picture: school science with choices; by rule.

`problems.json` beside `pid_splits.json` ({"train": ["1", ...], "test": ["4", ...]}), as its authors publish
them; the picture of problem 4 is images/test/4/image.png::

    {"4": {"question": "Which of these states is farthest north?", "choices": ["West Virginia", "Louisiana"],
           "answer": 0, "hint": "", "image": "image.png", "task": "closed choice", "grade": "grade2",
           "subject": "social science", "topic": "geography", "category": "Geography", "skill": "...",
           "lecture": "...", "solution": "...", "split": "test"}}

The words are those of models/base_prompt.py (form QCM-A) in https://github.com/lupantech/ScienceQA, with the
picture itself in the place of its caption. The level `few_shot` shows two problems of the training split with
their pictures and answers first, the same ones for every question, drawn by the seed: as many as the authors.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from valley.conversation import Image, Message, assistant, user
from valley.errors import ConfigError
from valley.evaluation.annotations import PICTURE_SUFFIXES, DataFolder, Row
from valley.evaluation.benchmark import Benchmark, DataFile, DataSource, Item, Selection
from valley.evaluation.benchmarks._choice import ChoiceBenchmark, choice_item, lettered
from valley.evaluation.choosing import letters

NUM_SHOTS = 2
HIGHEST_EARLY_GRADE = 6  # tools/evaluate_acc.py groups grades 1 to 6 and 7 to 12


def _read(data: DataFolder, selection: Selection, level: str) -> Iterator[Item]:
    problems, splits = data.table("problems.json"), data.table("pid_splits.json")
    shots = _shots(data, problems, splits, selection.seed) if level == "few_shot" else ()
    for name in _pictured(data, problems, splits, "test"):
        row = _row(data, problems, name)
        choices = row.texts("choices")
        grade = row.text("grade").removeprefix("grade")
        is_early = grade.isdecimal() and int(grade) <= HIGHEST_EARLY_GRADE
        item = choice_item(
            name,
            _picture(data, "test", name, row),
            _prompt(row),
            right=row.place("answer", len(choices)),
            choices=choices,
            task=row.text("subject"),
            clip=name,
            tags=("grades_1_6" if is_early else "grades_7_12", "hint" if row.has("hint") else "no_hint"),
        )
        messages = (*shots, *item.conversation.messages)
        yield replace(item, conversation=replace(item.conversation, messages=messages))


def _row(data: DataFolder, problems: dict[str, object], name: str) -> Row:
    value, where = problems.get(name), f"{data.path / 'problems.json'}, problem {name}"
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: want an object; pid_splits.json names it: get both files of one release")
    return Row(value, where)


def _pictured(
    data: DataFolder, problems: dict[str, object], splits: dict[str, object], split: str
) -> list[str]:
    """List the problems of a split that have a picture."""
    names = Row(splits, str(data.path / "pid_splits.json")).texts(split)
    return [name for name in names if _row(data, problems, name).has("image")]


def _shots(
    data: DataFolder, problems: dict[str, object], splits: dict[str, object], seed: int
) -> tuple[Message, ...]:
    names = _pictured(data, problems, splits, "train")
    if len(names) < NUM_SHOTS:
        raise ConfigError(
            f"{data.path / 'pid_splits.json'}: want {NUM_SHOTS} training problems with a picture to show, "
            f"got {len(names)}"
        )
    turns: list[Message] = []
    for name in random.Random(seed).sample(names, NUM_SHOTS):
        row = _row(data, problems, name)
        num_choices = len(row.texts("choices"))
        right = letters(num_choices)[row.place("answer", num_choices)]
        turns.append(user(_picture(data, "train", name, row), _prompt(row)))
        turns.append(assistant(f"The answer is {right}."))
    return tuple(turns)


def _picture(data: DataFolder, split: str, name: str, row: Row) -> Image:
    return Image(data.medium("images", f"{split}/{name}/{row.text('image')}", suffixes=PICTURE_SUFFIXES))


def _prompt(row: Row) -> str:
    hint = row.text("hint") if row.has("hint") else "N/A"
    options = lettered(row.texts("choices"), "({letter}) {choice}").replace("\n", " ")
    return f"Question: {row.text('question')}\nContext: {hint}\nOptions: {options}\nAnswer:"


BENCHMARK: Benchmark = ChoiceBenchmark(
    "science_qa",
    DataSource(
        title="ScienceQA, questions with a picture",
        homepage="https://scienceqa.github.io",
        citation="P. Lu et al., Learn to Explain: Multimodal Reasoning via Thought Chains for Science "
        "Question Answering, NeurIPS 2022",
        licence="CC-BY-NC-SA-4.0",
        files=(
            DataFile(
                "problems.json",
                "https://github.com/lupantech/ScienceQA/tree/main/data/scienceqa",
                "all problems, those without a picture too (README)",
                21_208,
            ),
            DataFile(
                "pid_splits.json",
                "https://github.com/lupantech/ScienceQA/tree/main/data/scienceqa",
                "which problem is in which split",
            ),
            DataFile(
                "images/test",
                "https://scienceqa.s3.us-west-1.amazonaws.com/images/test.zip",
                "pictures, a folder each, of the test split, unpacked (tools/download.sh)",
            ),
            DataFile(
                "images/train",
                "https://scienceqa.s3.us-west-1.amazonaws.com/images/train.zip",
                "pictures of the training split, for the level few_shot (tools/download.sh)",
                is_optional=True,
            ),
        ),
    ),
    _read,
    levels=("zero_shot", "few_shot"),
)
