"""`valley data`, from another project's file to one that a run can learn from."""

import json

import numpy as np
import pytest

from valley.cli import run
from valley.conversation import Video, read_jsonl
from valley.video.encoding import write_video


@pytest.fixture
def llava(tmp_path):
    """Give a file in LLaVA's format that names two clips, of which one is there."""

    def item(name, video):
        asked = {"from": "human", "value": "<video>\nWho is it?"}
        return {"id": name, "video": video, "conversations": [asked, {"from": "gpt", "value": "A cook."}]}

    (tmp_path / "clips").mkdir()
    frames = [np.full((32, 32, 3), 20 * i, np.uint8) for i in range(4)]
    write_video(tmp_path / "clips" / "a.mp4", frames, fps=4)
    path = tmp_path / "their.json"
    path.write_text(json.dumps([item("x", "a.mp4"), item("x", "b"), item("y", "a.mp4")]), encoding="utf-8")
    return path


def test_from_another_format_to_a_clean_bill(llava, tmp_path, capsys):
    out = tmp_path / "sets" / "mine.jsonl"
    words = [
        "data",
        "convert",
        "--from",
        "llava",
        str(llava),
        str(out),
        "--media-root",
        str(tmp_path / "clips"),
    ]
    assert run(words) == 0
    assert capsys.readouterr().out == f"{out}: 3 conversations\n"
    assert list(out.parent.iterdir()) == [out]
    read = list(read_jsonl(out))
    assert [c.id for c in read] == ["x", "x-2", "y"]
    assert (
        json.loads(out.read_text().splitlines()[0])["messages"][0]["content"][0]["path"] == "../clips/a.mp4"
    )
    assert isinstance(read[0].media[0], Video)

    assert run(["data", "validate", str(out)]) == 1
    printed = capsys.readouterr().out
    assert f"{out}:2: message 1: there is no file" in printed
    assert "clips          3" in printed
    assert f"{out}: 1 faults, 0 warnings" in printed

    assert run(["data", "scan", str(out), "--workers", "2"]) == 1
    printed = capsys.readouterr().out
    assert "MediaNotFoundError  1" in printed
    assert f"{out}: 2 media, 1 bad; {out.with_name('mine.quarantine.jsonl')} has 1 lines" in printed
    quarantined = json.loads(out.with_name("mine.quarantine.jsonl").read_text())
    assert (quarantined["sample"], quarantined["kind"]) == ("x-2", "MediaNotFoundError")

    (tmp_path / "clips" / "b.mp4").write_bytes((tmp_path / "clips" / "a.mp4").read_bytes())
    assert run(["data", "validate", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["num_faults"], report["languages"], report["findings"]) == (0, {"en": 3}, [])
    assert run(["data", "scan", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_bad"] == 0
    assert out.with_name("mine.quarantine.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "want --from with a format: hf_datasets, llama_factory, llava, "),
        (["--from", "lava"], "no format is called 'lava'; did you mean 'llava'"),
        (["--from", "llava", "--language", "english"], "--language: want a BCP-47 tag"),
        (["--from", "llava", "--media-out", "x"], "--media-out means nothing to the format llava"),
    ],
)
def test_convert_says_what_is_wrong(llava, tmp_path, capsys, words, error):
    assert run(["data", "convert", str(llava), str(tmp_path / "out.jsonl"), *words]) == 1
    assert error in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_convert_never_overwrites_what_it_reads(llava, capsys):
    before = llava.read_bytes()
    assert run(["data", "convert", "--from", "llava", str(llava), str(llava)]) == 1
    assert "give another name" in capsys.readouterr().err
    assert llava.read_bytes() == before


def test_bad_items_stop_it_or_are_left_out(llava, tmp_path, capsys):
    items = json.loads(llava.read_text())
    del items[1]["video"]
    llava.write_text(json.dumps(items, indent=1), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    assert run(["data", "convert", "--from", "llava", str(llava), str(out)]) == 1
    error = capsys.readouterr().err
    assert f"error: {llava}:16, item 2: more <video> tags than media" in error
    assert list(tmp_path.glob("out*")) == []
    assert run(["data", "convert", "--from", "llava", str(llava), str(out), "--skip-bad"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{out}: 2 conversations, 1 items left out\n"
    assert captured.err.startswith(f"left out: {llava}:16, item 2")


def test_many_faults_are_cut_short(tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    path.write_text("{}\n" * 53, encoding="utf-8")
    assert run(["data", "validate", str(path)]) == 1
    printed = capsys.readouterr().out
    assert printed.count("want an object with a list 'messages'") == 50
    assert "... and 3 more (--all prints them)" in printed
    assert run(["data", "validate", str(path), "--all"]) == 1
    assert capsys.readouterr().out.count("want an object with a list 'messages'") == 53


def test_files_that_are_not_there(tmp_path, capsys):
    for words in (
        ["convert", "--from", "llava", "none.json", str(tmp_path / "o")],
        ["validate", "none.json"],
    ):
        assert run(["data", *words]) == 1
        assert capsys.readouterr().err == "error: none.json: no such file or directory\n"
    assert run(["data"]) == 2
