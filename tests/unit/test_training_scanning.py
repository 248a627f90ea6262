"""Every medium of a data set is read once, in a process of its own, and a killed scan goes on."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from valley.conversation import Conversation, Image, Video, assistant, user, write_jsonl
from valley.training.scanning import MediaUse, Verdict, check_medium, media_uses, scan, write_quarantine
from valley.video.encoding import write_video


class Reader:
    """Stands for the reading of media, and remembers what it was asked for."""

    def __init__(self, bad=()):
        self.bad = set(bad)
        self.asked = []

    def __call__(self, use):
        self.asked.append(use)
        return Verdict(use, "DamagedError", "is torn") if use.path in self.bad else Verdict(use)


@pytest.fixture
def uses(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    return [MediaUse("video", str(tmp_path / name)) for name in "abc"]


def test_uses_that_are_equal_are_one(tmp_path):
    def about(name, *media):
        return Conversation((user(*media, "Who?"), assistant("A cook.")), id=name)

    write_jsonl(
        tmp_path / "a.jsonl",
        [about("x", Video("a.mp4"), Image("a.png")), about("y", Video("a.mp4"), Video("a.mp4", 1.0, 2.0))],
    )
    where = str(tmp_path / "a.mp4")
    assert media_uses(tmp_path / "a.jsonl") == {
        MediaUse("video", where): ["x", "y"],
        MediaUse("image", str(tmp_path / "a.png")): ["x"],
        MediaUse("video", where, 1.0, 2.0): ["y"],
    }
    elsewhere = media_uses(tmp_path / "a.jsonl", media_root=Path("/clips"))
    assert {use.path for use in elsewhere} == {"/clips/a.mp4", "/clips/a.png"}


def test_a_second_scan_reads_what_changed(tmp_path, uses):
    notes, reader = tmp_path / "q.jsonl.scanned", Reader(bad={uses[1].path})
    seen = []
    first = scan(uses, notes, num_workers=2, check=reader, on_done=seen.append)
    assert [v.error for v in first] == ["", "DamagedError", ""]
    assert seen == [1, 2, 3]
    again = Reader()
    assert scan(uses, notes, num_workers=2, check=again) == first
    assert again.asked == []
    os.utime(uses[0].path, ns=(1, 1))
    Path(uses[1].path).write_text("longer")
    assert [v.error for v in scan(uses, notes, num_workers=2, check=again)] == ["", "", ""]
    assert set(again.asked) == set(uses[:2])


def test_a_scan_that_was_killed_goes_on(tmp_path, uses):
    notes = tmp_path / "q.jsonl.scanned"
    whole = scan(uses, notes, num_workers=1, check=Reader(bad={uses[0].path}))
    data = notes.read_bytes()
    second_line = data.index(b"\n") + 1
    for cut in (second_line, second_line + 10, len(data) - 1):  # behind a line, within one, before its end
        notes.write_bytes(data[:cut])
        reader = Reader()
        assert scan(uses, notes, num_workers=1, check=reader) == whole
        assert 1 <= len(reader.asked) <= 2
        assert [json.loads(line)["error"] for line in notes.read_text().splitlines()] == [
            "DamagedError",
            "",
            "",
        ]


def test_a_missing_file_is_looked_for_again(tmp_path):
    use = MediaUse("video", str(tmp_path / "late.mp4"))
    notes = tmp_path / "notes"
    assert scan([use], notes, num_workers=1)[0].error == "MediaNotFoundError"
    Path(use.path).touch()
    reader = Reader()
    scan([use], notes, num_workers=1, check=reader)
    assert reader.asked == [use]


def test_an_error_of_ours_stops_the_scan(tmp_path, uses):
    def fail(use):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        scan(uses, tmp_path / "notes", num_workers=2, check=fail)


def test_the_quarantine_has_a_line_for_each_conversation(tmp_path, uses):
    verdicts = [Verdict(uses[0], "DamagedError", "is torn"), Verdict(uses[1])]
    path = tmp_path / "q.jsonl"
    assert write_quarantine(path, verdicts, {uses[0]: ["x", "y"], uses[1]: ["x"]}) == 2
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert records == [
        {"sample": name, "path": uses[0].path, "kind": "DamagedError", "reason": "is torn"} for name in "xy"
    ]
    assert write_quarantine(path, [], {}) == 0
    assert path.read_text() == ""


def test_real_media(tmp_path):
    clip = write_video(tmp_path / "a.mp4", [np.full((32, 32, 3), 9 * i, np.uint8) for i in range(8)], fps=8)
    (tmp_path / "half.mp4").write_bytes(clip.read_bytes()[:200])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "a.srt").write_text("no subtitles\n")
    Picture.new("RGB", (8, 8)).save(tmp_path / "a.png")
    cases = {
        MediaUse("video", str(clip)): "",
        MediaUse("image", str(tmp_path / "a.png")): "",
        MediaUse("image", str(clip)): "NotAVideoError",
        MediaUse("video", str(clip), 5.0, 6.0): "SamplingError",
        MediaUse("video", str(clip), 0.0, 0.5, "auto"): "MediaError",
        MediaUse("video", str(tmp_path / "half.mp4")): "TruncatedError",
        MediaUse("video", str(tmp_path / "empty.mp4")): "EmptyMediaError",
        MediaUse("video", str(tmp_path / "none.mp4")): "MediaNotFoundError",
    }
    verdicts = scan(cases, tmp_path / "notes", num_workers=3, check=check_medium)
    assert {v.use: v.error for v in verdicts} == cases
    assert all(bool(v.reason) == bool(v.error) for v in verdicts)
