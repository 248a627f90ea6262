"""Questions of one's own, from a JSONL or CSV file; paths of media begin at the file's folder.

A row looks like this; `choices`, `language`, `id`, `task`, `start` and `end` may be absent::

    {"video": "a.mp4", "question": "What colour is it?", "answer": "red", "choices": ["red", "blue"]}

Where there are choices, the letter or the words of the right one count. Other answers are compared word by
word (yes and no by their meaning), or read by a judge.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valley.conversation import Conversation, Image, Video, is_language_tag, is_seconds, user
from valley.errors import ConfigError
from valley.evaluation.benchmark import DataSource, Item, JudgeRequest, Metric, Selection
from valley.evaluation.choosing import MAX_CHOICES, choice_of, letters
from valley.evaluation.honesty import has_language_id
from valley.evaluation.judging import open_answer
from valley.evaluation.yes_no import verdict_of
from valley.language_id import UNKNOWN_LANGUAGE, most_likely, normalised, units

SUFFIXES = (".jsonl", ".csv")
_FIELDS = {"video", "image", "question", "answer", "choices", "language", "id", "task", "start", "end"}
_BETWEEN_CHOICES = "|"


@dataclass(frozen=True)
class _Row:
    """One row, checked for its form alone."""

    value: Mapping[str, Any]
    where: str

    def fail(self, reason: str) -> ConfigError:
        return ConfigError(f"{self.where}: {reason}")

    def text(self, name: str, default: str | None = None) -> str:
        value = self.value.get(name, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise self.fail(f"want a text {name!r}, got {value!r}")
        return value.strip()

    def seconds(self, name: str) -> float | None:
        value = self.value.get(name)
        if isinstance(value, str):
            try:
                value = float(value) if value.strip() else None
            except ValueError:
                raise self.fail(f"want seconds in {name!r}, got {value!r}") from None
        if not is_seconds(value):
            raise self.fail(f"want seconds in {name!r}, got {value!r}")
        return None if value is None else float(value)

    def choices(self) -> tuple[str, ...]:
        value = self.value.get("choices") or []
        if isinstance(value, str):
            value = value.split(_BETWEEN_CHOICES)
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            raise self.fail(f"want a list of texts in 'choices', got {value!r}")
        if len(value) == 1 or len(value) > MAX_CHOICES or len(set(value)) < len(value):
            raise self.fail(f"want 2 to {MAX_CHOICES} choices that differ, got {value!r}")
        return tuple(v.strip() for v in value)


class OwnQuestions:
    """A file of questions as a benchmark; see the module's first lines."""

    levels: tuple[str, ...] = ("all",)
    metrics: tuple[Metric, ...] = open_answer.METRICS
    source: DataSource | None = None

    def __init__(self, file: Path, *, is_judged: bool = False) -> None:
        """Take the file, and whether a judge reads the answers that have no choices.

        Raises:
            ConfigError: there is no such file, or a row is of another form.
        """
        self.file = file
        self._is_judged = is_judged
        self._items = list(_items(file, is_judged=is_judged))
        self.needs_judge = any(item.rule == "judged" for item in self._items)

    def items(self, folder: Path, selection: Selection) -> list[Item]:
        """List the questions, those on one clip side by side."""
        del folder
        if selection.level not in (None, "all"):
            raise ConfigError(f"{self.file}: has no levels, got {selection.level!r}")
        by_clip: dict[str, list[Item]] = {}
        for item in self._items:
            by_clip.setdefault(item.clip, []).append(item)
        return [item for group in by_clip.values() for item in group]

    def score(self, item: Item, answer: str) -> Mapping[str, float]:
        """Score by rule what no judge reads; see the module's first lines."""
        match item.rule:
            case "choice":
                return {"accuracy": float(choice_of(answer, item.choices) == item.reference)}
            case "verdict":
                wanted = verdict_of(item.reference, item.language)
                return {"accuracy": float(verdict_of(answer, item.language) == wanted)}
            case "exact":
                return {"accuracy": float(_said(answer) == _said(item.reference))}
        return {}

    def has_refused(self, item: Item, answer: str) -> bool:
        """Tell nothing: there is no wording that all models refuse with."""
        del item, answer
        return False

    def judge_requests(self, answered: Sequence[tuple[Item, str]]) -> list[JudgeRequest]:
        """Make a question to the judge of each answer that no rule scores."""
        return [open_answer.request_about(item, said) for item, said in answered if item.rule == "judged"]

    def read_verdict(self, request: JudgeRequest, reply: Mapping[str, Any]) -> Mapping[str, float]:
        """Read a judge's reply; see `JudgedBenchmark.read_verdict`."""
        return open_answer.read_verdict(request, reply)


def _said(answer: str) -> list[str]:
    return units(normalised(answer))


def _items(file: Path, *, is_judged: bool) -> Iterator[Item]:
    seen: set[str] = set()
    for number, row in enumerate(_rows(file), 1):
        item = _item(row, file.parent, str(number), is_judged=is_judged)
        if item.id in seen:
            raise row.fail(f"the id {item.id!r} is there twice; ids have to differ")
        seen.add(item.id)
        yield item
    if not seen:
        raise ConfigError(f"{file}: holds no questions")


def _item(row: _Row, folder: Path, number: str, *, is_judged: bool) -> Item:
    unknown = set(row.value) - _FIELDS
    if unknown:
        raise row.fail(f"unknown fields {sorted(unknown)}; want some of {sorted(_FIELDS)}")
    medium = _medium(row, folder)
    question, answer, choices = row.text("question"), row.text("answer"), row.choices()
    language = row.text("language", "") or _guess(question)
    if not is_language_tag(language):
        raise row.fail(f"want a BCP-47 tag in 'language', got {language!r}")
    return Item(
        id=row.text("id", "") or number,
        variant="normal",
        task=row.text("task", "") or ("choice" if choices else "open"),
        language=language,
        tags=(),
        conversation=Conversation((user(medium, _with_choices(question, choices)),), language),
        reference=_right_letter(row, answer, choices) if choices else answer,
        rule=_rule(answer, language, choices, is_judged=is_judged),
        clip=row.text("image" if isinstance(medium, Image) else "video"),
        choices=choices,
    )


def _medium(row: _Row, folder: Path) -> Image | Video:
    given = [name for name in ("video", "image") if row.value.get(name)]
    if len(given) != 1:
        raise row.fail("want either 'video' or 'image', the path of a file")
    path = folder / row.text(given[0])
    start_s, end_s = row.seconds("start"), row.seconds("end")
    if given == ["video"]:
        return Video(path, start_s, end_s)
    if start_s is not None or end_s is not None:
        raise row.fail("a picture has no 'start' and 'end'")
    return Image(path)


def _rule(answer: str, language: str, choices: tuple[str, ...], *, is_judged: bool) -> str:
    if choices:
        return "choice"
    if is_judged:
        return "judged"
    is_one_word = len(normalised(answer).split()) == 1
    return "verdict" if is_one_word and verdict_of(answer, language) is not None else "exact"


def _with_choices(question: str, choices: tuple[str, ...]) -> str:
    lettered = zip(letters(len(choices)), choices, strict=True)
    return "\n".join([question, *(f"({letter}) {choice}" for letter, choice in lettered)])


def _right_letter(row: _Row, answer: str, choices: tuple[str, ...]) -> str:
    if answer in choices:
        return letters(len(choices))[choices.index(answer)]
    if answer.upper() in letters(len(choices)):
        return answer.upper()
    raise row.fail(f"want 'answer' to be one of the choices or its letter, got {answer!r}")


def _guess(question: str) -> str:
    return most_likely(normalised(question)).language if has_language_id() else UNKNOWN_LANGUAGE


def _rows(file: Path) -> Iterator[_Row]:
    if not file.is_file():
        raise ConfigError(f"{file}: there is no such file of questions")
    if file.suffix.lower() == ".csv":
        yield from _csv_rows(file)
        return
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        where = f"{file}:{number}"
        if line.strip():
            yield _Row(_object(line, where), where)


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: is no JSON; write one object on one line") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: want an object, got {type(value).__name__}")
    return value


def _csv_rows(file: Path) -> Iterator[_Row]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            for number, row in enumerate(csv.DictReader(opened), 1):
                yield _Row({k: v for k, v in row.items() if v not in (None, "")}, f"{file}, row {number}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is no table ({error})") from error
