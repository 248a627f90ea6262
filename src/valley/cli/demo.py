"""`valley demo`: questions about the clips in examples/, answered offline by the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valley.cli.options import Model
from valley.conversation import Conversation, Message, read_jsonl
from valley.errors import ConfigError
from valley.ui.examples import QUESTIONS as _QUESTIONS
from valley.ui.examples import examples_folder

if TYPE_CHECKING:
    from valley.inference.valley import Valley


def demo(
    model: Model = "valley-mini",
    examples: Annotated[
        Path | None, typer.Option("--examples", help="The folder with questions.jsonl and clips.")
    ] = None,
) -> None:
    """Answer the questions about the clips in examples/."""
    folder = examples or _examples_folder()
    questions = folder / _QUESTIONS
    if not questions.is_file():
        raise ConfigError(f"{questions}: there are no questions to answer; want a folder with {_QUESTIONS}")
    conversations = list(read_jsonl(questions))

    from valley.inference.valley import Valley

    valley = Valley.from_pretrained(model)
    print(f"{valley.name} answers {len(conversations)} conversations about the clips in {folder}.")
    right = sum((_answer(valley, c, folder) for c in conversations), start=_Score())
    if right.asked:
        print(f"\n{right.right} of {right.asked} answers are exactly those of the clips' makers.")


def _examples_folder() -> Path:
    """Find examples/ where the command runs, else those that come with this package.

    Raises:
        ConfigError: there are none.
    """
    here, packaged = Path("examples"), examples_folder()
    if (here / _QUESTIONS).is_file():
        return here
    if packaged is None:
        raise ConfigError(f"examples/{_QUESTIONS}: not found; name a folder with --examples")
    return packaged


class _Score:
    """How many answers could be compared, and how many were right."""

    def __init__(self, right: int = 0, asked: int = 0) -> None:
        self.right = right
        self.asked = asked

    def __add__(self, other: _Score) -> _Score:
        return _Score(self.right + other.right, self.asked + other.asked)


def _answer(valley: Valley, conversation: Conversation, folder: Path) -> _Score:
    """Ask every user turn of a record, streaming; compare with the assistant's turn behind it."""
    session = valley.chat(max_new_tokens=64)
    score = _Score()
    print()
    for turn, reply in _turns(conversation):
        for medium in turn.media:
            print(f"[{_shown(medium.source, folder)}]")
        print(f"({conversation.language}) {turn.text.strip()}")
        print("  ", end="")
        words = []
        for piece in session.ask(*turn.parts):
            print(piece, end="", flush=True)
            words.append(piece)
        wrong = reply is not None and "".join(words).strip() != reply.strip()
        print(f"   [the clip's maker says: {reply.strip()}]" if wrong and reply else "")
        score += _Score(int(reply is not None and not wrong), int(reply is not None))
    return score


def _turns(conversation: Conversation) -> list[tuple[Message, str | None]]:
    """Pair every user turn with the text of the assistant's turn that follows it, if one does."""
    turns = [m for m in conversation.messages if m.role != "system"]
    following = [*turns[1:], None]
    return [
        (turn, reply.text if reply is not None and reply.role == "assistant" else None)
        for turn, reply in zip(turns, following, strict=True)
        if turn.role == "user"
    ]


def _shown(source: str | Path | bytes, folder: Path) -> str:
    if isinstance(source, bytes):
        return f"{len(source)} bytes"
    path = Path(source)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
