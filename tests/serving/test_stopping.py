"""A server that starts and stops: what runs is finished, what comes is refused, nothing is left over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from serving.serving_kit import DEADLINE_S, ENDLESS, Counting, serve, until, words
from valley.cli import run
from valley.errors import ConfigError
from valley.serving.app import create_app
from valley.serving.limits import ServeSettings
from valley.serving.media import MediaGate, MediaSettings
from valley.serving.running import Running


def ready(server) -> tuple[int, str]:
    response = httpx.get(f"{server.url}/health/ready")
    return response.status_code, response.json()["state"]


def test_it_is_live_while_the_model_is_loaded_and_then_ready(tmp_path):
    go = threading.Event()

    def load():
        assert go.wait(DEADLINE_S)
        return Counting()

    with serve(load, tmp_path / "spool", wait=False) as server:
        until(lambda: httpx.get(f"{server.url}/health/live").status_code == 200)
        assert ready(server) == (503, "loading")
        assert httpx.get(f"{server.url}/health").json() == {"live": True, "ready": False, "state": "loading"}
        refused = server.post(words())
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert httpx.get(f"{server.base_url}/models").status_code == 503
        go.set()
        until(lambda: ready(server) == (200, "ready"))
        assert httpx.get(f"{server.url}/health").status_code == 200
        assert server.post(words()).status_code == 200


def test_a_model_that_cannot_be_loaded_ends_the_server(tmp_path):
    def load():
        raise ConfigError("there is no such model")

    settings = ServeSettings(port=0)
    gate = MediaGate(MediaSettings(), tmp_path)
    running = Running(create_app(load, settings, media=gate), settings)
    with pytest.raises(ConfigError, match="no such model"):
        running.run()
    assert not list(tmp_path.glob("*/*"))


def test_what_runs_is_finished_and_what_comes_is_refused(tmp_path):
    engine = Counting(max_concurrency=2)
    engine.go.clear()
    with serve(engine, tmp_path / "spool") as server, ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(server.post, words(stream=stream)) for stream in (True, False)]
        until(lambda: engine.running == 2)
        with httpx.Client() as client:
            assert client.get(f"{server.url}/health/ready").status_code == 200
            server.running.stop()
            until(lambda: client.get(f"{server.url}/health/ready").status_code == 503)
            assert client.get(f"{server.url}/health/live").status_code == 200
            refused = client.post(f"{server.base_url}/chat/completions", json=words())
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
            assert "retry-after" in refused.headers
        engine.go.set()
        assert asked[0].result().text.endswith("data: [DONE]\n\n")
        assert asked[1].result().json()["choices"][0]["message"]["content"] == "0 1 2 3 4 "
    assert engine.is_closed


def test_what_outlives_the_grace_ends_with_an_error(tmp_path):
    engine = Counting(num_words=ENDLESS, max_concurrency=2)
    with serve(engine, tmp_path / "spool", grace_s=0.3, max_tokens=ENDLESS) as server:
        body = words(stream=True, max_tokens=ENDLESS)
        with httpx.stream("POST", f"{server.base_url}/chat/completions", json=body, timeout=60) as stream:
            lines = stream.iter_lines()
            next(lines)
            server.running.stop()
            assert [line for line in lines if "shutting_down" in line]
    assert engine.num_closed_early == 1
    assert engine.is_closed


def test_nothing_is_left_of_the_media(server, engine, tmp_path, clip_files):
    with (clip_files / "a.mp4").open("rb") as file:
        assert httpx.post(f"{server.base_url}/files", files={"file": file}).status_code == 200
    assert list((tmp_path / "spool").rglob("*.mp4"))
    server.running.stop()
    until(lambda: engine.is_closed)
    until(lambda: not list((tmp_path / "spool").rglob("*.mp4")))


def test_a_taken_port_is_named(server, tmp_path):
    with pytest.raises(ConfigError, match="cannot listen there"):
        Running(
            create_app(Counting(), ServeSettings(), media=server.service.gate),
            ServeSettings(port=server.running.port),
        )


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_command_lets_nobody_else_in_without_keys(capsys, monkeypatch, host):
    monkeypatch.delenv("VALLEY_API_KEYS", raising=False)
    assert run(["serve", "--host", host, "--port", "0"]) == 1
    assert "--insecure" in capsys.readouterr().err


def test_the_command_refuses_a_file_without_keys(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("VALLEY_API_KEYS", raising=False)
    (tmp_path / "keys").write_text("# none yet\n")
    assert run(["serve", "--api-keys", str(tmp_path / "keys"), "--port", "0"]) == 1
    assert "holds no key" in capsys.readouterr().err


@pytest.mark.parametrize("words_", [["--max-tokens", "0"], ["--max-pixels", "0"], ["--request-timeout", "0"]])
def test_the_command_refuses_limits_that_let_nothing_through(capsys, words_):
    assert run(["serve", "--port", "0", *words_]) == 1
    assert "must be" in capsys.readouterr().err


KEY = {"authorization": "Bearer key-of-the-test"}


def test_the_command_answers_with_the_embedded_model_and_ends_when_told(monkeypatch, capsys):
    monkeypatch.setenv("VALLEY_API_KEYS", "key-of-the-test")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"

    def ask():
        try:
            until(lambda: answers(f"{url}/health/ready"))
            page = httpx.get(url).text
            refused = httpx.post(f"{url}/v1/chat/completions", json=words()).status_code
            answer = httpx.post(
                f"{url}/v1/chat/completions", json=words(max_tokens=4), headers=KEY, timeout=60
            )
            return page, refused, answer.json()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        assert run(["serve", "--port", str(port)]) == 0
    page, refused, answer = asked.result()
    assert page.startswith("<!doctype html>")
    assert refused == 401
    assert answer["model"] == "valley-mini"
    said = capsys.readouterr()
    assert f"{url}/v1" in said.out
    assert "POST /v1/chat/completions 401" in said.err
    assert "key-of-the-test" not in said.out + said.err


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.ConnectError:
        return False


PROCESS = """
import sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from serving.serving_kit import ENDLESS, Counting, MediaGate, MediaSettings, Running
from serving.serving_kit import ServeSettings, create_app
settings = ServeSettings(port=0, max_tokens=ENDLESS)
with tempfile.TemporaryDirectory() as spool:
    app = create_app(Counting(num_words=ENDLESS), settings, media=MediaGate(MediaSettings(), Path(spool)))
    running = Running(app, settings)
    print(running.address, flush=True)
    running.run()
"""


def test_a_second_signal_ends_at_once():
    folder = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, folder], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        until(lambda: answers(f"{url}/health/ready"))
        body = words(stream=True, max_tokens=ENDLESS)
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as stream:
            lines = stream.iter_lines()  # an iterator that nobody holds closes the connection
            next(lines)
            process.send_signal(signal.SIGINT)
            until(lambda: httpx.get(f"{url}/health/ready").status_code == 503)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE_S) == 128 + signal.SIGINT
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
