"""EgoSchema: questions with five choices about three minutes seen by the eyes of their actor; by rule.

`questions.json` and `subset_answers.json`, as its authors publish them::

    [{"q_uid": "0074f737-11cb-497d-8d07-77c3a8127391", "google_drive_id": "1Xp...", "question": "...",
      "option 0": "...", "option 1": "...", "option 2": "...", "option 3": "...", "option 4": "..."}]
    {"0074f737-11cb-497d-8d07-77c3a8127391": 3}

The authors keep the right answers but those of the subset to themselves, so that only those are asked.
They publish no words for models like these: the question has the form that lmms-eval gives it.
"""

from __future__ import annotations

from collections.abc import Iterator

from valley.conversation import Video
from valley.errors import ConfigError
from valley.evaluation.annotations import DataFolder, Row, how_to_get
from valley.evaluation.benchmark import Benchmark, DataFile, DataSource, Item, Selection
from valley.evaluation.benchmarks._choice import LETTER_ONLY, ChoiceBenchmark, choice_item, lettered

NUM_CHOICES = 5
ANSWERS = "subset_answers.json"


def _read(data: DataFolder, selection: Selection, level: str) -> Iterator[Item]:
    del selection, level
    answers = data.table(ANSWERS)
    asked = set()
    for row in data.rows("questions.json"):
        name = row.text("q_uid")
        if name not in answers:
            continue
        asked.add(name)
        choices = tuple(row.text(f"option {number}") for number in range(NUM_CHOICES))
        right = Row({"answer": answers[name]}, f"{data.path / ANSWERS}, {name}").place("answer", NUM_CHOICES)
        yield choice_item(
            name,
            Video(data.medium("videos", name)),
            f"{row.text('question')}\n{lettered(choices)}\n{LETTER_ONLY}",
            right=right,
            choices=choices,
            task="question",
            clip=name,
        )
    if missing := answers.keys() - asked:
        raise ConfigError(
            f"{data.path / 'questions.json'}: {len(missing)} questions of {ANSWERS} are absent, such as "
            f"{min(missing)}: {how_to_get(data.benchmark)}"
        )


BENCHMARK: Benchmark = ChoiceBenchmark(
    "egoschema",
    DataSource(
        title="EgoSchema, the subset with public answers",
        homepage="https://egoschema.github.io",
        citation="K. Mangalam et al., EgoSchema: A Diagnostic Benchmark for Very Long-form Video Language "
        "Understanding, NeurIPS 2023",
        licence="not stated in the authors' README; the clips are from Ego4D and under its licence agreement",
        files=(
            DataFile(
                "questions.json",
                "https://github.com/egoschema/EgoSchema",
                "all questions with choices; over 5,000 (README)",
            ),
            DataFile(
                ANSWERS,
                "https://github.com/egoschema/EgoSchema",
                "right choices of the subset (lmms-eval's README for it)",
                500,
            ),
            DataFile(
                "videos",
                "https://github.com/egoschema/EgoSchema",
                "clips as Q_UID.mp4, by download.py; those of the subset are enough",
                500,
            ),
        ),
    ),
    _read,
    levels=("subset",),
)
