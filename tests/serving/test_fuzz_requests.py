"""Requests by the thousand, odd and almost right: each is answered, or refused in OpenAI's shape."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from serving.fuzzing import num_open_files
from serving.serving_kit import Counting, data_url, serve
from valley.serving.media import MediaSettings

NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False),
    st.sampled_from([0, 1, 2, 0.5, -1, 1e400 - 1e399, 2**63, 2**64, 1e308]),
)
# Surrogates too: JSON can spell them.
WORDS = st.text(st.characters(), max_size=30)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)
URLS = st.one_of(
    WORDS,
    st.sampled_from(
        [
            "data:",
            "data:video/mp4;base64,AAAA",
            "data:video/jpeg;base64,,,,",
            "data:video/jpeg;fps=-1;base64,AAAA",
            "http://127.0.0.1/",
            "http://[::1]/",
            "https://media.test:99999/a",
            "file:///etc/passwd",
            "file:///%00",
            "file-00000000000000000000000000000000",
            "file-../../etc/passwd",
            "CLIP",
        ]
    ),
    WORDS.map(lambda words: f"data:video/mp4;base64,{words}"),
    WORDS.map(lambda words: f"http://{words}/"),
    WORDS.map(lambda words: f"file://{words}"),
)
MEDIA = st.one_of(
    URLS,
    st.fixed_dictionaries({"url": URLS}, optional={"start": ANYTHING, "end": ANYTHING, "detail": WORDS}),
    st.fixed_dictionaries({"url": URLS}, optional={"start": NUMBERS, "end": NUMBERS}),
    ANYTHING,
)
PARTS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.one_of(WORDS, ANYTHING)}),
    st.fixed_dictionaries({"type": st.just("video_url"), "video_url": MEDIA}),
    st.fixed_dictionaries({"type": st.just("image_url"), "image_url": MEDIA}),
    st.fixed_dictionaries({"type": st.just("input_video"), "file_id": st.one_of(URLS, ANYTHING)}),
    st.fixed_dictionaries({"type": st.just("file"), "file_id": URLS}),
    st.fixed_dictionaries({"type": WORDS}),
    ANYTHING,
)
MESSAGES = st.one_of(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "user", "user", "assistant", "system", "developer", "tool"]),
            "content": st.one_of(WORDS, st.lists(PARTS, max_size=4), ANYTHING),
        }
    ),
    ANYTHING,
)
FIELDS = {
    "model": st.one_of(st.just("counting"), WORDS),
    "max_tokens": NUMBERS,
    "max_completion_tokens": NUMBERS,
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "seed": NUMBERS,
    "stop": st.one_of(WORDS, st.lists(WORDS, max_size=20)),
    "stream": st.booleans(),
    "stream_options": st.one_of(st.just({"include_usage": True}), ANYTHING),
    "n": NUMBERS,
    "num_frames": NUMBERS,
    "fps": NUMBERS,
    "start": NUMBERS,
    "end": NUMBERS,
    "language": WORDS,
    "response_format": st.one_of(st.just({"type": "text"}), ANYTHING),
    "media_io_kwargs": ANYTHING,
    "mm_processor_kwargs": ANYTHING,
    "tools": ANYTHING,
    "logprobs": ANYTHING,
    "user": ANYTHING,
    "metadata": ANYTHING,
}
BODIES = st.fixed_dictionaries(
    {"messages": st.one_of(st.lists(MESSAGES, min_size=1, max_size=3), ANYTHING)},
    optional={name: st.one_of(values, values, ANYTHING) for name, values in FIELDS.items()},
)
TEXTS = st.one_of(
    BODIES.map(lambda body: json.dumps(body).encode()),
    BODIES.map(lambda body: json.dumps(body).encode()[:-3]),
    st.binary(max_size=200),
    st.integers(1, 3000).map(lambda depth: b"[" * depth),
    st.integers(1, 3000).map(lambda depth: b'{"messages":' * depth + b"1" + b"}" * depth),
    st.sampled_from([b"NaN", b'{"messages": NaN}', b"1e999", b"-" * 100, b"1" * 10_000, b'"\\ud800"']),
)


@pytest.fixture(scope="module")
def target(tmp_path_factory, clip_files):
    media = MediaSettings(keep_free_bytes=0)
    with (
        serve(Counting(max_concurrency=4), tmp_path_factory.mktemp("spool"), media=media) as server,
        httpx.Client(base_url=server.base_url, timeout=60) as client,
    ):
        yield client, data_url(clip_files / "a.mp4").encode()
        assert "valley_requests_running 0" in server.service.metrics.text().decode()


def sound(response):
    """Check an answer: never the server's own fault, and always in the shape that clients know."""
    assert response.status_code in (200, 400, 403, 404, 413), response.text
    if response.status_code != 200:
        error = response.json()["error"]
        assert isinstance(error["message"], str)
        assert error["message"]
        assert set(error) == {"message", "type", "param", "code"}
    elif response.headers["content-type"].startswith("text/event-stream"):
        assert response.text.rstrip().endswith("data: [DONE]")
    else:
        assert response.json()["choices"][0]["finish_reason"] in ("stop", "length")


def check_many(target, num):
    client, clip = target
    statuses = set()

    @settings(
        max_examples=num,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],  # what fails is small enough to read
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(TEXTS)
    def checked(text):
        response = client.post("/chat/completions", content=text.replace(b"CLIP", clip))
        sound(response)
        statuses.add(response.status_code)

    before = num_open_files()
    checked()
    assert num_open_files() <= before + 8
    return statuses


def test_requests(target):
    assert check_many(target, 200) >= {200, 400}


@pytest.mark.slow
def test_five_thousand_requests(target):
    """Which other refusals come depends on what is drawn; `sound` lets none pass that is not foreseen."""
    found = check_many(target, 5000)
    assert {200, 400} <= found <= {200, 400, 403, 404, 413}


@pytest.mark.parametrize("num", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_paths_forms_and_headers(target, num):
    client, _ = target
    headers = st.dictionaries(
        st.sampled_from(["content-type", "accept", "authorization", "origin", "range", "expect"]),
        st.one_of(
            st.sampled_from(
                ["multipart/form-data; boundary=b", "multipart/form-data", "application/json", "bytes=0-"]
            ),
            st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
        ),
        max_size=3,
    )
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nxyz\r\n--b--\r\n'
    bodies = st.one_of(
        st.binary(max_size=300), st.integers(0, len(form)).map(lambda end: form[:end]), st.just(form)
    )
    paths = st.sampled_from(
        ["/files", "/files/file-1", "/files/%00", "/files/../x", "/models", "/models/a/b", "/x"]
    )

    @settings(max_examples=num, deadline=None, database=None, derandomize=True)
    @given(st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD"]), paths, headers, bodies)
    def checked(method, path, more, body):
        try:
            response = client.request(method, path, headers=more, content=body)
        except httpx.ReadError:  # refused and hung up before the body was read: the refusal may be lost
            response = client.get("/models")
            assert response.status_code == 200
        assert response.status_code < 500, response.text

    checked()
