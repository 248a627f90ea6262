"""What a benchmark is: questions with media, and a score for each answer, by rule or by a judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from valley.conversation import Conversation
from valley.registry import Registry

BENCHMARKS = Registry("valley.evaluation.benchmarks", attribute="BENCHMARK", kind="benchmark")


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        id: unique within the benchmark and the same in every run.
        variant: "normal", or a control such as "blind" (black frames) that is reported apart.
        task: what is asked for, such as "direction".
        language: BCP-47 tag.
        tags: further groups the item counts in, such as "unseen_phrasing".
        conversation: ends with the user's turn.
        reference: the right answer; the letter where there are choices.
        rule: how an answer is held against the reference; each benchmark has its own rules.
        time_s: the right time, where a time is asked for.
        clip: names the medium asked about; items of one clip are not independent of each other, so intervals
            are drawn over clips. Empty: the item stands alone.
        references: all right answers, where there are several; the first is `reference`.
        choices: what may be chosen, in the order of the letters A, B, C ...
        details: what else the annotations say that a judge or a rule needs.
    """

    id: str
    variant: str
    task: str
    language: str
    tags: tuple[str, ...]
    conversation: Conversation
    reference: str
    rule: str = "exact"
    time_s: float | None = None
    clip: str = ""
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """Which of a benchmark's questions are asked.

    Attributes:
        num_clips: about how many clips, for benchmarks that render their own.
        seed: which clips.
        level: how hard, one of the benchmark's `levels`; the first of them by default.
        controls: also ask the control questions.
        real_clips: a folder of recorded videos, for benchmarks that ask about those too.
        data: the folder that holds a benchmark's annotations and media, as its `source` says.
        limit: at most so many questions of each variant, the first ones.
    """

    num_clips: int = 100
    seed: int = 0
    level: str | None = None
    controls: bool = True
    real_clips: Path | None = None
    data: Path | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Metric:
    """A number that an answer gets.

    Attributes:
        name: such as "accuracy" or "score".
        low: the worst value.
        high: the best value.
        is_share: whether its mean is a share, which reports give in percent.
    """

    name: str
    low: float | int = 0
    high: float | int = 1
    is_share: bool = True


@dataclass(frozen=True)
class DataFile:
    """A file or folder to download before a benchmark can be run.

    Attributes:
        path: where it goes below the benchmark's folder.
        url: where it is found; a page where a form has to be filled in.
        contains: what is in it, in words.
        num_entries: how many questions, clips or pictures it is expected to hold; None where nobody says.
        instead: other paths, of other published forms, any of which will do.
        is_optional: whether it is wanted for some level or form only.
    """

    path: str
    url: str
    contains: str
    num_entries: int | None = None
    instead: tuple[str, ...] = ()
    is_optional: bool = False


@dataclass(frozen=True)
class DataSource:
    """Where a benchmark comes from, and what its folder has to hold.

    Attributes:
        title: its full name.
        homepage: its project page.
        citation: authors, title, year.
        licence: an SPDX name, or what its authors say in words.
        files: to download, in the layout that `items` reads.
    """

    title: str
    homepage: str
    citation: str
    licence: str
    files: tuple[DataFile, ...] = ()


@runtime_checkable
class Benchmark(Protocol):
    """A set of questions; one file in `valley/evaluation/benchmarks` each.

    Attributes:
        levels: of hardness or parts, the default first.
        metrics: what each answer gets, the headline first.
        source: where its data come from; None where it makes its own.
        needs_judge: whether answers are scored by a model (then it is a `JudgedBenchmark`) and not by rule.
    """

    levels: tuple[str, ...]
    metrics: tuple[Metric, ...]
    source: DataSource | None
    needs_judge: bool

    def items(self, folder: Path, selection: Selection) -> list[Item]:
        """List the questions, those on one clip side by side; media that are made go under `folder`.

        Raises:
            ConfigError: there is no such level, or the annotations are absent or of another format.
        """
        ...

    def score(self, item: Item, answer: str) -> Mapping[str, float]:
        """Give the value of each metric by rule; the reference itself gets the best of each.

        A judged benchmark gives an empty mapping.
        """
        ...

    def has_refused(self, item: Item, answer: str) -> bool:
        """Tell whether an answer says that the model does not know this kind of footage."""
        ...


@dataclass(frozen=True)
class JudgeRequest:
    """One question to a judge.

    Attributes:
        id: unique within the benchmark and variant, the same in every run.
        item_ids: the items it scores together (two where consistency between answers is judged).
        conversation: text alone; ends with the user's turn, which says what the reply has to look like.
        schema: JSON schema of the reply.
        metrics: those that it gives the first item; empty: all of the benchmark. An item may be in several
            requests, each about other metrics.
    """

    id: str
    item_ids: tuple[str, ...]
    conversation: Conversation
    schema: Mapping[str, Any]
    metrics: tuple[str, ...] = ()


@runtime_checkable
class JudgedBenchmark(Benchmark, Protocol):
    """A benchmark whose answers are scored by a model that reads question, right answer and answer."""

    def judge_requests(self, answered: Sequence[tuple[Item, str]]) -> list[JudgeRequest]:
        """Make the questions to the judge, for answered items of one variant."""
        ...

    def read_verdict(self, request: JudgeRequest, reply: Mapping[str, Any]) -> Mapping[str, float]:
        """Turn a reply into the value of each metric that the request is about.

        Raises:
            ConversationError: the reply does not fit; it is counted and shown as unparsable.
        """
        ...
