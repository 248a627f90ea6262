"""`valley ui`: what it refuses, and that it runs."""

import os
import re
import signal
import subprocess
import sys

import httpx
import pytest

from ui.scripted import ScriptedServer, Served

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("VALLEY_API_KEY", "OPENAI_API_KEY", "NO_KEY_HERE")
}


def _ui(*arguments: str, **environment: str):
    command = [sys.executable, "-m", "valley", "ui", *arguments]
    env = {**ENVIRONMENT, **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "no-such-model"), "no such model"),
        (("--base-url", "nonsense"), "want a base URL such as http://127.0.0.1:8000/v1, got 'nonsense'"),
        (("--api-key-env", "NO_KEY_HERE"), "give its --base-url too"),
        (("--base-url", "http://a/v1", "--host", "0.0.0.0"), "say --insecure if they may"),
        (("--base-url", "http://a/v1", "--api-key-env", "NO_KEY_HERE"), "the variable is not set"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(arguments, said):
    with _ui(*arguments) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said in errors
    assert "Traceback" not in errors


def test_it_shows_the_page_with_the_key_of_a_variable_until_it_is_told_to_stop():
    scripted = ScriptedServer()
    with Served(scripted.app) as upstream:
        options = ("--base-url", f"{upstream.root}/v1", "--port", "0", "--api-key-env", "MY_KEY")
        with _ui(*options, MY_KEY="the-key") as process:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
            assert "Valley" in httpx.get(address, trust_env=False).text
            asked = {"messages": [{"role": "user", "content": "echo hello"}]}
            answer = httpx.post(f"{address}v1/chat/completions", json=asked, trust_env=False, timeout=20)
            assert "hello" in answer.text
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
    assert scripted.keys == ["Bearer the-key"]
    assert process.returncode in (0, 130)


def test_without_a_server_it_serves_a_model_itself():
    with _ui("--port", "0", "--model", "valley-mini") as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        address = next(line.split()[1] for line in lines if line.startswith("page"))
        assert "Valley" in httpx.get(address, trust_env=False).text
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode in (0, 130)


def test_the_page_needs_no_model_stack():
    script = (
        "import sys; from valley.ui.app import proxy_app; proxy_app('http://a/v1'); "
        "print([name for name in ('torch', 'transformers', 'valley.inference', 'valley.serving') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=ENVIRONMENT,
    )
    assert done.stdout.strip() == "[]"
