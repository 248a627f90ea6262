"""The command line. The only place that prints, reads the environment, and puts neighbours together."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from valley.errors import ValleyError


def main() -> None:
    """Run the command of this process and exit."""
    from valley.cli.quiet import quieten

    words = sys.argv[1:]
    quieten(debug=_wants_debug(words))
    sys.exit(run(words))


def run(words: Sequence[str]) -> int:
    """Run one command.

    Args:
        words: such as ``["chat", "a.mp4", "-q", "what?"]``. `--debug`, anywhere, lets errors through.

    Returns:
        The exit code: 0 done, 1 an error the user can mend, 2 wrong usage, 130 Ctrl-C.
    """
    debug = _wants_debug(words)
    try:
        code = _command([w for w in words if w != "--debug"] if debug else list(words))
        # What is left in the buffer is written here, where a reader that went away can still be handled.
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return 1
    except KeyboardInterrupt:
        return 130
    except (ValleyError, OSError) as error:
        if debug:
            raise
        from valley.cli.text import sentence

        sys.stdout.flush()
        print(f"error: {sentence(error)}", file=sys.stderr)
        return 1
    return code


def _wants_debug(words: Sequence[str]) -> bool:
    return "--debug" in (words[: words.index("--")] if "--" in words else words)


def _command(words: list[str]) -> int:
    from valley.cli.app import app

    try:
        app(words, prog_name="valley")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _silence_stdout() -> None:
    """Keep the interpreter's last flush from complaining about a closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
