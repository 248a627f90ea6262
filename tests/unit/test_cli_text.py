"""What is written for people."""

import json

import pytest

from valley.cli import text


def test_tables_align():
    lines = text.table([("a", 1, "x"), ("bbb", 22, "y")], header=("name", "n", "")).splitlines()
    assert lines == ["name   n", "a      1  x", "bbb   22  y"]
    assert text.table([]) == ""


def test_chinese_takes_two_cells():
    first, second = text.table([("红", "x"), ("ab", "x")]).splitlines()
    assert text.width(first) == text.width(second)


@pytest.mark.parametrize(
    ("num_bytes", "wanted"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (3.2e9, "3.2 GB"), (5e15, "5000.0 TB")],
)
def test_sizes(num_bytes, wanted):
    assert text.size(num_bytes) == wanted


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(0.0, "0:00.0"), (59.96, "1:00.0"), (83.5, "1:23.5"), (3723.0, "1:02:03.0")]
)
def test_clocks(seconds, wanted):
    assert text.clock(seconds) == wanted


def test_json_is_valid_whatever_is_in_it(capsys):
    text.print_json({"a": [float("nan"), (1.0, float("inf"))], "b": "右"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": [None, [1.0, None]], "b": "右"}
    assert "右" in out


def test_errors_are_one_sentence():
    assert text.sentence(ValueError("a\n  b")) == "a b"
    assert text.sentence(PermissionError(13, "Permission denied", "out.mp4")) == "out.mp4: permission denied"
    assert text.sentence(ValueError()) == "ValueError"


def test_progress_is_one_line(capsys):
    for done in (1, 2):
        text.say_progress(2, done, what="clips")
    assert capsys.readouterr().err == "\r\x1b[K1/2 clips\r\x1b[K2/2 clips\n"
