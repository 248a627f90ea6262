"""`valley batch`: every row gets its result, once, whatever the row, the model, the server or a kill does."""

from __future__ import annotations

import base64
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripted_server import Server, chunk, fails, streams
from valley.cli import run
from valley.conversation import Conversation
from valley.errors import ConfigError, EngineUnavailableError, MediaError
from valley.inference.backend import Capabilities, Finish, GenerationParams, Piece, Timing, Usage
from valley.inference.backends._server import Patience
from valley.inference.backends.openai import OpenAIBackend
from valley.serving.batch import BatchSettings, BatchSummary, run_batch


class Echo:
    """An engine that says what it is asked; some questions are too much for it."""

    def __init__(
        self,
        *,
        max_concurrency: int = 4,
        before: Callable[[str], None] | None = None,
        mended: bool = False,
    ) -> None:
        self._mended = mended
        self.capabilities = Capabilities("echo", ("image", "video"), None, max_concurrency=max_concurrency)
        self.asked: list[tuple[Conversation, GenerationParams]] = []
        self.is_closed = False
        self._before = before or (lambda words: None)

    def look(self, medium: Any, params: GenerationParams) -> Any:
        raise NotImplementedError

    def stream(self, conversation: Conversation, params: GenerationParams) -> Iterator[Piece]:
        self.asked.append((conversation, params))
        words = conversation.messages[-1].text
        self._before(words)
        if words == "bad medium" and not self._mended:
            raise MediaError("a.mp4", "is no video")
        if words == "gone":
            raise EngineUnavailableError("the server is away")
        yield Piece(f"echo: {words}")
        yield Piece("", Finish("stop", Usage(1, 0, 1), Timing(0.0, 0.0, 0.0)))

    def identity(self) -> dict[str, Any]:
        return {"engine": "echo", "model": "echo"}

    def close(self) -> None:
        self.is_closed = True


def request(name: str, words: str, **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": words}]
    return {
        "custom_id": name,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "m", "messages": messages, **body},
    }


@pytest.fixture
def batch(tmp_path):
    """Run rows (records, or lines as they are) through an engine; give summary and results."""

    def go(rows: list[Any] | None, backend: Any = None, **settings: Any) -> tuple[BatchSummary, list[Any]]:
        if rows is not None:
            write(tmp_path / "in.jsonl", rows)
        (tmp_path / "spool").mkdir(exist_ok=True)
        done = run_batch(
            backend or Echo(),
            tmp_path / "in.jsonl",
            tmp_path / "out.jsonl",
            tmp_path / "spool",
            BatchSettings(**settings),
        )
        return done, read(tmp_path / "out.jsonl")

    return go


def write(path: Path, rows: list[Any]) -> None:
    lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def said(result: Any) -> str:
    return result["response"]["body"]["choices"][0]["message"]["content"]


def test_results_stand_in_the_order_of_the_rows(batch) -> None:
    waits = {"q0": threading.Event()}

    def before(words: str) -> None:
        if words == "q0":
            assert waits["q0"].wait(10)
        if words == "q9":
            waits["q0"].set()

    done, results = batch([request(f"r{n}", f"q{n}") for n in range(10)], Echo(before=before))
    assert [r["custom_id"] for r in results] == [f"r{n}" for n in range(10)]
    assert [said(r) for r in results] == [f"echo: q{n}" for n in range(10)]
    assert (done.answered, done.failed, done.kept) == (10, 0, 0)
    first = results[0]
    assert first.keys() == {"id", "custom_id", "response", "error"}
    assert (first["response"]["status_code"], first["error"]) == (200, None)
    assert first["response"]["body"]["object"] == "chat.completion"


def test_bad_rows_become_errors_and_stop_nothing(batch) -> None:
    rows: list[Any] = [
        request("ok", "hello"),
        "{not json",
        "[1, 2]",
        {"method": "POST", "url": "/v1/chat/completions", "body": {}},
        {**request("embeddings", "x"), "url": "/v1/embeddings"},
        request("tools", "x", tools=[{"type": "function"}]),
        request("medium", "bad medium"),
        request("hot", "x", temperature=-1),
        request("address", "x") | {"body": address("http://localhost/a.mp4")},
        {"id": "talk", "messages": [{"role": "robot", "content": "x"}]},
        '{"custom_id": "surrogate", "method": "POST", "url": "/v1/chat/completions", "body": '
        '{"messages": [{"role": "user", "content": "\\ud800"}]}}',
        "[" * 5000,
        request("last", "bye"),
    ]
    done, results = batch(rows)
    assert (done.answered, done.failed) == (2, len(rows) - 2)
    assert [r["error"] is None for r in results] == [True, *[False] * (len(rows) - 2), True]
    assert results[1]["response"] is None
    assert "line 2" in results[1]["error"]["message"]
    assert results[5]["response"]["status_code"] == 400
    assert "tools" in results[5]["response"]["body"]["error"]["message"]
    assert "a.mp4" in results[6]["error"]["message"]
    assert "download" in results[8]["error"]["message"]


def address(url: str) -> dict[str, Any]:
    part = {"type": "video_url", "video_url": {"url": url}}
    return {"messages": [{"role": "user", "content": [part, {"type": "text", "text": "what?"}]}]}


def test_two_rows_of_one_name_are_refused_before_anything_is_asked(batch, tmp_path) -> None:
    echo = Echo()
    with pytest.raises(ConfigError, match=r"in\.jsonl:3.*'a'.*line 1"):
        batch([request("a", "x"), request("b", "y"), request("a", "z")], echo)
    assert not echo.asked
    assert not (tmp_path / "out.jsonl").exists()


def test_an_empty_file_gives_an_empty_file(batch, tmp_path) -> None:
    done, results = batch(["", "  "])
    assert (done.rows, results) == (0, [])
    assert (tmp_path / "out.jsonl").exists()


def test_every_script(batch) -> None:
    words = "¿Qué pasa? 红色的圆 \u2028 🎬 مرحبا"
    _, results = batch([request("名前", words)])
    assert results[0]["custom_id"] == "名前"
    assert said(results[0]) == f"echo: {words}"


def test_a_second_run_asks_nothing(batch) -> None:
    rows = [request(f"r{n}", f"q{n}") for n in range(5)]
    _, before = batch(rows)
    echo = Echo()
    done, after = batch(None, echo)
    assert not echo.asked
    assert after == before
    assert done.kept == 5


def test_failed_rows_are_asked_again_when_that_is_wanted(batch) -> None:
    rows = [request("a", "x"), request("b", "bad medium"), request("c", "y")]
    batch(rows)
    echo = Echo()
    assert batch(None, echo)[0].failed_in_all == 1
    assert not echo.asked

    done, results = batch(None, Echo(mended=True), retry_failed=True)
    assert (done.answered, done.kept, done.failed_in_all) == (1, 2, 0)
    assert [r["custom_id"] for r in results] == ["a", "b", "c"]
    assert said(results[1]) == "echo: bad medium"


def test_a_limit_leaves_the_rest_for_later(batch) -> None:
    rows = [request(f"r{n}", f"q{n}") for n in range(5)]
    done, results = batch(rows, limit=2)
    assert (done.rows, len(results)) == (2, 2)
    done, results = batch(None)
    assert (done.answered, done.kept, len(results)) == (3, 2, 5)
    assert len(batch(None, limit=1)[1]) == 5


def test_a_row_that_was_changed_is_another_row(batch) -> None:
    batch([request("a", "x"), request("b", "bad medium")])
    done, results = batch([request("a", "x"), request("b", "mended")])
    assert (done.kept, done.answered) == (1, 1)
    assert [said(r) for r in results] == ["echo: x", "echo: mended"]
    with pytest.raises(ConfigError, match="was changed"):
        batch([request("a", "other words"), request("b", "mended")])


def test_a_file_that_holds_something_else_is_not_touched(batch, tmp_path) -> None:
    for content in ("a diary\n", '{"id": "x"}\n', "a diary without an end"):
        (tmp_path / "out.jsonl").write_text(content)
        with pytest.raises(ConfigError, match=r"out\.jsonl:1.*another file"):
            batch([request("a", "x")])
        assert (tmp_path / "out.jsonl").read_text() == content


def test_answers_of_another_model_are_not_mixed_in(batch) -> None:
    batch([request("a", "x")])
    other = Echo()
    other.capabilities = Capabilities("other", ("video",), None)
    with pytest.raises(ConfigError, match="answer of echo, not of other"):
        batch([request("a", "x"), request("b", "y")], other)


def test_the_rows_themselves_are_not_written_over(tmp_path) -> None:
    write(tmp_path / "in.jsonl", [request("a", "x")])
    with pytest.raises(ConfigError, match="file of rows"):
        run_batch(Echo(), tmp_path / "in.jsonl", tmp_path / "in.jsonl", tmp_path, BatchSettings())


def test_two_runs_do_not_write_one_file(batch, tmp_path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def before(words: str) -> None:
        inside.set()
        assert go_on.wait(10)

    first = threading.Thread(target=lambda: batch([request("a", "x")], Echo(before=before)))
    first.start()
    assert inside.wait(10)
    try:
        with pytest.raises(ConfigError, match="another run writes it"):
            batch(None)
    finally:
        go_on.set()
        first.join()
    assert said(read(tmp_path / "out.jsonl")[0]) == "echo: x"


@pytest.mark.parametrize("cut", [1, 10, 60, 200])
def test_a_torn_line_is_cut_off_and_its_row_asked_again(batch, tmp_path, cut: int) -> None:
    rows = [request(f"r{n}", f"q{n}") for n in range(3)]
    _, whole = batch(rows)
    data = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "out.jsonl").write_bytes(data[:-cut])
    echo = Echo()
    done, results = batch(None, echo)
    assert len(echo.asked) == 1
    assert done.torn_bytes > 0
    assert results[:2] == whole[:2]
    assert said(results[2]) == "echo: q2"


def test_a_result_that_is_there_twice_is_there_once_at_the_end(batch, tmp_path) -> None:
    _, whole = batch([request("a", "x"), request("b", "y")])
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "out.jsonl").write_bytes(lines[1] + lines[0] + lines[1])
    assert batch(None)[1] == whole


# What rows ask


def test_the_request_reaches_the_engine(batch, tmp_path, clip_files) -> None:
    echo, clip = Echo(), (clip_files / "a.mp4").read_bytes()
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a b.mp4").write_bytes(clip)
    (tmp_path / "photo.png").write_bytes((clip_files / "photo.png").read_bytes())
    url = f"data:video/mp4;base64,{base64.b64encode(clip).decode()}"
    parts = [
        {"type": "video_url", "video_url": {"url": "clips/a b.mp4", "start": 1.0}},
        {"type": "video_url", "video_url": {"url": f"file://{tmp_path}/clips/a%20b.mp4"}},
        {"type": "image_url", "image_url": {"url": "photo.png"}},
        {"type": "video_url", "video_url": {"url": url}},
        {"type": "text", "text": "what?"},
    ]
    body = {
        "messages": [{"role": "user", "content": parts}],
        "max_tokens": 9,
        "num_frames": 4,
        "language": "zh",
    }
    batch([request("a", "x") | {"body": body}], echo)
    (conversation, params) = echo.asked[0]
    first, second, picture, inline = conversation.media
    assert (first.source, first.start_s) == (str(tmp_path / "clips" / "a b.mp4"), 1.0)
    assert second.source == first.source
    assert picture.source == str(tmp_path / "photo.png")
    assert Path(inline.source).suffix == ".mp4"
    assert (params.max_new_tokens, params.answer_language) == (9, "zh")
    assert params.sampling is not None
    assert params.sampling.num_frames == 4


def test_paths_may_begin_elsewhere(batch, tmp_path) -> None:
    echo = Echo()
    batch([request("a", "x") | {"body": address("a.mp4")}], echo, media_root=tmp_path / "videos")
    assert echo.asked[0][0].media[0].source == str(tmp_path / "videos" / "a.mp4")


def test_conversations_are_rows_too(batch, tmp_path) -> None:
    talk = {
        "id": "t",
        "language": "en",
        "messages": [
            {
                "role": "user",
                "content": [{"type": "video", "path": "a.mp4"}, {"type": "text", "text": "one"}],
            },
            {"role": "assistant", "content": "1"},
            {"role": "user", "content": "two"},
            {"role": "assistant", "content": "the answer that is known"},
        ],
    }
    echo = Echo()
    _, results = batch([talk, {"messages": [{"role": "user", "content": "nameless"}]}], echo)
    assert [r["custom_id"] for r in results] == ["t", "line-2"]
    assert said(results[0]) == "echo: two"
    asked = next(c for c, _ in echo.asked if c.id == "t")
    assert [m.role for m in asked.messages] == ["user", "assistant", "user"]
    assert asked.media[0].source == str(tmp_path / "a.mp4")


# Servers


def test_a_server_that_is_gone_ends_the_run_and_costs_no_row(batch, tmp_path) -> None:
    rows = [request(f"r{n}", "x" if n < 3 else "gone") for n in range(40)]
    echo = Echo(max_concurrency=2)
    with pytest.raises(EngineUnavailableError, match=r"is away.*run the same again"):
        batch(rows, echo, stop_when_unavailable=True)
    assert echo.is_closed
    assert len(echo.asked) < 20
    assert {r["custom_id"] for r in read(tmp_path / "out.jsonl")} == {"r0", "r1", "r2"}


def test_a_row_that_the_server_dies_of_fails_alone(batch) -> None:
    rows = [request(f"r{n}", "gone" if n == 1 else "x") for n in range(12)]
    done, results = batch(rows, Echo(max_concurrency=1), stop_when_unavailable=True)
    assert (done.answered, done.failed) == (11, 1)
    assert results[1]["response"]["status_code"] == 503


def test_through_a_server(batch) -> None:
    with Server(
        [fails(429, retry_after="0"), streams(chunk("Hello"), chunk(finish_reason="stop"))]
    ) as server:
        backend = OpenAIBackend.connect(server.url, patience=Patience(retry_s=5))
        done, results = batch([request(f"r{n}", f"q{n}") for n in range(6)], backend)
        backend.close()
    assert (done.answered, done.failed) == (6, 0)
    assert {said(r) for r in results} == {"Hello"}


# Kills


def test_a_failure_within_the_run_keeps_what_was_done(batch, tmp_path) -> None:
    def before(words: str) -> None:
        if words == "q7":
            raise KeyboardInterrupt

    rows = [request(f"r{n}", f"q{n}") for n in range(20)]
    with pytest.raises(KeyboardInterrupt):
        batch(rows, Echo(before=before, max_concurrency=1))
    kept = read(tmp_path / "out.jsonl")
    assert len(kept) >= 6
    done, results = batch(None)
    assert done.kept == len(kept)
    assert [r["custom_id"] for r in results] == [f"r{n}" for n in range(20)]


NUM_ROWS = 60


def _echoes(handler: Any, asked: Any) -> None:
    time.sleep(0.02)  # a model takes its time; nothing waits for this
    words = asked.json["messages"][-1]["content"]
    streams(chunk(f"echo: {words} " + "x" * 2000), chunk(finish_reason="stop"))(handler, asked)


def _kill_and_go_on(tmp_path: Path, *, kills: int, seed: int) -> None:
    """Kill runs at random moments until enough were; then let one end, and look at what there is."""
    draw = random.Random(seed)
    write(tmp_path / "in.jsonl", [request(f"r{n}", f"q{n}") for n in range(NUM_ROWS)])
    out = tmp_path / "out.jsonl"
    kept: dict[str, Any] = {}
    with Server([_echoes], {"/v1/models": {"data": [{"id": "m"}]}}) as server:
        command = [sys.executable, "-m", "valley", "batch", str(tmp_path / "in.jsonl"), str(out)]
        command += ["--base-url", server.url, "--concurrency", "2"]
        for number in range(kills):
            process = subprocess.Popen(command, stderr=subprocess.PIPE)
            wanted = len(kept) + draw.randint(1, max(NUM_ROWS // (kills + 1), 1))
            until_s = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < until_s:
                lines = out.read_bytes().count(b"\n") if out.exists() else 0
                if lines >= wanted:
                    break
                time.sleep(0.002)
            time.sleep(draw.random() * 0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL, f"run {number} ended before it was killed"
            whole = [line for line in out.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
            now = {json.loads(line)["custom_id"]: json.loads(line) for line in whole}
            assert len(now) == len(whole), "a row is there twice"
            assert all(now[name] == result for name, result in kept.items()), "a result was lost"
            kept = now
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = read(out)
    assert [r["custom_id"] for r in results] == [f"r{n}" for n in range(NUM_ROWS)]
    assert all(said(r).startswith(f"echo: q{n} ") for n, r in enumerate(results))
    assert all(results[int(name[1:])] == result for name, result in kept.items())
    asked = [c["messages"][-1]["content"] for c in server.chats]
    assert len(asked) <= NUM_ROWS + kills * 4, "rows that had their result were asked again"


def test_two_kills_lose_nothing(tmp_path) -> None:
    _kill_and_go_on(tmp_path, kills=2, seed=1)


@pytest.mark.slow
def test_twelve_kills_lose_nothing(tmp_path) -> None:
    _kill_and_go_on(tmp_path, kills=12, seed=2)


# The command


def test_the_command_and_its_exit_codes(tmp_path, clip_files, capsys) -> None:
    (tmp_path / "a.mp4").write_bytes((clip_files / "a.mp4").read_bytes())
    rows: list[Any] = [request("a", "x") | {"body": {**address("a.mp4"), "max_tokens": 8}}]
    write(tmp_path / "in.jsonl", rows)
    words = ["batch", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl")]
    assert run(words) == 0
    assert "1 rows: 1 answered, 0 failed" in capsys.readouterr().err
    (result,) = read(tmp_path / "out.jsonl")
    assert result["response"]["body"]["model"] == "valley-mini"
    assert len(result["response"]["body"]["media"][0]["timestamps_s"]) == 8
    write(tmp_path / "in.jsonl", [*rows, "rubbish"])
    assert run(words) == 2
    assert "1 results are errors" in capsys.readouterr().err
    assert run(["batch", str(tmp_path / "none.jsonl"), str(tmp_path / "o.jsonl")]) == 1
    assert "none.jsonl" in capsys.readouterr().err


def test_a_server_that_refuses_is_no_error_of_the_run(tmp_path, capsys) -> None:
    write(tmp_path / "in.jsonl", [request("a", "x"), request("b", "y")])
    with Server([fails(400, "no")]) as server:
        code = run(
            ["batch", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"), "--base-url", server.url]
        )
    assert code == 2
    assert all("answers 400: no" in r["error"]["message"] for r in read(tmp_path / "out.jsonl"))
