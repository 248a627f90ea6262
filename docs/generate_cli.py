"""Write docs/cli.md from the commands themselves: `python docs/generate_cli.py`; a test compares the two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from valley.cli.app import app

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 96
HEAD = """\
<!-- Written by docs/generate_cli.py; change the commands, not this page. -->
# Command line

Every error that you can mend is one sentence on stderr with the file's name in it and exit code 1; wrong
usage exits with 2, Ctrl-C with 130. `--debug`, behind any command, shows the traceback. `--json` prints one
object on stdout and nothing else there.
"""


def page() -> str:
    """Write the whole page: a section a command, with what its `--help` says."""
    sections = [
        f"## {name}\n\n```text\n{text}\n```\n" for name, text in _commands(typer.main.get_command(app))
    ]
    return "\n".join([HEAD, *sections])


def _commands(command: Any, name: str = "valley", parent: Any = None) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    widths = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    context = command.make_context(name, [], parent, resilient_parsing=True, **widths)
    lines = command.get_help(context).splitlines()
    yield context.command_path, "\n".join(line.rstrip() for line in lines)
    for sub, child in getattr(command, "commands", {}).items():
        yield from _commands(child, sub, context)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
