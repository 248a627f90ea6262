"""What a run leaves behind, read and written: `run.json`, `answers.jsonl`, `judgements.jsonl`, `scores.json`.

docs/evaluate.md describes the files. A line of `answers.jsonl` (shortened) looks like this::

    {"key": "9f…", "benchmark": "synthetic", "id": "normal-core-0-00000-direction", "task": "direction",
     "variant": "normal", "language": "en", "clip": "core-0-00000", "messages": [..], "reference": "Left.",
     "media": [{"path": "media/synthetic/core-0-00000.mp4", "sha256": "1c…", "timestamps_s": [0.0, 0.5], ..}],
     "prompt_ids": [1, 35, [402, 128], 17], "prompt_sha256": "77…", "generation": {"temperature": 0.0, ..},
     "answer": "Left.", "finish": "stop", "usage": {"prompt": 141, ..}, "scores": {"accuracy": 1.0}}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from valley.errors import ConfigError
from valley.journal import Journal
from valley.whole_files import write_whole

FORMAT = 1
RUN_NAME = "run.json"
ANSWERS_NAME = "answers.jsonl"
JUDGEMENTS_NAME = "judgements.jsonl"
SCORES_NAME = "scores.json"
JOURNAL_FOLDER = "journal"

SHORTEST_RUN = 4
"""As many equal token ids side by side are written as one pair; fewer take less room as they are."""


@dataclass(frozen=True)
class MediumRecord:
    """One medium of a question: which bytes, and which of its frames the model was shown.

    Attributes:
        path: relative to the run's folder where it lies in it or was given relative.
        kind: "image" or "video".
        sha256: of its content; None where there is none to read.
        duration_s: of the clip.
        timestamps_s: when the frames that the model was shown are on display.
        missing_s: wanted times whose frames could not be decoded.
    """

    path: str
    kind: str
    sha256: str | None = None
    duration_s: float | int = 0.0
    timestamps_s: tuple[float | int, ...] = ()
    missing_s: tuple[float | int, ...] = ()


@dataclass(frozen=True)
class AnswerRecord:
    """A question with its answer and all that decided it.

    Attributes:
        key: hash of the question; what is resumed by.
        benchmark: its name, as it was asked for.
        id: of the question, unique within benchmark and variant.
        variant: "normal", or the control.
        task: what is asked for.
        language: BCP-47 tag of the question.
        tags: further groups it counts in.
        clip: names the medium; intervals are drawn over clips.
        messages: the conversation, as `valley.conversation.to_record` writes it.
        reference: the right answer.
        references: all right answers, where there are several.
        choices: what could be chosen.
        media: in the order of the conversation; empty where the question failed before they were read.
        prompt_ids: token ids; `[id, n]` stands for n of them side by side. None where the engine does not
            say.
        prompt_sha256: hash of all token ids.
        generation: how the answer was made.
        answer: the words; empty where the question failed.
        finish: "stop" or "length"; empty where it failed.
        usage: tokens of the prompt, of them visual, and of the answer.
        error: why there is no answer; counts as wrong.
        refused: whether the model said that it does not know such footage.
        scores: value of each metric. Judged ones carry the judge's name; a request to the judge about two
            answers counts at the first of them. Of a failed question: the worst.
    """

    key: str
    benchmark: str
    id: str
    variant: str = "normal"
    task: str = ""
    language: str = "und"
    tags: tuple[str, ...] = ()
    clip: str = ""
    messages: tuple[Mapping[str, Any], ...] = ()
    reference: str = ""
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    media: tuple[MediumRecord, ...] = ()
    prompt_ids: tuple[int | tuple[int, ...], ...] | None = None
    prompt_sha256: str | None = None
    generation: Mapping[str, Any] = field(default_factory=dict)
    answer: str = ""
    finish: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    refused: bool = False
    scores: Mapping[str, float | int] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """The words of the last turn."""
        parts = self.messages[-1]["content"] if self.messages else []
        return "".join(p["text"] for p in parts if p["type"] == "text")

    @property
    def place(self) -> tuple[str, str, str]:
        """Benchmark, variant and id: what two runs are matched by."""
        return self.benchmark, self.variant, self.id


@dataclass(frozen=True)
class JudgementRecord:
    """What a judge was asked about answers, and what it replied.

    Attributes:
        benchmark: of the answers.
        variant: of the answers.
        request: id of the request.
        items: ids of the answers that it is about.
        judge: name and revision, as they stand in the metrics' names.
        prompt_sha256: hash of the conversation and the schema.
        replies: raw, one for each time it was asked.
        values: of each metric; None where no reply could be read.
        reason: why none could.
    """

    benchmark: str
    variant: str
    request: str
    items: tuple[str, ...]
    judge: str
    prompt_sha256: str
    replies: tuple[str, ...]
    values: Mapping[str, float | int] | None = None
    reason: str = ""

    @property
    def is_unparsable(self) -> bool:
        """Whether no reply could be read; the answers then get the worst value."""
        return self.values is None


@dataclass(frozen=True)
class RunRecord:
    """A run's folder, read.

    Attributes:
        folder: where it lies; paths of records begin here.
        about: what `run.json` holds.
        answers: in the order of the benchmarks and their questions; of a run that did not end, those it has.
        judgements: in the order of the answers.
        scores: what `scores.json` holds; empty where the run did not end.
    """

    folder: Path
    about: Mapping[str, Any]
    answers: tuple[AnswerRecord, ...]
    judgements: tuple[JudgementRecord, ...] = ()
    scores: Mapping[str, Any] = field(default_factory=dict)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Names, in the order in which they were asked."""
        return tuple(b["name"] for b in self.about.get("benchmarks", ()))

    def answers_of(self, benchmark: str) -> tuple[AnswerRecord, ...]:
        """Give the answers to one benchmark."""
        return tuple(a for a in self.answers if a.benchmark == benchmark)

    def file(self, medium: MediumRecord) -> Path:
        """Say where a medium lies."""
        return self.folder / medium.path


_Record = TypeVar("_Record", AnswerRecord, JudgementRecord, MediumRecord)


def open_run(folder: Path) -> RunRecord:
    """Read a run's folder, also one whose run was killed: then the answers it has come from its journal.

    Raises:
        ConfigError: it holds no run, or one of a newer format.
    """
    place = folder / RUN_NAME
    if not place.is_file():
        raise ConfigError(f"{folder}: want the folder of a run, found no {RUN_NAME} in it")
    about = _json(place)
    if about.get("format", 0) > FORMAT:
        raise ConfigError(
            f"{place}: is of format {about['format']}, this Valley reads up to {FORMAT}: update it"
        )
    if (folder / ANSWERS_NAME).is_file():
        answers = [answer_from(line) for line in read_lines(folder / ANSWERS_NAME)]
    else:
        answers = [answer_from(record) for _, record in journalled(folder)]
    judgements = [_read(JudgementRecord, line) for line in read_lines(folder / JUDGEMENTS_NAME)]
    scores = _json(folder / SCORES_NAME) if (folder / SCORES_NAME).is_file() else {}
    return RunRecord(folder, about, tuple(answers), tuple(judgements), scores)


def journalled(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the keys and records that the run in a folder has written down so far; failed ones too."""
    with open_journal(folder) as journal:
        for key, record in journal.items():
            yield key, record.get("fault", record)


def open_journal(folder: Path) -> Journal:
    """Open what answers are written down in as they come."""
    return Journal(folder / JOURNAL_FOLDER, "answers", FORMAT)


def to_json(record: AnswerRecord | JudgementRecord) -> dict[str, Any]:
    """Give what a line holds."""
    return asdict(record)


def answer_from(value: Mapping[str, Any]) -> AnswerRecord:
    """Read a line of `answers.jsonl`."""
    media = tuple(_read(MediumRecord, m) for m in value.get("media", ()))
    ids = value.get("prompt_ids")
    runs = None if ids is None else tuple(tuple(i) if isinstance(i, list) else i for i in ids)
    return _read(AnswerRecord, {**value, "media": media, "prompt_ids": runs})


def _read(kind: type[_Record], value: Mapping[str, Any]) -> _Record:
    """Make a record; fields that a later version of the same format added are passed over."""
    known = {f.name for f in fields(kind)}
    given: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in known
    }
    return kind(**given)


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def write_lines(path: Path, records: Iterable[AnswerRecord | JudgementRecord]) -> None:
    """Write records whole, one a line."""
    write_whole(path, "".join(json.dumps(to_json(r), ensure_ascii=False) + "\n" for r in records))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a file; none where there is no file, and a last line that was cut is left out.

    Raises:
        ConfigError: another line is no JSON object.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    found = []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line) if line.strip() else None
        except ValueError as error:
            if number == len(lines):
                break
            raise ConfigError(f"{path}:{number}: is no JSON: restore the file, or run again") from error
        if value is not None:
            found.append(value)
    return found


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one object whole."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: is no JSON: restore the file, or run again") from error


def packed(ids: Sequence[int]) -> tuple[int | tuple[int, ...], ...]:
    """Write equal ids side by side, such as a clip's placeholders, as `(id, how many)`."""
    found: list[int | tuple[int, ...]] = []
    start = 0
    for end in range(1, len(ids) + 1):
        if end == len(ids) or ids[end] != ids[start]:
            many = end - start
            found += [(ids[start], many)] if many >= SHORTEST_RUN else [ids[start]] * many
            start = end
    return tuple(found)


def unpacked(runs: Sequence[int | Sequence[int]]) -> list[int]:
    """Give every id of what `packed` wrote."""
    return [i for run in runs for i in ([run] if isinstance(run, int) else [run[0]] * run[1])]
