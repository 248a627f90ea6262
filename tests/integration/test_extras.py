"""What says which extra to install, where a library is absent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SERVER = "http://127.0.0.1:9/v1"
ASKED = "asking a server needs httpx: pip install 'valley-vl[serve]'"
ABSENT = {
    "chat": (["chat", "a.mp4", "-q", "what?", "--base-url", SERVER], "httpx", ASKED),
    "batch": (["batch", "rows.jsonl", "out.jsonl", "--base-url", SERVER], "httpx", ASKED),
    "eval": (["eval", "rows.jsonl", "--out", "run", "--base-url", SERVER], "httpx", ASKED),
    "serve with its page": (["serve"], "starlette", "needs starlette: pip install 'valley-vl[serve]'"),
    "serve": (["serve", "--no-page"], "fastapi", "needs fastapi: pip install 'valley-vl[serve]'"),
    "serve by uvicorn": (["serve"], "uvicorn", "needs uvicorn: pip install 'valley-vl[serve]'"),
    "ui": (["ui", "--base-url", SERVER], "starlette", "needs starlette: pip install 'valley-vl[ui]'"),
    "ui by httpx": (["ui", "--base-url", SERVER], "httpx", "needs httpx: pip install 'valley-vl[ui]'"),
}


@pytest.mark.parametrize(("words", "package", "said"), ABSENT.values(), ids=ABSENT)
def test_a_sentence_names_the_extra(
    words: list[str], package: str, said: str, clip_files: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").symlink_to(clip_files / "a.mp4")
    (tmp_path / "rows.jsonl").write_text('{"video": "a.mp4", "question": "What?", "answer": "red"}\n')
    script = (
        "import sys; sys.modules[sys.argv[1]] = None; from valley.cli import run; sys.exit(run(sys.argv[2:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, package, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
