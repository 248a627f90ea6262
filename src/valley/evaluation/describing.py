"""What `run.json` says: who answered and how, what was asked, and where."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from valley.evaluation.asking import Question, generation_record, sha256_of
from valley.evaluation.benchmark import BENCHMARKS, Selection
from valley.evaluation.environment import hardware, packages
from valley.evaluation.records import FORMAT
from valley.evaluation.redacting import without_secrets
from valley.evaluation.tasks import Settings, Task
from valley.inference.backend import Backend


def about_run(backend: Backend, settings: Settings) -> dict[str, Any]:
    """Say who answers and how: what all answers of a run have in common."""
    params = generation_record(settings.params)
    sampling = settings.params.sampling or backend.capabilities.default_sampling
    return {
        "format": FORMAT,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "engine": without_secrets(_as_json(backend.identity())),
        "generation": params,
        "sampling": {k: v for k, v in _as_json(asdict(sampling)).items() if v not in (None, False)},
        "packages": packages(),
        "hardware": hardware(),
    }


def _as_json(value: Any) -> Any:  # noqa: ANN401
    """Give a value as it comes back from a file, so that the two can be compared."""
    return json.loads(json.dumps(value, default=str))


def about_task(task: Task, questions: Sequence[Question]) -> dict[str, Any]:
    """Say what was asked of one benchmark, with hashes of its code, its annotations and its questions."""
    source = task.benchmark.source
    data = task.selection.data
    return {
        "name": task.name,
        "selection": _selection_record(task.selection),
        "code_sha256": _code_hash(task),
        "annotations": {} if source is None or data is None else _annotation_hashes(task, data),
        "questions_sha256": hashlib.sha256("".join(q.key for q in questions).encode()).hexdigest(),
        "num_questions": len(questions),
    }


def _selection_record(selection: Selection) -> dict[str, Any]:
    fields = asdict(selection)
    return {k: str(v) if isinstance(v, Path) else v for k, v in fields.items() if v is not None}


def _code_hash(task: Task) -> str | None:
    """Hash the file of the benchmark's class, and its own file where its class is shared by several."""
    files = [inspect.getsourcefile(type(task.benchmark))]
    name = task.name.partition(":")[0]
    spec = importlib.util.find_spec(f"{BENCHMARKS.package}.{name}") if name.isidentifier() else None
    files.append(spec.origin if spec else None)
    hashes = [sha256_of(Path(file)) for file in dict.fromkeys(files) if file is not None]
    return (
        hashlib.sha256("".join(hashes).encode()).hexdigest() if len(hashes) > 1 else next(iter(hashes), None)
    )


def _annotation_hashes(task: Task, data: Path) -> dict[str, str]:
    """Hash the files of annotations; media are hashed with their questions."""
    assert task.benchmark.source is not None
    found = {}
    for file in task.benchmark.source.files:
        names = (file.path, *file.instead)
        places = [(n, root / n) for root in (data / task.name.partition(":")[0], data) for n in names]
        place = next(((n, p) for n, p in places if p.is_file()), None)
        if place is not None:
            found[place[0]] = sha256_of(place[1])
    return found
