"""The questions that a report shows: which ones, with which frames, and what is said where there are none."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.report_kit import Page, answer, answers, judged, make_run, named
from valley.evaluation.asking import Hashes, sha256_of
from valley.evaluation.records import AnswerRecord, JudgementRecord, MediumRecord
from valley.evaluation.reporting.frames_seen import Strip, evenly, strip_of
from valley.evaluation.reporting.page import write_report
from valley.evaluation.reporting.samples import Sample, samples_of
from valley.evaluation.reporting.summary import summarise
from valley.evaluation.reporting.tables import metrics_of
from valley.video.decoding import read_frames
from valley.video.sampling import FrameSampling

JPEG_ERROR = 2.0
"""Of a level of 255, on average; frames of the clip that are side by side differ by more."""


def chosen(*folders: Path, most: int = 2) -> dict[str, list[Sample]]:
    runs = named(*folders)
    kinds: dict[str, list[Sample]] = {}
    for sample in samples_of(runs, "own", metrics_of(runs, "own"), most=most):
        kinds.setdefault(sample.kind, []).append(sample)
    return kinds


def ids(samples: list[Sample]) -> list[str]:
    return [sample.question.id for sample in samples]


def test_right_wrong_unmoved_and_failed_ones_are_shown(tmp_path: Path) -> None:
    normal = answers([1, 1, 0, 0, 1, 0])
    normal[5] = replace(normal[5], error="MediaError: gone", answer="")
    blind = [replace(a, answer="nothing") for a in answers([0] * 6, "blind")]
    blind[1] = replace(blind[1], answer=normal[1].answer)
    kinds = chosen(make_run(tmp_path / "a", [*normal, *blind]), most=1)
    assert {kind: ids(found) for kind, found in kinds.items()} == {
        "right": ["q0"],
        "wrong": ["q2"],
        "unmoved": ["q1"],
        "failed": ["q5"],
    }
    (unmoved,) = kinds["unmoved"]
    assert unmoved.said[0].controls["blind"].answer == unmoved.said[0].answer.answer


def test_other_tasks_and_clips_come_first(tmp_path: Path) -> None:
    given = [answer(n, 1, task="same") for n in range(6)] + [answer(7, 1, task="other")]
    kinds = chosen(make_run(tmp_path / "a", given), most=3)
    assert ids(kinds["right"]) == ["q0", "q7", "q2"]


def test_what_runs_differ_in_comes_first_and_is_shown_once(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", answers([1, 1, 0, 0]))
    b = make_run(tmp_path / "b", answers([1, 0, 0, 1]))
    kinds = chosen(a, b)
    assert ids(kinds["changed"]) == ["q1", "q3"]
    assert ids(kinds["right"]) == ["q0"]
    assert ids(kinds["wrong"]) == ["q2"]
    assert [said.run for said in kinds["changed"][0].said] == ["a", "b"]


def test_no_samples_where_none_are_wanted_or_nothing_is_scored(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", answers([1, 0]))
    assert chosen(run, most=0) == {}
    assert chosen(make_run(tmp_path / "b", answers([1, 0]), is_finished=False)) == {}


def about(path: Path, folder: Path, times_s: tuple[float, ...], kind: str = "video") -> MediumRecord:
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    return MediumRecord(name, kind, sha256_of(path), 3.0, times_s)


def pixels_of(strip: Strip) -> list[np.ndarray]:
    data = [base64.b64decode(one.jpeg.partition(",")[2]) for one in strip.pictures]
    return [np.asarray(Image.open(io.BytesIO(one)).convert("RGB")).astype(int) for one in data]


@pytest.mark.parametrize("times_s", [(0.0, 1.0, 2.875), (1.125,), tuple(n / 8 for n in range(24))])
def test_the_pictures_are_the_frames_that_the_model_saw(
    clip_files: Path, tmp_path: Path, times_s: tuple[float, ...]
) -> None:
    strip = strip_of(about(clip_files / "a.mp4", tmp_path, times_s), tmp_path, Hashes())
    assert not strip.fault
    shown_s = [one.time_s for one in strip.pictures]
    assert shown_s == evenly(times_s, 8)
    wanted = read_frames(clip_files / "a.mp4", FrameSampling(times_s=tuple(evenly(times_s, 8))), size_px=96)
    for got, frame in zip(pixels_of(strip), wanted.pixels, strict=True):
        assert got.shape == frame.shape
        assert np.abs(got - frame.astype(int)).mean() < JPEG_ERROR
    neighbours = read_frames(clip_files / "a.mp4", FrameSampling(times_s=(1.0, 1.125))).pixels.astype(int)
    assert np.abs(neighbours[0] - neighbours[1]).mean() > JPEG_ERROR


def test_a_picture_has_no_time(clip_files: Path, tmp_path: Path) -> None:
    strip = strip_of(about(clip_files / "photo.png", tmp_path, (), "image"), tmp_path, Hashes())
    assert [one.time_s for one in strip.pictures] == [None]
    assert not strip.is_guess


def test_an_engine_that_does_not_say_what_it_saw_is_told_of(clip_files: Path, tmp_path: Path) -> None:
    strip = strip_of(about(clip_files / "a.mp4", tmp_path, ()), tmp_path, Hashes(), most=3)
    assert strip.is_guess
    assert [one.time_s for one in strip.pictures] == [0.0, 1.375, 2.875]


def test_a_file_that_is_gone_broken_or_another_one_is_told_of_in_words(
    clip_files: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "clip.mp4"
    copy.write_bytes((clip_files / "a.mp4").read_bytes())
    record = about(copy, tmp_path, (0.0, 1.0))
    copy.write_bytes((clip_files / "b.mp4").read_bytes())
    assert strip_of(record, tmp_path, Hashes()).fault == "has changed since it was asked about"
    copy.unlink()
    gone = strip_of(record, tmp_path, Hashes())
    assert (gone.fault, gone.pictures, gone.timestamps_s) == ("is not here any more", (), (0.0, 1.0))
    copy.write_bytes(b"no video at all")
    broken = strip_of(about(copy, tmp_path, (0.0, 1.0)), tmp_path, Hashes())
    assert broken.fault
    assert broken.pictures == ()


def test_frames_are_chosen_from_first_to_last() -> None:
    assert evenly([0, 1, 2], 8) == [0, 1, 2]
    assert evenly(list(range(32)), 8) == [0, 4, 9, 13, 18, 22, 27, 31]


def with_medium(given: list[AnswerRecord], medium: MediumRecord) -> list[AnswerRecord]:
    return [replace(a, media=(medium,)) for a in given]


def test_a_card_shows_frames_question_answers_scores_controls_and_verdict(
    clip_files: Path, tmp_path: Path
) -> None:
    judge = "J@1"
    folder = tmp_path / "a"
    medium = about(clip_files / "a.mp4", folder, (0.0, 1.0))
    asked = judged(with_medium([answer(0, 1), answer(0, 0, "blind", answer="black")], medium), judge)
    said = JudgementRecord(
        "own", "normal", "r0", ("q0",), judge, "h", ('{"correct": "yes"}',), {"accuracy": 1}
    )
    run = make_run(folder, asked, [said], judge=judge)
    other = make_run(
        tmp_path / "b",
        judged(with_medium([answer(0, 0, answer="green")], replace(medium, timestamps_s=(2.0,))), judge),
        judge=judge,
    )
    page = Page(write_report(summarise(named(run, other), num_samples=1), tmp_path / "report.html"))
    words = " ".join(page.words.split())
    card = words[
        words.index("Runs differ") : words.index("What produced the numbers", words.index("Runs differ"))
    ]
    for wanted in (
        *("Question 0?", "Right: red", "a: red", "b: green", "accuracy[J@1] 100.0 %", "accuracy[J@1] 0.0 %"),
        *("black frames: black", 'Reply of J@1{"correct": "yes"}', "a saw", "b saw", "q0"),
    ):
        assert wanted in card
    pictures = [a["alt"] for tag, a in page.tags if tag == "img"]
    assert pictures == ["Frame at 0.00 s", "Frame at 1.00 s", "Frame at 2.00 s"]


def test_a_card_without_its_file_gives_path_and_times(tmp_path: Path) -> None:
    given = with_medium(answers([1]), MediumRecord("media/gone.mp4", "video", "0" * 64, 3.0, (0.0, 1.5)))
    page = Page(
        write_report(summarise(named(make_run(tmp_path / "a", given)), num_samples=1), tmp_path / "r.html")
    )
    said = " ".join(page.words.split())
    assert "media/gone.mp4 is not here any more; the model saw its frames at 0.00, 1.50 s." in said
