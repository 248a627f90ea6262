"""What clients that people use get: OpenAI's own, whole and streamed, pictures, clips, files."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import subprocess

import httpx
import openai
import pytest
from PIL import Image

from serving.serving_kit import about, data_url, serve, video
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


@pytest.fixture
def ask(client):
    """Ask, and give the answer."""

    def ask(*parts, **more):
        given = {"model": "", "messages": about(*parts), "max_tokens": 8, **more}
        return client.chat.completions.create(**given)

    return ask


def test_a_question_about_a_clip_is_answered_and_the_times_are_told(client, clip_files):
    (model,) = client.models.list().data
    assert model.capabilities["media"] == ["image", "video"]
    assert client.models.retrieve(model.id) == model
    answer = client.chat.completions.create(
        model=model.id, messages=about(video(data_url(clip_files / "a.mp4"))), extra_body={"num_frames": 4}
    )
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details.visual_tokens > 0
    (seen,) = answer.media
    assert seen["kind"] == "video"
    assert len(seen["timestamps_s"]) == 4
    assert seen["duration_s"] == pytest.approx(3.0, abs=0.01)
    ChatCompletion.model_validate(answer.model_dump(mode="json", exclude_unset=True))


def test_a_stream_says_the_same_as_a_whole_answer(ask, clip_files):
    part = video(data_url(clip_files / "a.mp4"))
    whole = ask(part)
    chunks = list(ask(part, stream=True, stream_options={"include_usage": True}))
    words = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert words == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    ends = [c for c in chunks if c.choices and c.choices[0].finish_reason]
    assert [e.choices[0].finish_reason for e in ends] == [whole.choices[0].finish_reason]
    assert ends[0].media == whole.media


def test_a_stream_is_server_sent_events_that_end_with_done(server):
    body = {"messages": about(), "stream": True, "max_tokens": 4}
    with httpx.stream("POST", f"{server.base_url}/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [line for line in response.iter_lines() if line]
    assert all(event.startswith("data: ") for event in events)
    assert events[-1] == "data: [DONE]"
    assert json.loads(events[0][6:])["object"] == "chat.completion.chunk"
    assert not any("usage" in json.loads(event[6:]) for event in events[:-1])


def test_the_asynchronous_client_asks_several_questions_at_once(server, clip_files):
    async def ask_all():
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="nobody asks") as client:

            async def ask(name):
                part = video(data_url(clip_files / name))
                stream = await client.chat.completions.create(
                    model="", messages=about(part), stream=True, max_tokens=6
                )
                return [c.choices[0].delta.content or "" async for c in stream if c.choices]

            return await asyncio.gather(*(ask(name) for name in ("a.mp4", "b.mp4", "a.mp4")))

    first, second, third = asyncio.run(ask_all())
    assert first == third
    assert "".join(second)


def test_an_upload_is_asked_about_by_its_id_and_forgotten(client, ask, clip_files):
    made = client.files.create(file=clip_files / "a.mp4", purpose="user_data")
    assert (made.filename, made.bytes) == ("a.mp4", (clip_files / "a.mp4").stat().st_size)
    assert [f.id for f in client.files.list().data] == [made.id]
    assert client.files.content(made.id).read() == (clip_files / "a.mp4").read_bytes()
    by_url = ask(video(made.id))
    spellings = (
        {"type": "input_video", "file_id": made.id},
        {"type": "file", "file": {"file_id": made.id}},
        {"type": "file", "file_id": made.id},
    )
    for part in spellings:
        assert ask(part).choices == by_url.choices
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError, match="no such file"):
        ask(video(made.id))


def test_all_spellings_of_a_picture_mean_the_same(client, ask, clip_files):
    url = data_url(clip_files / "photo.png", "image/png")
    made = client.files.create(file=clip_files / "photo.png", purpose="vision")
    answers = [
        ask(part)
        for part in (
            {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
            {"type": "image_url", "image_url": url},
            {"type": "input_image", "image_url": url},
            {"type": "input_image", "file_id": made.id, "detail": "auto"},
            {"type": "file", "file": {"file_id": made.id}},
        )
    ]
    assert all(a.choices == answers[0].choices for a in answers)
    assert answers[-1].media == [{"kind": "image", "duration_s": 0.0, "timestamps_s": [0.0], "missing_s": []}]


def test_several_media_are_told_in_the_order_of_the_prompt(ask, clip_files):
    answer = ask(
        {"type": "image_url", "image_url": data_url(clip_files / "photo.png", "image/png")},
        {"type": "text", "text": "and"},
        video(data_url(clip_files / "a.mp4"), start=1.0, end=2.0),
        video(data_url(clip_files / "b.mp4")),
        extra_body={"num_frames": 2},
    )
    assert [m["kind"] for m in answer.media] == ["image", "video", "video"]
    assert answer.media[1]["timestamps_s"] == [1.0, 2.0]
    assert answer.media[2]["timestamps_s"] == [0.0, 2.875]


@pytest.mark.parametrize(
    ("wish", "times_s"),
    [
        ({"num_frames": 2}, [0.0, 2.875]),
        ({"fps": 1}, [0.0, 1.0, 2.0]),
        ({"fps": 8, "num_frames": 2}, [0.0, 2.875]),
        ({"start": 1, "end": 2, "num_frames": 2}, [1.0, 2.0]),
        ({"mm_processor_kwargs": {"num_frames": 2}}, [0.0, 2.875]),
        ({"media_io_kwargs": {"video": {"fps": 1.0}}}, [0.0, 1.0, 2.0]),
        ({"media_io_kwargs": {"video": {"num_frames": 2}}, "mm_processor_kwargs": {"fps": 1}}, [0.0, 2.875]),
        ({"fps": 1, "media_io_kwargs": {"video": {"num_frames": 2}}}, [0.0, 1.0, 2.0]),
    ],
)
def test_frames_are_chosen_in_each_request(ask, clip_files, wish, times_s):
    (seen,) = ask(video(data_url(clip_files / "a.mp4")), extra_body=wish).media
    assert seen["timestamps_s"] == times_s


def test_a_window_of_a_part_goes_before_that_of_the_request(ask, clip_files):
    part = video(data_url(clip_files / "a.mp4"), start=2)
    (seen,) = ask(part, extra_body={"end": 1, "num_frames": 2}).media
    assert seen["timestamps_s"] == [2.0, 2.875]


def test_frames_that_were_read_already_are_a_clip(ask):
    pictures = []
    for shade in (10, 120, 240):
        file = io.BytesIO()
        Image.new("RGB", (32, 32), (shade, 0, 0)).save(file, "JPEG")
        pictures.append(base64.b64encode(file.getvalue()).decode())
    (seen,) = ask(video(f"data:video/jpeg;base64,{','.join(pictures)}")).media
    assert seen["timestamps_s"] == [0.0, 1.0, 2.0]


def test_sampling_and_stop_texts_reach_the_engine(ask):
    drawn = {ask(temperature=1.5, seed=7, top_p=0.9).choices[0].message.content for _ in range(2)}
    assert len(drawn) == 1
    assert drawn != {ask().choices[0].message.content}
    words = ask(max_tokens=16).choices[0].message.content
    middle = words[len(words) // 2 :][:2]
    assert ask(max_tokens=16, stop=middle).choices[0].message.content == words[: words.index(middle)]


def test_a_conversation_goes_on_with_what_the_client_gave_back(client, clip_files):
    asked = about(video(data_url(clip_files / "a.mp4")))
    first = client.chat.completions.create(model="", messages=asked, max_tokens=6)
    more = [*asked, first.choices[0].message.model_dump(), {"role": "user", "content": "And then?"}]
    second = client.chat.completions.create(model="", messages=more, max_tokens=6)
    assert second.usage.prompt_tokens > first.usage.prompt_tokens
    assert second.usage.prompt_tokens_details.cached_tokens > 0


def test_bodies_of_other_clients_are_understood(server, clip_files):
    picture = {"type": "image_url", "image_url": {"url": data_url(clip_files / "photo.png", "image/png")}}
    langchain = {
        "model": server.service.chat().capabilities.model,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture], "name": "ann"},
        ],
        "n": 1,
        "stream": False,
        "temperature": 0.0,
        "logprobs": False,
        "parallel_tool_calls": False,
        "max_completion_tokens": 8,
    }
    open_webui = {
        "model": server.service.chat().capabilities.model,
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "What is this?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "top_p": 0.9,
        "max_tokens": 8,
        "user": "u1",
        "metadata": {"chat": "7"},
    }
    assert server.post(langchain).json()["choices"][0]["message"]["content"]
    assert server.post(open_webui).text.endswith("data: [DONE]\n\n")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_curl_uploads_and_asks(server, clip_files, tmp_path):
    def curl(*words) -> dict:
        done = subprocess.run(["curl", "-sS", "--max-time", "60", *words], capture_output=True, check=True)
        return json.loads(done.stdout)

    made = curl(f"{server.base_url}/files", "-F", "purpose=user_data", "-F", f"file=@{clip_files / 'a.mp4'}")
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"messages": about(video(made["id"])), "max_tokens": 4}))
    answer = curl(f"{server.base_url}/chat/completions", "-d", f"@{body}")
    assert answer["media"][0]["kind"] == "video"
    assert answer["usage"]["completion_tokens"] <= 4


def test_answers_in_a_language_are_asked_for_by_the_template(server):
    plain, spanish = (
        server.post({"messages": about(), "max_tokens": 2, **more}).json()["usage"]["prompt_tokens"]
        for more in ({}, {"language": "es"})
    )
    assert spanish > plain


def test_the_server_describes_itself_without_anything_from_elsewhere(server):
    found = httpx.get(f"{server.url}/openapi.json").json()
    body = found["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["$ref"].rpartition("/")[2] in found["components"]["schemas"]
    page = httpx.get(f"{server.url}/docs").text
    assert "num_frames" in page
    assert "<script" not in page
    assert "https://" not in page.replace("https://...", "")
    assert " src=" not in page
