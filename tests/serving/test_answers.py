"""What clients that people use get: OpenAI's own, whole and streamed, pictures, clips, files."""

from __future__ import annotations

import base64

import openai
import pytest

from serving.serving_kit import serve
from valley.inference.backends.transformers import TransformersBackend
from valley.serving.answers import ChatCompletion


@pytest.fixture(scope="module")
def server(tiny_checkpoint, tmp_path_factory):
    backend = TransformersBackend.from_pretrained(str(tiny_checkpoint), device="cpu")
    with serve(backend, tmp_path_factory.mktemp("spool"), default_max_tokens=24) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=server.base_url, api_key="nobody asks", max_retries=0) as client:
        yield client


def data_url(path, kind="video/mp4"):
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def about(*parts, question="Which way does it move?"):
    return [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}]


def video(url, **more):
    return {"type": "video_url", "video_url": {"url": url, **more}}


def test_a_question_about_a_clip_is_answered_and_the_times_are_told(client, server, clip_files):
    (model,) = client.models.list().data
    answer = client.chat.completions.create(
        model=model.id, messages=about(video(data_url(clip_files / "a.mp4"))), extra_body={"num_frames": 4}
    )
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0
    (seen,) = answer.media
    assert seen["kind"] == "video"
    assert len(seen["timestamps_s"]) == 4
    assert seen["duration_s"] == pytest.approx(3.0, abs=0.01)
    ChatCompletion.model_validate(answer.model_dump(mode="json", exclude_unset=True))


def test_a_stream_says_the_same_words_as_a_whole_answer(client, clip_files):
    asked = {"model": "", "messages": about(video(data_url(clip_files / "a.mp4"))), "max_tokens": 12}
    whole = client.chat.completions.create(**asked)
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    words = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert words == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    ends = [c for c in chunks if c.choices and c.choices[0].finish_reason]
    assert [e.choices[0].finish_reason for e in ends] == [whole.choices[0].finish_reason]
    assert ends[0].media == whole.media
