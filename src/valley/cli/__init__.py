"""The command line. The only place that prints, reads the environment, and puts neighbours together."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from valley.errors import ValleyError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 an error the user can mend, 2 wrong usage, 130 Ctrl-C.

    `--debug`, anywhere on the line, shows the traceback of an error.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = words[: words.index("--")] if "--" in words else words
    debug = "--debug" in options
    if debug:
        words.remove("--debug")
    try:
        _run(words, debug=debug)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        sys.exit(141)  # what a shell reports for a reader that went away
    except KeyboardInterrupt:
        _silence_stdout()
        sys.exit(130)
    except (ValleyError, OSError) as error:
        if debug:
            raise
        from valley.cli.text import sentence

        print(f"error: {sentence(error)}", file=sys.stderr)
        sys.exit(1)


def _run(words: list[str], *, debug: bool) -> None:
    from valley.cli.app import app
    from valley.cli.quiet import quieten

    quieten(debug=debug)
    try:
        app(words, prog_name="valley")
    except SystemExit as end:
        # What is left in the buffer is written here, where a reader that went away can still be handled.
        sys.stdout.flush()
        if end.code not in (0, None):
            raise


def _silence_stdout() -> None:
    """Keep the interpreter's last flush from complaining about a closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
