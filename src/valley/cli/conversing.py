"""The conversation at the prompt: questions, and a few commands that begin with a slash."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from valley.cli import media as cli_media
from valley.cli import text
from valley.errors import ValleyError

if TYPE_CHECKING:
    from valley.inference.valley import ChatSession

HELP = """\
Type a question and press Enter. Ctrl-C stops an answer, Ctrl-D leaves.
/add FILE     give the model another video or picture
/frames       say which frames the model sees; /frames sheet.png draws them
/reset        forget what was said; the media stay
/help         show this
/exit         leave"""


def converse(session: ChatSession, *, as_json: bool) -> None:
    """Answer line by line until the input ends; an error is said and the conversation goes on."""
    if sys.stdin.isatty() and not as_json:
        print(f"{len(session.media)} media. /help for the commands, Ctrl-D to leave.")
    for line in _lines():
        if line in ("/exit", "/quit"):
            return
        _respond(session, line, as_json=as_json)


def _respond(session: ChatSession, line: str, *, as_json: bool) -> None:
    try:
        if line.startswith("/"):
            _command(session, line)
        elif line:
            answer(session, line, as_json=as_json)
    except KeyboardInterrupt:
        print("\n(stopped)")
    except BrokenPipeError:
        raise
    except (ValleyError, OSError) as error:
        print(f"error: {text.sentence(error)}", file=sys.stderr, flush=True)


def _lines() -> Iterator[str]:
    """Read what is typed (with line editing where there is readline) or piped in."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin)
        return
    _load_line_editing()
    yield from iter(_typed, None)


def _typed() -> str | None:
    """Ask for one line; None at Ctrl-D or Ctrl-C."""
    try:
        return input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        print()
        return None


def _load_line_editing() -> None:
    """Arrow keys and history for `input`; Windows does without."""
    try:
        import readline
    except ImportError:
        return
    readline.parse_and_bind("tab: complete")


def _command(session: ChatSession, line: str) -> None:
    name, _, argument = line.partition(" ")
    if name not in _COMMANDS:
        print(f"no command is called {name}; /help lists them", file=sys.stderr, flush=True)
        return
    _COMMANDS[name](session, argument.strip())


def _help(session: ChatSession, argument: str) -> None:
    del session, argument
    print(HELP, flush=True)


def _reset(session: ChatSession, argument: str) -> None:
    del argument
    session.reset()
    print(f"forgotten; {len(session.media)} media stay", flush=True)


def _add(session: ChatSession, argument: str) -> None:
    if not argument:
        print("want a file: /add clip.mp4", file=sys.stderr, flush=True)
        return
    medium = cli_media.part(Path(argument).expanduser())
    session.look(medium)  # a file that cannot be read is said now, not at the next question
    session.add(medium)
    print(f"added {argument}", flush=True)


def _frames(session: ChatSession, argument: str) -> None:
    seen = [(m, session.look(m)) for m in session.media]
    rows = [(m.source, len(f), ", ".join(text.clock(t) for t in f.shown_at_s)) for m, f in seen]
    print(text.table(rows, header=("medium", "frames", "shown at")) if rows else "no media", flush=True)
    if argument and rows:
        from valley.cli.contact_sheet import write_contact_sheet

        path = write_contact_sheet(Path(argument).expanduser(), [(str(m.source), f) for m, f in seen])
        print(f"drawn: {path}", flush=True)


_COMMANDS: dict[str, Callable[[ChatSession, str], None]] = {
    "/help": _help,
    "/reset": _reset,
    "/add": _add,
    "/frames": _frames,
}


def answer(session: ChatSession, question: str, *, as_json: bool = False) -> None:
    """Ask one question and print its answer, streamed, or as one JSON object."""
    words = session.ask(question)
    try:
        for piece in words:
            if not as_json:
                print(piece, end="", flush=True)
    finally:
        words.close()
    if not as_json:
        print(flush=True)
    elif session.last is not None:
        text.print_json(session.last.to_dict())
