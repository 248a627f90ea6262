"""Conversations to look at, and the server of the page in a thread."""

import logging
import socket
import threading
from pathlib import Path

import uvicorn

from valley.conversation import Conversation, Image, Video, assistant, user, write_jsonl
from valley.instruct.places import decisions_path
from valley.instruct.reviewing import Decisions
from valley.instruct.reviewing_items import ReviewItems
from valley.instruct.reviewing_server import review_app
from valley.synthetic.dataset import scene_number
from valley.synthetic.render import render_video

TOKEN = "a-token-for-tests"
CLOCK = "2026-01-02T03:04:05+00:00"


def talk(number: int, *, language: str = "en", task: str = "dialogue") -> Conversation:
    """Make a conversation of two rounds about the clip."""
    messages = (
        user(Video("a.mp4", 0.0, 2.0), f"What is seen? ({number})"),
        assistant("A red circle."),
        user("And then?"),
        assistant("It moves to the left."),
    )
    facts = {
        "task": task,
        "evidence": ["F1 [caption, en] A red circle moves.", "F2 [sentence, en, 0.5-1.0 s] It moves."],
        "facts_used": ["F2"],
        "source": "made",
        "licence": "CC0-1.0",
    }
    return Conversation(messages, language, f"talk-{number}", facts)


def write_talks(folder: Path, count: int = 6) -> Path:
    """Write a file of conversations about a rendered clip, the last one about other files."""
    folder.mkdir(parents=True, exist_ok=True)
    render_video(scene_number(0, 1, level="core"), folder / "a.mp4")
    (folder / "notes.txt").write_text("no medium", encoding="utf-8")
    made = [
        talk(n, language="en" if n % 2 else "zh", task=("dialogue", "counting")[n % 2]) for n in range(count)
    ]
    odd = (
        user(Image("gone.png"), Image("notes.txt"), Video(str(folder)), Image("a.png"), "What are they?"),
        assistant("Odd."),
    )
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n not really")
    write_jsonl(folder / "talks.jsonl", [*made, Conversation(odd, "en", "odd/../../etc?#")])
    return folder / "talks.jsonl"


class Served:
    """The page of a file, in a thread, on a free port."""

    def __init__(self, talks: Path) -> None:
        self.items, self.decisions = ReviewItems(talks), Decisions(decisions_path(talks))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.root = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.address = f"{self.root}/{TOKEN}/"
        app = review_app(self.items, self.decisions, token=TOKEN, by="ann", clock=lambda: CLOCK)
        logging.getLogger("uvicorn.error").disabled = True
        config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def __enter__(self) -> "Served":
        self._thread.start()  # what is asked before it listens waits in the socket
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=10)
        self._socket.close()
        self.items.close()
        self.decisions.close()
