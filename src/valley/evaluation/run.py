"""Benchmarks and an engine: questions are listed, asked, scored, and left behind as a record.

An answer is in the run's journal before the next question is begun; a run that was killed goes on. The files
of docs/evaluate.md are written whole at its end, the same whatever the order in which answers came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from valley.errors import BackendError, ConfigError
from valley.evaluation.asking import Question
from valley.evaluation.describing import about_run, about_task
from valley.evaluation.judge import Judge
from valley.evaluation.records import (
    ANSWERS_NAME,
    JUDGEMENTS_NAME,
    RUN_NAME,
    SCORES_NAME,
    AnswerRecord,
    JudgementRecord,
    RunRecord,
    answer_from,
    journalled,
    open_journal,
    open_run,
    write_json,
    write_lines,
)
from valley.evaluation.scoring import score, scores_file, tables_of
from valley.evaluation.tasks import Settings, Task, check_tasks, questions_of
from valley.evaluation.workers import Job, Workers, ask_all, shares
from valley.inference.backend import Backend
from valley.locking import locked

OnProgress = Callable[[str, int, int], None]
"""Called with what is done ("answers" or "judgements"), how many, and of how many."""


def evaluate(
    tasks: Sequence[Task],
    backend: Backend,
    out: Path,
    settings: Settings | None = None,
    *,
    judge: Judge | None = None,
    on_progress: OnProgress | None = None,
) -> RunRecord:
    """Ask every question, score the answers, and leave the record in a folder.

    Args:
        tasks: what to ask.
        backend: who answers.
        out: the run's folder; a run that was interrupted there goes on.
        settings: how.
        judge: who scores what no rule can.
        on_progress: see `OnProgress`.

    Raises:
        ConfigError: the folder holds another run, or a benchmark needs a judge.
        BackendError: the engine fails for all, or the judge does.
    """
    settings = settings or Settings()
    report = on_progress or _say_nothing
    check_tasks(tasks, has_judge=judge is not None)
    with locked(out / ".lock", taken=f"{out}: another process is writing this run; wait for it, or stop it"):
        about = _claimed(out, tasks, about_run(backend, settings))
        questions = {task.name: questions_of(task, out, settings) for task in tasks}
        about |= {
            "benchmarks": [about_task(task, questions[task.name]) for task in tasks],
            "judge": None if judge is None else judge.about(),
            "finished": False,
        }
        write_json(out / RUN_NAME, about)
        _answer([q for group in questions.values() for q in group], backend, out, settings, report)
        _score(tasks, questions, out, judge, report)
        write_json(out / RUN_NAME, about | {"finished": True})
    return open_run(out)


def _say_nothing(what: str, done: int, of_all: int) -> None:
    del what, done, of_all


_CLAIM = ("engine", "generation", "sampling")


def _claimed(out: Path, tasks: Sequence[Task], about: dict[str, Any]) -> dict[str, Any]:
    """Keep what an earlier run here has written down, unless it was another one."""
    if not (out / RUN_NAME).is_file():
        return about
    known = open_run(out).about
    differing = [name for name in _CLAIM if known.get(name) != about[name]]
    asked = [(b["name"], b["selection"].get("level"), b["selection"]["seed"]) for b in known["benchmarks"]]
    if asked != [(task.name, task.selection.level, task.selection.seed) for task in tasks]:
        differing.append("benchmarks")
    if differing:
        raise ConfigError(
            f"{out}: this folder holds answers of another run ({', '.join(differing)} differ); "
            "choose another --out"
        )
    return about | {"created": known["created"]}


def _answer(
    questions: Sequence[Question], backend: Backend, out: Path, settings: Settings, report: OnProgress
) -> None:
    """Ask what has no answer yet."""
    with open_journal(out) as journal:
        failed = journal.fault_keys()
        todo = [q for q in questions if q.key not in journal or q.key in failed]
    num_known = len(questions) - len(todo)
    report("answers", num_known, len(questions))
    if not todo:
        return
    for name in (ANSWERS_NAME, JUDGEMENTS_NAME, SCORES_NAME):
        (out / name).unlink(missing_ok=True)
    dealt = shares(todo, max(settings.num_processes, 1))
    if len(dealt) > 1 and settings.open_backend is None:
        raise ConfigError("several processes want `open_backend`, which opens the engine in each")
    jobs = [
        Job(settings.open_backend or _not_opened, share, out, settings.params, settings.batch_size)
        for share in dealt
        if share
    ]
    workers = Workers(jobs[1:])
    mine = [0]

    def tell() -> None:
        report("answers", num_known + mine[0] + workers.num_answered, len(questions))

    def count() -> None:
        mine[0] += 1
        tell()

    try:
        with open_journal(out) as journal:
            ask_all(backend, jobs[0], journal, count)
        workers.join(tell)
    finally:
        workers.stop()


def _not_opened() -> Backend:
    raise BackendError("no engine was given to open")


def _score(
    tasks: Sequence[Task],
    questions: dict[str, list[Question]],
    out: Path,
    judge: Judge | None,
    report: OnProgress,
) -> None:
    """Score all answers anew and write the files; what a judge said before is not paid for again."""
    known = {key: answer_from(record) for key, record in journalled(out)}
    answers: list[AnswerRecord] = []
    judgements: list[JudgementRecord] = []
    tables = {}
    num_judged = [0]

    def count() -> None:
        num_judged[0] += 1
        report("judgements", num_judged[0], 0)

    for task in tasks:
        answered = [(q.item, known[q.key]) for q in questions[task.name]]
        by = judge if task.benchmark.needs_judge else None
        scored = score(task.benchmark, answered, by, on_judged=count)
        label = None if by is None else by.label
        tables[task.name] = tables_of(task.benchmark.metrics, scored.answers, scored.judgements, label)
        answers += scored.answers
        judgements += scored.judgements
    write_lines(out / ANSWERS_NAME, answers)
    write_lines(out / JUDGEMENTS_NAME, judgements)
    write_json(out / SCORES_NAME, scores_file(tables))
