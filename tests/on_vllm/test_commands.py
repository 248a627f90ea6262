"""What people type, with vLLM as the model: chat, batch, eval and its comparison, instruct, the page."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from valley.cli import run as command
from valley.instruct.gateway.starting import ask, find, stop

pytestmark = pytest.mark.slow
pytest.importorskip("vllm", reason="needs vLLM: make test-vllm")

Capture = pytest.CaptureFixture[str]
NUM_TOKENS = "24"
QUESTIONS: list[dict[str, Any]] = [
    {"video": "a.mp4", "question": "Which way does the square move?", "answer": "To the right."},
    {"video": "b.mp4", "start": 1.0, "end": 2.5, "question": "Does it move?", "answer": "yes"},
    {"image": "photo.png", "question": "Which one?", "choices": ["a cat", "a square"], "answer": "B"},
]


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_chat_tells_which_frames_were_sent(server, clip_files: Path, capsys: Capture) -> None:
    words = ["chat", str(clip_files / "a.mp4"), "-q", "Which way?", "--num-frames", "4", "--json"]
    assert command([*words, "--max-new-tokens", NUM_TOKENS, "--base-url", f"{server[2]}/v1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["media"][0]["timestamps_s"]) == 4
    assert told["usage"]["completion"] > 0


def test_two_evaluations_are_equal(server, clip_files: Path, tmp_path: Path, capsys: Capture) -> None:
    questions = tmp_path / "my_questions.jsonl"
    rows = [
        {**row, kind: str(clip_files / row[kind])}
        for row in QUESTIONS
        for kind in ("video", "image")
        if kind in row
    ]
    questions.write_text("\n".join(map(json.dumps, rows)))
    runs = [tmp_path / "a", tmp_path / "b"]
    for out in runs:
        words = ["eval", str(questions), "--base-url", f"{server[2]}/v1", "--max-new-tokens", NUM_TOKENS]
        assert command([*words, "--out", str(out), "--json"]) == 0
        counts = json.loads(capsys.readouterr().out)["counts"]
        assert counts["errors"] == 0
        answers = _lines(out / "answers.jsonl")
        assert len(answers) == counts["questions"] > len(rows)
        assert Counter(a["variant"] for a in answers)["normal"] == len(rows)
        assert all(a["usage"]["completion"] > 0 and not a["error"] for a in answers)
        assert len({a["answer"] for a in answers}) > len(rows)
    assert command(["eval", "diff", *map(str, runs)]) == 0
    lines = (runs[1] / "answers.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    changed = json.loads(lines[0]) | {"answer": "something else"}
    (runs[1] / "answers.jsonl").write_text(json.dumps(changed) + "\n" + "".join(lines[1:]), encoding="utf-8")
    assert command(["eval", "diff", *map(str, runs)]) == 1


def test_a_batch_answers_every_row(server, clip_files: Path, tmp_path: Path) -> None:
    content = [{"type": "video_url", "video_url": {"url": "a.mp4"}}, {"type": "text", "text": "Which way?"}]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": int(NUM_TOKENS)}
    rows = [
        {"custom_id": f"r{n}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        for n in range(3)
    ]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    words = ["batch", str(source), str(out), "--base-url", f"{server[2]}/v1"]
    assert command([*words, "--media-root", str(clip_files)]) == 0
    answers = [row["response"]["body"]["choices"][0]["message"]["content"] for row in _lines(out)]
    assert len(answers) == len(rows)
    assert answers[0]
    assert len(set(answers)) == 1


def test_instruct_has_every_call_answered(server, tmp_path: Path) -> None:
    """Random weights write rubbish, which the checks refuse: that no call fails is what is looked at."""
    corpus, out = tmp_path / "corpus", tmp_path / "c.jsonl"
    rendered = ["collect", "synthetic", str(tmp_path / "clips"), "--set", "num_clips=2"]
    assert command([*rendered, "near_duplicate_distance=null", "-o", str(corpus)]) == 0
    words = ["instruct", str(corpus), "-o", str(out), "--tasks", "short_caption,counting"]
    words += ["--languages", "en,es", "--num-frames", "2", "--model", "m", "--base-url", f"{server[2]}/v1"]
    try:
        assert command(words) == 2
        found = find(tmp_path / "c_calls")
        assert found is not None
        told = ask(found, "GET", "/stats")
    finally:
        if (found := find(tmp_path / "c_calls")) is not None:
            stop(tmp_path / "c_calls", found)
    assert told is not None
    assert told["failures"] == {}
    assert told["unknown_outcomes"] == []
    given_up = _lines(tmp_path / "c.quarantine.jsonl")
    assert len(given_up) + len(_lines(out)) == 4
    replies = [tried["content"] for line in given_up for tried in line["tries"]]
    assert len(replies) >= len(given_up)
    assert all(reply.startswith("{") for reply in replies), "vLLM holds the model to the schema"


def test_the_page_asks_through_its_proxy(server, clip_files: Path) -> None:
    import httpx

    words = [sys.executable, "-m", "valley", "ui", "--base-url", f"{server[2]}/v1", "--port", "0"]
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": int(NUM_TOKENS)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert "Valley" in httpx.get(address, trust_env=False).text
            answer = httpx.post(f"{address}v1/chat/completions", json=asked, trust_env=False, timeout=120)
            assert answer.status_code == 200, answer.text
            assert answer.json()["choices"][0]["message"]["content"]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
