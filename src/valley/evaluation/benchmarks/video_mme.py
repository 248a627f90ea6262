"""Video-MME: questions with four choices about videos of eleven seconds to one hour; by rule.

Two published forms are read: the Parquet file of the hub, with rows like this::

    {"video_id": "001", "duration": "short", "domain": "Knowledge", "sub_category": "Humanity & History",
     "url": "https://www.youtube.com/watch?v=fFjv93ACGo8", "videoID": "fFjv93ACGo8", "question_id": "001-1",
     "task_type": "Counting Problem", "question": "How many candles are lit?",
     "options": ["A. Two.", "B. Three.", "C. Four.", "D. Five."], "answer": "B"}

and the JSON file of the authors' page, a list of videos with their `questions`. The words are those of the
README of https://github.com/BradyFU/Video-MME. The level `with_subtitles` puts the words of
`subtitle/fFjv93ACGo8.srt` before the question; a video that has none is asked about without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from valley.conversation import Video
from valley.evaluation.annotations import DataFolder, Row
from valley.evaluation.benchmark import Benchmark, DataFile, DataSource, Item, Selection
from valley.evaluation.benchmarks._choice import ChoiceBenchmark, choice_item
from valley.evaluation.choosing import letters
from valley.video.subtitles import read_subtitles

PARQUET = "videomme/test-00000-of-00001.parquet"
JSON = "video_mme.json"
SUBTITLES = "This video's subtitles are listed below:\n{subtitles}\n"
PROMPT = (
    "Select the best answer to the following multiple-choice question based on the video. Respond with only "
    "the letter (A, B, C, or D) of the correct option.\n{question}\nThe best answer is:"
)
_LETTER = re.compile(r"([A-Z])[.)]\s*")


def _read(data: DataFolder, selection: Selection, level: str) -> Iterator[Item]:
    del selection
    subtitles: dict[str, str] = {}
    for row in _rows(data):
        video = row.text("videoID") if row.has("videoID") else _of_address(row)
        if level == "with_subtitles" and video not in subtitles:
            subtitles[video] = _subtitles(data, video)
        yield _item(data, row, video, subtitles.get(video, ""))


def _rows(data: DataFolder) -> Iterator[Row]:
    """Yield one row a question; the JSON form has one object a video."""
    for row in data.rows(PARQUET, "test-00000-of-00001.parquet", JSON):
        questions = row.value.get("questions")
        if questions is None:
            yield row
        elif not isinstance(questions, list) or not all(isinstance(q, dict) for q in questions):
            row.fail("want 'questions' to be a list of objects")
        else:
            yield from (
                Row({**row.value, **q}, f"{row.where}, question {n}") for n, q in enumerate(questions, 1)
            )


def _of_address(row: Row) -> str:
    """Take the id of the video from its address; clips are named by it."""
    address = urlsplit(row.text("url"))
    return (parse_qs(address.query).get("v") or [address.path.rpartition("/")[2]])[0]


def _subtitles(data: DataFolder, video: str) -> str:
    path = data.medium("subtitle", video, suffixes=(".srt", ".vtt"))
    return "\n".join(cue.text for cue in read_subtitles(path, path)) if path.is_file() else ""


def _item(data: DataFolder, row: Row, video: str, subtitles: str) -> Item:
    options = row.texts("options", "choices")
    marks = [_LETTER.match(option) for option in options]
    choices = tuple(o[m.end() :] if m else o for o, m in zip(options, marks, strict=True))
    known, answer = letters(len(choices)), row.text("answer").strip(" .()")
    if len(answer) != 1 or answer not in known:
        row.fail(f"want 'answer' to be a letter of {known}, got {answer!r}")
    written = [o if m else f"{known[n]}. {o}" for n, (o, m) in enumerate(zip(options, marks, strict=True))]
    prompt = PROMPT.format(question="\n".join([row.text("question"), *written]))
    return choice_item(
        row.text("question_id"),
        Video(data.medium("data", video)),
        SUBTITLES.format(subtitles=subtitles) + prompt if subtitles else prompt,
        right=known.index(answer),
        choices=choices,
        task=row.text("task_type"),
        clip=video,
        tags=(
            row.text("duration", "duration_category"),
            row.text("domain", "video_category"),
            row.text("sub_category", "video_sub_category"),
        ),
    )


BENCHMARK: Benchmark = ChoiceBenchmark(
    "video_mme",
    DataSource(
        title="Video-MME",
        homepage="https://video-mme.github.io",
        citation="C. Fu et al., Video-MME: The First-Ever Comprehensive Evaluation Benchmark of Multi-modal "
        "LLMs in Video Analysis, CVPR 2025",
        licence="for academic research alone; no commercial use, no passing on (README)",
        files=(
            DataFile(
                PARQUET,
                "https://huggingface.co/datasets/lmms-lab/Video-MME",
                f"questions with choices (README); or the JSON file of the authors' page as {JSON}",
                2_700,
                instead=("test-00000-of-00001.parquet", JSON),
            ),
            DataFile(
                "data",
                "https://huggingface.co/datasets/lmms-lab/Video-MME",
                "videos, unpacked, as fFjv93ACGo8.mp4 (README)",
                900,
            ),
            DataFile(
                "subtitle",
                "https://huggingface.co/datasets/lmms-lab/Video-MME",
                "subtitles as .srt, for the level with_subtitles; not every video has them",
                is_optional=True,
            ),
        ),
    ),
    _read,
    levels=("without_subtitles", "with_subtitles"),
)
