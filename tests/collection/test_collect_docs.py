"""The page on collecting says what the package does."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from valley.cli.collect import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "collect.md").read_text(encoding="utf-8")
SCALE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"^valley collect (.*?)(?: &)?$", PAGE + SCALE, flags=re.MULTILINE)))


def test_the_list_without_torch_is_the_extra_and_what_reads_media():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = re.search(r"^data = \[\n(.*?)^\]", project, flags=re.MULTILINE | re.DOTALL)
    own = re.search(r"^dependencies = \[\n(.*?)^\]", project, flags=re.MULTILINE | re.DOTALL)
    assert extra
    assert own
    without_models = [
        p for p in re.findall(r'"(.*?)"', own[1]) if not p.startswith(("torch", "transformers"))
    ]
    install = PAGE[PAGE.index("## Without torch") :].split("```")[1]
    assert sorted(re.findall(r"'(.*?)'", install)) == sorted(
        without_models + re.findall(r'"(.*?)"', extra[1])
    )


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_on_the_page_is_one(words: str):
    commands = get_command(app).commands
    first, *rest = shlex.split(words)
    name, rest = (first, rest) if first in commands else ("run", [first, *rest])
    with commands[name].make_context(name, rest) as context:  # refuses options that are none
        assert context.params


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 10
