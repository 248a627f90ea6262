"""What `valley eval` does once its words are read: opens engine and judge, runs, prints."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valley.cli import text
from valley.cli.opening import DEFAULT_MODEL, api_key, open_model
from valley.errors import ConfigError

if TYPE_CHECKING:
    from valley.evaluation.judge import Judge
    from valley.evaluation.planning import TaskPlan
    from valley.evaluation.records import RunRecord
    from valley.evaluation.tasks import Settings, Task

REAL_CLIPS = Path("../shared/clips")
"""Where real clips lie beside a checkout."""

INCOMPLETE = 2
"""Exit code: done, but not every question was answered, or not every verdict read."""


@dataclass(frozen=True)
class Asked:
    """The words of the command; `valley eval run --help` explains each."""

    benchmarks: tuple[str, ...]
    model: str | None
    base_url: str | None
    judge: str | None
    judge_cache: Path | None
    out: Path | None
    data: Path | None
    level: str | None
    limit: int | None
    num_clips: int
    seed: int
    controls: bool
    control_limit: int | None
    real_clips: Path | None
    batch_size: int | None
    processes: int
    num_frames: int | None
    fps: float | None
    max_new_tokens: int | None
    plot: Path | None
    dtype: str | None
    device: str | None
    as_json: bool


def run(asked: Asked) -> int:
    """Run, print the scores, and give the exit code."""
    from valley.evaluation.report import check_can_draw
    from valley.evaluation.run import evaluate
    from valley.evaluation.tasks import check_tasks

    if asked.plot is not None:
        check_can_draw(asked.plot)  # before minutes are spent on answers
        asked.plot.parent.mkdir(parents=True, exist_ok=True)
    tasks, settings = _tasks(asked), _settings(asked)
    check_tasks(tasks, has_judge=asked.judge is not None)
    with _folder(asked) as out, _judge(asked, tasks, out) as judge:
        backend = open_model(asked.model, asked.base_url, asked.dtype, asked.device)
        try:
            done = evaluate(tasks, backend, out, settings, judge=judge, on_progress=_progress())
            name = backend.capabilities.model
        finally:
            backend.close()
        _say(asked, tasks, done, name)
    counts = [scores["counts"] for scores in done.scores["benchmarks"].values()]
    return INCOMPLETE if any(c["errors"] or c["unparsable"] for c in counts) else 0


def plan(asked: Asked) -> int:
    """Print what a run would cost; the exit code is 2 where media are missing."""
    from valley.evaluation.planning import plan_task, token_counter
    from valley.evaluation.tasks import check_tasks

    tasks, settings = _tasks(asked), _settings(asked)
    check_tasks(tasks, has_judge=True)
    counter = None if asked.base_url is not None else token_counter(asked.model or DEFAULT_MODEL)
    with _folder(asked) as out:
        plans = [plan_task(task, out, settings, counter) for task in tasks]
    if asked.as_json:
        text.print_json({"benchmarks": [p.to_dict() for p in plans]})
    else:
        print("\n\n".join(_plan_text(p) for p in plans))
    return INCOMPLETE if any(p.missing or p.unreadable for p in plans) else 0


def _plan_text(plan: TaskPlan) -> str:
    total = sum(plan.questions.values())
    tokens = "not known beforehand" if plan.prompt_tokens is None else f"{plan.prompt_tokens:,}"
    rows: list[tuple[str, object]] = [
        ("questions", total),
        *((f"  {name}", count) for name, count in plan.questions.items()),
        ("answered already", plan.answered),
        ("calls to the model", total - plan.answered),
        ("prompt tokens", tokens),
        ("answer tokens, at most", f"{plan.most_answer_tokens:,}"),
        ("calls to the judge", plan.judge_calls),
        ("characters to the judge", f"{plan.judge_characters:,}"),
        ("missing media", len(plan.missing)),
    ]
    wrong = [f"missing: {path}" for path in plan.missing] + [f"unreadable: {why}" for why in plan.unreadable]
    return "\n".join([plan.name, text.table(rows), *wrong])


def _tasks(asked: Asked) -> list[Task]:
    from valley.evaluation.benchmark import BENCHMARKS, Selection
    from valley.evaluation.own_questions import SUFFIXES, OwnQuestions
    from valley.evaluation.tasks import Task

    real_clips = asked.real_clips or (REAL_CLIPS if REAL_CLIPS.is_dir() else None)
    found = []
    for word in asked.benchmarks:
        own = Path(word).suffix.lower() in SUFFIXES
        name, _, level = (word, "", "") if own else word.partition(":")
        benchmark = (
            OwnQuestions(Path(word), is_judged=asked.judge is not None) if own else BENCHMARKS.get(name)
        )
        selection = Selection(
            asked.num_clips,
            asked.seed,
            level or (None if own else asked.level),
            asked.controls,
            real_clips,
            asked.data,
            asked.limit,
        )
        found.append(Task(Path(word).name if own else word, benchmark, selection))
    return found


def _settings(asked: Asked) -> Settings:
    from valley.evaluation.tasks import CONTROL_LIMIT, MAX_ANSWER_TOKENS, Settings
    from valley.inference.backend import GenerationParams
    from valley.inference.options import sampling_from

    opener = functools.partial(open_model, asked.model, asked.base_url, asked.dtype, asked.device)
    params = GenerationParams(
        max_new_tokens=asked.max_new_tokens or MAX_ANSWER_TOKENS,
        sampling=sampling_from(num_frames=asked.num_frames, fps=asked.fps),
    )
    return Settings(params, asked.batch_size, asked.processes, opener, asked.control_limit or CONTROL_LIMIT)


@contextmanager
def _folder(asked: Asked) -> Iterator[Path]:
    temporary = tempfile.TemporaryDirectory(prefix="valley-eval-") if asked.out is None else None
    with temporary or nullcontext() as folder:
        yield asked.out or Path(str(folder))


@contextmanager
def _judge(asked: Asked, tasks: Sequence[Task], out: Path) -> Iterator[Judge | None]:
    if asked.judge is None or not any(task.benchmark.needs_judge for task in tasks):
        yield None
        return
    from valley.evaluation.judge import Judge
    from valley.inference.opening import open_backend

    address, is_server, model = _judge_place(asked.judge)
    if is_server:
        backend = open_backend(model or None, base_url=address, api_key=_judge_key())
    else:
        backend = open_backend(address, dtype=asked.dtype, device=asked.device)
    judge = Judge(backend, asked.judge_cache or out / "journal")
    try:
        yield judge
    finally:
        judge.close()


def _judge_place(judge: str) -> tuple[str, bool, str]:
    if "://" not in judge:
        return judge, False, ""
    address, _, model = judge.partition("#")
    if not address:
        raise ConfigError(f"--judge {judge}: want URL#MODEL, such as http://localhost:8000/v1#Qwen3-8B")
    return address, True, model


def _judge_key() -> str | None:
    return os.environ.get("VALLEY_JUDGE_API_KEY") or api_key()


def _progress() -> Any:  # noqa: ANN401
    if not sys.stderr.isatty():
        return None

    def say(what: str, done: int, of_all: int) -> None:
        if of_all:
            text.say_progress(of_all, done, what=what)
        else:
            text.say_count(done, what=what)

    return say


def _say(asked: Asked, tasks: Sequence[Task], done: RunRecord, model: str) -> None:
    scores: Mapping[str, Any] = done.scores["benchmarks"]
    if asked.plot is not None:
        _draw(asked.plot, asked, scores, model)
    if not asked.as_json:
        print("\n\n".join(_text(name, one, with_name=len(scores) > 1) for name, one in scores.items()))
        return
    common = {"model": model, "num_clips": asked.num_clips, "seed": asked.seed}
    found = [
        {
            "benchmark": task.name,
            "level": task.selection.level or task.benchmark.levels[0],
            **common,
            **_flat(scores[task.name]),
        }
        for task in tasks
    ]
    text.print_json(found[0] if len(found) == 1 else {"benchmarks": found})


def _flat(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Put the headline's tables first; the other metrics stay below their names."""
    others = {name: table for name, table in scores["metrics"].items() if name != scores["headline"]}
    return {**_headline(scores), **scores, "metrics": others}


def _headline(scores: Mapping[str, Any]) -> Mapping[str, Any]:
    return scores["metrics"].get(scores["headline"], {})


def _text(name: str, scores: Mapping[str, Any], *, with_name: bool) -> str:
    from valley.evaluation.report import as_table

    lines = [f"## {name}\n"] if with_name else []
    for metric, table in scores["metrics"].items():
        lines += ([f"{metric}\n"] if len(scores["metrics"]) > 1 else []) + [as_table(table), ""]
    counts, yes = scores["counts"], scores["yes_bias"]["overall"]
    if yes["answers"]["count"]:
        lines.append(
            f"Says yes in {yes['answers']['score']} % of {yes['answers']['count']} answers that are yes or "
            f"no; right would be {yes['references']['score']} %."
        )
    language = (scores["language_consistency"] or {}).get("overall")
    if language and language["count"]:
        lines.append(
            f"In the question's language: {language['score']} % of {language['count']} answers "
            f"({language['undecided']} too short to tell)."
        )
    wrong = {
        "failed, counted as wrong": counts["errors"],
        "cut by the token limit": counts["cut"],
        "replies of the judge that could not be read, counted as the worst": counts["unparsable"],
    }
    lines += [f"{count} {what}." for what, count in wrong.items() if count]
    return "\n".join(lines).rstrip()


def _draw(path: Path, asked: Asked, scores: Mapping[str, Any], model: str) -> None:
    from valley.evaluation.report import draw_report

    if len(scores) > 1:
        raise ConfigError("--plot draws one benchmark; give one, or `valley report` for several")
    name, one = next(iter(scores.items()))
    draw_report(_headline(one), path, title=f"{model} on {name}, {one['counts']['questions']} questions")
    del asked
