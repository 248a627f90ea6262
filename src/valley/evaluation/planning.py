"""What a run would cost, before anything is asked: questions, tokens, calls to a judge, missing media."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from valley.conversation import Conversation
from valley.errors import MediaError, SamplingError
from valley.evaluation.asking import Question
from valley.evaluation.benchmark import Item, JudgedBenchmark
from valley.evaluation.records import AnswerRecord, journalled
from valley.evaluation.scoring import judge_requests
from valley.evaluation.tasks import Settings, Task, questions_of
from valley.video.sampling import FrameSampling

CountTokens = Callable[[Conversation, FrameSampling | None], int]


@dataclass(frozen=True)
class TaskPlan:
    """What one benchmark would cost.

    Attributes:
        name: the benchmark's.
        questions: by variant.
        answered: of them, how many have an answer in the run's folder already.
        prompt_tokens: of all questions that would be asked; controls count as those they are made of. None
            where the model's processor is not here (a server).
        most_answer_tokens: at most so many would be generated.
        judge_calls: how many, if no reply is known and all can be read.
        judge_characters: of the prompts to the judge, with the right answers in place of the model's.
        missing: media that are not there.
        unreadable: media that are, but cannot be opened, with the reason.
    """

    name: str
    questions: dict[str, int]
    answered: int
    prompt_tokens: int | None
    most_answer_tokens: int
    judge_calls: int
    judge_characters: int
    missing: tuple[str, ...]
    unreadable: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what `valley eval --dry-run --json` prints."""
        return asdict(self)


def plan_task(task: Task, out: Path, settings: Settings, count_tokens: CountTokens | None = None) -> TaskPlan:
    """Plan one benchmark; nothing is asked, and of media no frame is decoded.

    Args:
        task: the benchmark. One that renders its clips does so.
        out: the run's folder.
        settings: of the run.
        count_tokens: counts the tokens of a prompt; None where nobody can before it is sent.

    Raises:
        ConfigError: the benchmark's data are absent.
    """
    questions = questions_of(task, out, settings)
    known = {key for key, record in journalled(out) if not record.get("error")}
    todo = [q for q in questions if q.key not in known]
    media = list(dict.fromkeys(_files(todo)))
    missing = tuple(str(path) for path in media if not path.exists())
    tokens, unreadable = _count(todo, settings, set(missing), count_tokens)
    requests = _judge_texts(task, questions)
    counts: dict[str, int] = {}
    for question in questions:
        counts[question.item.variant] = counts.get(question.item.variant, 0) + 1
    return TaskPlan(
        name=task.name,
        questions=counts,
        answered=len(questions) - len(todo),
        prompt_tokens=tokens,
        most_answer_tokens=len(todo) * settings.params.max_new_tokens,
        judge_calls=len(requests),
        judge_characters=sum(map(len, requests)),
        missing=missing,
        unreadable=unreadable,
    )


def _source(question: Question) -> Item:
    """Give the item whose media are there: a control's are made later, of its original's."""
    return question.item if question.control is None else question.control.original


def _files(questions: Sequence[Question]) -> Iterator[Path]:
    for question in questions:
        for medium in _source(question).conversation.media:
            if not isinstance(medium.source, bytes):
                yield Path(medium.source)


def _count(
    todo: Sequence[Question], settings: Settings, missing: set[str], count_tokens: CountTokens | None
) -> tuple[int | None, tuple[str, ...]]:
    if count_tokens is None:
        return None, ()
    total, unreadable = 0, dict[str, None]()
    for question in todo:
        conversation = _source(question).conversation
        if any(str(m.source) in missing for m in conversation.media if not isinstance(m.source, bytes)):
            continue
        try:
            total += count_tokens(conversation, settings.params.sampling)
        except (MediaError, SamplingError) as error:
            unreadable[str(error)] = None
    return total, tuple(unreadable)


def _judge_texts(task: Task, questions: Sequence[Question]) -> list[str]:
    if not isinstance(task.benchmark, JudgedBenchmark) or not task.benchmark.needs_judge:
        return []
    answered = [
        (q.item, AnswerRecord(q.key, task.name, q.item.id, q.item.variant, answer=q.item.reference))
        for q in questions
    ]
    found = judge_requests(task.benchmark, answered)
    return ["".join(m.text for m in request.conversation.messages) for _, request in found]


def token_counter(model: str) -> CountTokens | None:
    """Count with the processor of a Valley checkpoint; None for other models and those of servers.

    Raises:
        ConfigError: there is no such model.
    """
    from valley.inference.backends._loading import read_parts
    from valley.inference.media import MediaReader, SeenMedium
    from valley.inference.opening import VALLEY_ENGINE, engine_for
    from valley.inference.prompting import build_prompt
    from valley.inference.resolving import resolve

    place = resolve(model)
    if engine_for(place) != VALLEY_ENGINE:
        return None
    _, processor = read_parts(place)
    reader = MediaReader(FrameSampling(**processor.sampling))
    known: dict[Any, SeenMedium] = {}

    def count(conversation: Conversation, sampling: FrameSampling | None) -> int:
        seen = []
        for medium in conversation.media:
            if (medium, sampling) not in known:
                known[medium, sampling] = reader.glance(medium, sampling=sampling)
            seen.append(known[medium, sampling])
        return len(build_prompt(processor, conversation, seen).input_ids)

    return count
