"""Who may ask, and what is kept apart."""

from __future__ import annotations

import hashlib
import http.client
import json
from contextlib import suppress

import httpx
import openai
import pytest

from serving.serving_kit import DEADLINE_S, about, data_url, serve, video, words
from valley.errors import ConfigError
from valley.serving.errors import RequestError
from valley.serving.keys import Keys

ANN, BOB = "ann-0123456789", "bob-0123456789"


def bearer(key):
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def server(engine, tmp_path):
    hashed = f"sha256:{hashlib.sha256(BOB.encode()).hexdigest()}"
    with serve(engine, tmp_path / "spool", keys=(ANN, hashed)) as running:
        yield running


def test_only_keys_open(server):
    assert server.post(words()).status_code == 401
    wrong = server.post(words(), headers=bearer("eve-0123456789"))
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "eve" not in wrong.text
    for key in (ANN, BOB):
        assert server.post(words(), headers=bearer(key)).status_code == 200
    assert server.post(words(), headers={"authorization": f"bearer  {ANN}"}).status_code == 200
    for path in ("/v1/models", "/v1/files", "/metrics"):
        assert httpx.get(server.url + path).status_code == 401
        assert httpx.get(server.url + path, headers=bearer(ANN)).status_code == 200
    for path in ("/health/live", "/health/ready", "/health", "/docs", "/openapi.json"):
        assert httpx.get(server.url + path).status_code == 200


def test_a_refusal_is_heard_by_who_is_still_sending(server):
    body, wrong = b"x" * 20_000_000, bearer("wrong")
    response = httpx.post(f"{server.base_url}/chat/completions", content=body, headers=wrong)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    # This client, unlike httpx, reads nothing before all is sent.
    stubborn = http.client.HTTPConnection("127.0.0.1", server.running.port, timeout=DEADLINE_S)
    elsewhere = {"host": "elsewhere.example", **wrong}
    for headers, status, code in ((wrong, 401, "invalid_api_key"), (elsewhere, 403, "host_header")):
        stubborn.request("POST", "/v1/files", body, headers)
        answer = stubborn.getresponse()
        assert (answer.status, json.load(answer)["error"]["code"]) == (status, code)
    stubborn.close()


def test_what_never_ends_is_not_heard_out(server):
    num_sent = 0

    def endless():
        nonlocal num_sent
        while num_sent < 2000:
            num_sent += 1
            yield b"x" * 50_000

    with suppress(httpx.HTTPError):
        httpx.post(f"{server.base_url}/chat/completions", content=endless(), headers=bearer("wrong"))
    assert num_sent < 1000


def test_files_belong_to_the_key_that_brought_them(server, clip_files):
    with (
        openai.OpenAI(base_url=server.base_url, api_key=ANN) as ann,
        openai.OpenAI(base_url=server.base_url, api_key=BOB) as bob,
    ):
        made = ann.files.create(file=clip_files / "a.mp4", purpose="user_data")
        assert bob.files.list().data == []
        for attempt in (bob.files.retrieve, bob.files.content, bob.files.delete):
            with pytest.raises(openai.NotFoundError):
                attempt(made.id)
        with pytest.raises(openai.NotFoundError):
            bob.chat.completions.create(model="", messages=about(video(made.id)))
        assert ann.chat.completions.create(model="", messages=about(video(made.id))).choices


def test_work_is_kept_for_its_key_alone(server, engine, clip_files):
    body = {"messages": about(video(data_url(clip_files / "a.mp4")))}
    for key in (ANN, BOB, ANN):
        assert server.post(body, headers=bearer(key)).status_code == 200
    scopes = [params.cache_scope for _, params in engine.asked]
    assert scopes[0] == scopes[2] != scopes[1]
    assert "" not in scopes
    assert not any(ANN in scope or BOB in scope for scope in scopes)
    places = [conversation.media[0].source for conversation, _ in engine.asked]
    assert places[0] == places[2] != places[1]


def test_keys_are_read_from_lines():
    keys = Keys.from_text(f"# those of the team\n{ANN}\n\n  {BOB}  \n{ANN}\n")
    assert len(keys) == 2
    assert keys.owner(f"Bearer {ANN}") != keys.owner(f"Bearer {BOB}")
    assert ANN not in repr(vars(keys))


@pytest.mark.parametrize("line", ["short", "with a space in it", "sha256:12", "schlüssel-schlüssel"])
def test_what_is_no_key_is_refused(line):
    with pytest.raises(ConfigError):
        Keys([line])


@pytest.mark.parametrize("header", [None, "", "Basic abc", "Bearer", "Bearer ", ANN, "Bearer \udcff"])
def test_headers_without_a_key_are_refused(header):
    with pytest.raises(RequestError) as error:
        Keys([ANN]).owner(header)
    assert error.value.status == 401


def test_without_keys_everybody_is_the_same_owner():
    assert Keys().owner(None) == Keys().owner("Bearer anything") == ""


def test_a_cache_of_the_model_is_not_shared_between_keys(tiny_checkpoint, tmp_path, clip_files):
    from valley.inference.backends.transformers import TransformersBackend

    backend = TransformersBackend.from_pretrained(str(tiny_checkpoint), device="cpu")
    body = {"messages": about(video(data_url(clip_files / "a.mp4"))), "max_tokens": 2}

    def cached(key) -> int:
        usage = server.post(body, headers=bearer(key)).json()["usage"]
        return usage["prompt_tokens_details"]["cached_tokens"]

    with serve(backend, tmp_path / "spool", keys=(ANN, BOB)) as server:
        assert cached(ANN) == 0
        assert cached(BOB) == 0
        assert cached(ANN) > 0
