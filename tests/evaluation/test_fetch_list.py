"""`valley data fetch-list` says what is wanted, and what of it is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from valley.cli.app import app
from valley.errors import UnknownNameError
from valley.evaluation.benchmark import BENCHMARKS, DataFile, DataSource
from valley.evaluation.data_on_disk import look

SAMPLES = Path(__file__).parent / "samples"


def _run(*words: str):
    return CliRunner().invoke(app, ["data", "fetch-list", *words])


def test_all_benchmarks_are_listed_with_where_and_how_much():
    result = _run()
    assert result.exit_code == 0
    for name in BENCHMARKS.names():
        source = BENCHMARKS.get(name).source
        assert f"{name}: " in result.stdout
        if source is not None:
            assert source.licence in result.stdout
            assert all(file.url in result.stdout for file in source.files)
    assert "test_q.json (8,000)" in result.stdout


def test_as_json():
    (record,) = json.loads(_run("activitynet_qa", "--json").stdout)
    assert record["name"] == "activitynet_qa"
    assert record["licence"].startswith("MIT")
    assert [(file["path"], file["num_entries"]) for file in record["files"]] == [
        ("test_q.json", 8000),
        ("test_a.json", 8000),
        ("videos", 800),
    ]


def test_what_is_there_is_counted(tmp_path):
    shutil.copytree(SAMPLES / "activitynet_qa", tmp_path / "activitynet_qa")
    result = _run("activitynet_qa", "--data", str(tmp_path))
    assert result.exit_code == 1
    assert "[only 4 of 8,000]" in result.stdout
    assert "[missing]" in result.stdout
    videos = tmp_path / "activitynet_qa" / "videos"
    videos.mkdir()
    for name in ("a.mp4", "b.mkv", "notes.txt"):
        (videos / name).write_bytes(b"")
    result = _run("activitynet_qa", "--data", str(tmp_path))
    assert result.exit_code == 0
    assert "[only 2 of 800]" in result.stdout


def test_another_published_form_will_do(tmp_path):
    shutil.copytree(SAMPLES / "tgif_qa-pairs", tmp_path, dirs_exist_ok=True)
    (tmp_path / "videos").mkdir()
    result = _run("tgif_qa", "--data", str(tmp_path), "--json")
    (record,) = json.loads(result.stdout)
    assert result.exit_code == 0
    assert record["files"][0]["is_there"] is True
    assert record["files"][0]["num_found"] == 2
    assert record["files"][0]["found_at"].endswith("test_q.json")


def test_what_not_every_level_needs_may_be_absent(tmp_path):
    shutil.copytree(SAMPLES / "science_qa", tmp_path / "science_qa")
    (tmp_path / "science_qa" / "images" / "test").mkdir(parents=True)
    result = _run("science_qa", "--data", str(tmp_path))
    assert result.exit_code == 0
    assert "absent, not always wanted" in result.stdout


def test_an_unknown_benchmark_is_refused():
    result = _run("activitynet")
    assert result.exit_code != 0
    assert isinstance(result.exception, UnknownNameError)
    assert "did you mean 'activitynet_qa'" in str(result.exception)


@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("rows.json", "[{}, {}, {}]", 3),
        ("table.json", '{"a": 1, "b": 2}', 2),
        ("videos.json", '[{"questions": [1, 2]}, {"questions": [3]}]', 3),
        ("rows.csv", 'a,b\n1,2\n3,"4\n5"\n', 2),
        ("lines.txt", "one\ntwo\n", 2),
        ("broken.json", "[1, ", None),
        ("number.json", "3", None),
    ],
)
def test_entries_of_files(tmp_path, name, content, count):
    (tmp_path / name).write_text(content, encoding="utf-8")
    source = DataSource(
        "T", "https://example.org", "c", "l", (DataFile(name, "https://example.org", "x", 3),)
    )
    (found,) = look(source, tmp_path)
    assert found.is_there
    assert found.num_entries == count
    assert found.is_short is (count is not None and count < 3)


def test_folders_of_frames_count_once(tmp_path):
    for clip in ("one", "two"):
        (tmp_path / "frames" / clip).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "frames" / clip / f"{number}.jpg").write_bytes(b"")
    (tmp_path / "frames" / "whole.mp4").write_bytes(b"")
    source = DataSource(
        "T", "https://example.org", "c", "l", (DataFile("frames", "https://example.org", "x"),)
    )
    assert look(source, tmp_path)[0].num_entries == 3
