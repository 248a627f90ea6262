"""README and documentation do as they say: commands and Python run in a copy, with small numbers.

A block of bash gives its `valley` commands to the same entry point as the installed script; what is no valley
command (make, pip) is checked only for its target. Blocks of a page run in order, in one folder.
"""

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from transformers.utils.logging import disable_progress_bar, enable_progress_bar

from valley.cli import run

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "docs/start.md",
    "docs/video.md",
    "docs/python.md",
    "docs/extending.md",
    "docs/tutorial.md",
]
SLOW_PAGES = ["docs/training.md"]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
TABLE_COMMAND = re.compile(r"^\|.*\| `(valley [^`]+)`", flags=re.MULTILINE)

# The last value of an option counts, so a command of the page stays as it is and becomes small.
SMALL = {
    ("eval", "synthetic"): ["--num-clips", "1"],
    ("synth", "out/clips"): ["--num-clips", "2"],
    ("train",): [
        "max_steps=1",
        "trainer.per_device_train_batch_size=1",
        "trainer.gradient_accumulation_steps=1",
        "trainer.dataloader_num_workers=0",
    ],
}
NOT_HERE = {
    "valley demo": "tests of the demo run it",
    "valley chat --model FOLDER_OR_HUB_ID": "wants another model: tests/on_families",
    "valley serve": "runs until it is stopped: tests/serving",
    "valley ui": "runs until it is stopped: tests/ui",
    "valley batch in.jsonl out.jsonl": "wants a file: tests/serving/test_batch.py",
    "valley report RUN RUN -o report.html": "wants two runs: tests/evaluation",
    "valley train recipes/mini/align.yaml": "needs the parts that `make mini` makes first",
}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of what the pages use of the checkout, entered; `out/` is there as after any first command."""
    for folder in ("examples", "recipes"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copytree(ROOT / "src/valley/assets", tmp_path / "src/valley/assets")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    disable_progress_bar()
    yield tmp_path
    enable_progress_bar()


def _lines(script):
    """Join continued lines, drop comments and empty ones."""
    joined = script.replace("\\\n", " ").splitlines()
    return [line for line in (line.partition(" # ")[0].strip() for line in joined) if line]


def _small(words):
    for start, options in SMALL.items():
        if tuple(words[: len(start)]) == start:
            return [*words, *options]
    return words


def _run_line(line, monkeypatch):
    if line.startswith(("make ", "pip ", "python ")) or line in NOT_HERE:
        return
    source, pipe, command = line.rpartition(" | ")
    typed = (
        subprocess.run(["bash", "-c", source], capture_output=True, text=True, check=True).stdout
        if pipe
        else ""
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    program, *words = shlex.split(command)
    assert program == "valley", f"what is {program}? {line}"
    assert run(_small(words)) == 0, line


def _run_page(page, monkeypatch, capsys):
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert blocks, f"{page} shows nothing that runs"
    names = {"__name__": page}
    for language, block in blocks:
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block, page, "exec"), names)
            continue
        for line in _lines(block):
            _run_line(line, monkeypatch)
            assert "error:" not in capsys.readouterr().err, line


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs(page, copy, monkeypatch, capsys):
    _run_page(page, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW_PAGES)
def test_what_a_page_about_training_shows_runs(page, copy, monkeypatch, capsys):
    _run_page(page, monkeypatch, capsys)


def test_the_table_of_what_works_today(copy, monkeypatch, capsys):
    commands = TABLE_COMMAND.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(commands) >= 8
    for line in commands:
        _run_line(line, monkeypatch)


def test_make_has_the_targets_that_are_named():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    for page in [*PAGES, *SLOW_PAGES, "CONTRIBUTING.md"]:
        text = (ROOT / page).read_text(encoding="utf-8")
        named = set(re.findall(r"(?:^|`)make ([a-z]+)", text, flags=re.MULTILINE))
        assert named <= targets, page


def test_the_installed_command_is_there():
    command = Path(sys.executable).with_name("valley")
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.startswith("valley ")
