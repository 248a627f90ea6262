"""What is refused, in OpenAI's shape, with a sentence that says what is supported."""

from __future__ import annotations

import http.client
import json
import socket

import httpx
import openai
import pytest

from serving.serving_kit import Counting, about, data_url, serve, video, words
from valley.errors import (
    BackendError,
    ContextLengthError,
    EngineUnavailableError,
    MediaError,
    SamplingError,
)
from valley.serving.answers import ErrorAnswer


@pytest.fixture(scope="module")
def engine():
    return Counting()


@pytest.fixture(scope="module")
def server(engine, tmp_path_factory):
    small = {"max_messages": 50, "max_characters": 5000, "max_tokens": 100, "max_media": 3, "max_frames": 16}
    with serve(engine, tmp_path_factory.mktemp("spool"), max_body_bytes=300_000, **small) as running:
        yield running


def refused(response, status=400):
    assert response.status_code == status, response.text
    return ErrorAnswer.model_validate(response.json()).error


@pytest.mark.parametrize(
    ("more", "param", "says"),
    [
        ({"tools": [{"type": "function"}]}, "tools", "not supported"),
        ({"functions": [{}]}, "functions", "not supported"),
        ({"logprobs": True}, "logprobs", "not supported"),
        ({"n": 2}, "n", "not supported"),
        ({"presence_penalty": 0.5}, "presence_penalty", "not supported"),
        ({"modalities": ["text", "audio"]}, "modalities", "not supported"),
        ({"num_frame": 3}, "num_frame", "no such field"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"temperature": -1}, "temperature", "greater than or equal"),
        ({"top_p": 0}, "top_p", "greater than"),
        ({"max_tokens": 0}, "max_tokens", "greater than"),
        ({"max_tokens": 101}, "max_tokens", "at most 100"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens", "give one"),
        ({"num_frames": 17}, "num_frames", "at most 16"),
        ({"num_frames": True}, "num_frames", "integer"),
        ({"fps": 0}, "fps", "greater than 0"),
        ({"seed": 2**70}, None, "64 bits"),
        ({"stop": ["x"] * 17}, "stop", "at most 16"),
        ({"stop": ["x" * 300]}, "stop", "at most 256"),
        ({"stop": [""]}, None, "must not be empty"),
        ({"language": "not a tag"}, None, "want a tag"),
        (
            {"response_format": {"type": "json_object"}},
            "response_format",
            "want response_format of type text",
        ),
        ({"response_format": {"type": "xml"}}, "response_format.type", "json_schema"),
        ({"model": "gpt-4o"}, "model", "there is 'counting'"),
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": [{"role": "user", "content": "x"}] * 51}, "messages", "at most 50 messages"),
        ({"messages": [{"role": "user", "content": "x" * 5001}]}, "messages", "at most 5000 characters"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages.0", "must be the user's"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "'user'"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "required"),
        ({"messages": about({"type": "input_audio"})}, "messages.0.content.0", "image_url, video_url"),
        ({"messages": about({"type": "video_url"})}, "messages.0.content.0", "file_id"),
        ({"messages": about(video("nonsense"))}, "messages.0.content.0", "want data:"),
        ({"messages": about(video("data:video/mp4;base64,!!!!"))}, "messages.0.content.0", "base64"),
        ({"messages": about(video("https://example.org/a.mp4"))}, "messages.0.content.0", "upload"),
        ({"messages": about(video("file:///etc/passwd"))}, "messages.0.content.0", ""),
        ({"messages": about(video("file-0000"))}, "messages.0.content.0", "no such file"),
        ({"messages": about(*[video("file-0")] * 4)}, "messages", "at most 3 pictures and clips"),
        ({"messages": [{"role": "system", "content": [video("file-0")]}, *about()]}, None, "user messages"),
    ],
)
def test_what_does_not_fit_is_named(server, more, param, says):
    response = server.post({**words(), **more})
    assert response.status_code in (400, 403, 404)
    error = refused(response, response.status_code)
    assert says in error.message
    if param is not None:
        assert error.param == param


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"[1, 2]",
        b'"text"',
        b"{",
        b"\xff\xfe{}",
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": [{"role": "user", "content": "x"}], "user": "\\udfff"}',
        b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
        b'{"messages": [{"role": "user", "content": "x"}], "temperature": Infinity}',
        b'{"messages": [{"role": "user", "content": "x"}], "temperature": 1e999}',
        b'{"messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 5000 + b"}",
        b'{"messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 4000 + b"}",
        b'{"messages": [{"role": "user", "content": "x"}], "metadata": {"a": '
        + b"[" * 120
        + b"]" * 120
        + b"}}",
        b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"messages": [{"role": "user", "content": "x"}], "metadata": '
        + b'{"a":' * 40_000
        + b"1"
        + b"}" * 40_000
        + b"}",
    ],
    ids=range(16),
)
def test_odd_json_is_refused(server, body):
    response = httpx.post(f"{server.base_url}/chat/completions", content=body)
    refused(response)


def test_ten_thousand_messages_are_refused(server):
    refused(server.post({"messages": [{"role": "user", "content": ""}] * 6000}))


def test_a_body_that_is_too_large_is_not_read_to_its_end(server):
    num_sent = 0

    def endless():
        nonlocal num_sent
        for _ in range(2000):
            num_sent += 1
            yield b"x" * 50_000

    try:
        response = httpx.post(f"{server.base_url}/chat/completions", content=endless())
    except httpx.HTTPError:  # the server closed while the body was on its way
        pass
    else:
        assert refused(response, 413).code == "body_too_large"
    assert num_sent < 1000
    declared = httpx.post(f"{server.base_url}/chat/completions", content=b"x" * 300_001)
    assert refused(declared, 413).code == "body_too_large"
    stubborn = http.client.HTTPConnection("127.0.0.1", server.running.port, timeout=60)
    stubborn.request("POST", "/v1/chat/completions", b"x" * 20_000_000)  # reads nothing before all is sent
    answer = stubborn.getresponse()
    assert (answer.status, json.load(answer)["error"]["code"]) == (413, "body_too_large")
    stubborn.close()


def test_a_body_that_never_comes_ends(engine, tmp_path):
    with (
        serve(engine, tmp_path / "spool", body_timeout_s=1) as slow,
        socket.create_connection(("127.0.0.1", slow.running.port), timeout=20) as line,
    ):
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{")
        assert line.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_clip_that_cannot_be_read_is_refused_before_any_word(server, clip_files, tmp_path):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes((clip_files / "a.mp4").read_bytes()[:700])
    response = server.post({"messages": about(video(data_url(cut))), "stream": True})
    error = refused(response)
    assert error.param == "messages.0.content.0"
    assert str(tmp_path) not in response.text
    assert "/" not in error.message.replace("https://", "")


def test_a_window_outside_the_clip_is_refused(server, clip_files):
    part = video(data_url(clip_files / "a.mp4"), start=100)
    error = refused(server.post({"messages": about(part)}))
    assert error.message == "start_s 100 lies outside the clip, which ends at 3.000 s"
    assert error.code == "sampling"


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (SamplingError("too late", source="/srv/spool/a.mp4"), "too late"),
        (MediaError("/srv/a.mp4", "is cut", "fetch it again"), "is cut; fetch it again"),
        (MediaError("a", "cannot open '/srv/spool/_/1c/000000.jpg'"), "cannot open 'the file'"),
        (
            BackendError("no file:///srv/x/y.mp4, and no ~/z/w or C:\\z\\w"),
            "no the file, and no the file or the file",
        ),
        (
            EngineUnavailableError("http://gpu:8000/v1: no server answers (in time); is it running?"),
            "the server behind this one: no server answers (in time); is it running?",
        ),
        (
            BackendError("and/or 3/4 of <s> and </s>: try 1/2, / or //"),
            "and/or 3/4 of <s> and </s>: try 1/2, / or //",
        ),
    ],
)
def test_no_error_tells_where_things_lie(server, engine, failure, says):
    engine.failure = failure
    try:
        response = server.post(words())
        assert refused(response, response.status_code).message == says
    finally:
        engine.failure = None


def test_frames_of_all_media_have_one_bound(engine, tmp_path, clip_files):
    from valley.video.limits import DecodeLimits

    part = video(data_url(clip_files / "a.mp4"))
    one_clip = 4 * 64 * 96 * 3
    with serve(
        engine, tmp_path / "spool", decode=DecodeLimits(max_memory_bytes=2**28), max_media=9
    ) as running:
        assert running.post({"messages": about(part, part)}).status_code == 200
    assert one_clip < 2**28


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (ContextLengthError("the prompt has 2000 tokens"), 400, "context_length_exceeded"),
        (BackendError("this cannot be done"), 400, "engine_refused"),
        (EngineUnavailableError("out of memory"), 503, "engine_unavailable"),
    ],
)
def test_errors_of_the_engine_before_the_first_word_have_a_status(server, engine, failure, status, code):
    engine.failure = failure
    try:
        for stream in (False, True):
            error = refused(server.post(words(stream=stream)), status)
            assert (error.code, error.message) == (code, str(failure))
    finally:
        engine.failure = None


def test_what_nobody_foresaw_is_an_error_of_the_same_shape(server, engine, caplog):
    engine.failure = RuntimeError("secret of the server")
    try:
        response = server.post(words())
    finally:
        engine.failure = None
    assert refused(response, 500).code == "internal"
    assert "secret" not in response.text
    assert "secret of the server" in caplog.text


def test_an_error_within_a_stream_is_its_last_event(server, engine):
    engine.failure, engine.fails_at = EngineUnavailableError("memory ran out"), 3
    heard = []
    try:
        with openai.OpenAI(base_url=server.base_url, api_key="x", max_retries=0) as client:
            stream = client.chat.completions.create(**words(model="", stream=True))
            said = (heard.append(chunk.choices[0].delta.content) for chunk in stream)
            with pytest.raises(openai.APIError, match="memory ran out"):
                list(said)
    finally:
        engine.failure, engine.fails_at = None, 0
    assert heard == ["", "0 ", "1 ", "2 "]
    assert server.post(words(stream=True)).text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 404),
        ("DELETE", "/v1/models", 404),
        ("GET", "/v1/models/other", 404),
        ("GET", "/v1/files/file-00", 404),
        ("DELETE", "/v1/files/file-00", 404),
        ("GET", "/v1/files/..%2f..%2fetc/content", 404),
        ("GET", "/nothing", 404),
        ("POST", "/v1/files", 400),
    ],
)
def test_unknown_addresses_have_the_same_shape(server, method, path, status):
    refused(httpx.request(method, server.url + path), status)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nvision\r\n--b--\r\n',
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n\r\n--b--\r\n',
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nno clip\r\n--b--\r\n',
        b"--b\r\n" + b"x-header: y\r\n" * 1000,
        b"--b\r\n" + b"x" * 10_000,
        (b'--b\r\ncontent-disposition: form-data; name="x"\r\n\r\n1\r\n' * 100) + b"--b--\r\n",
        b"nothing of a form",
    ],
    ids=range(8),
)
def test_forms_without_a_medium_are_refused(server, content):
    kind = {"content-type": "multipart/form-data; boundary=b"}
    refused(httpx.post(f"{server.base_url}/files", content=content, headers=kind))
    assert server.service.gate.files("") == []
