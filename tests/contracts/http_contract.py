"""What a server of a Valley checkpoint answers over HTTP, whichever it is: `valley serve`, or vLLM.

Each check takes a `Contract`; `CHECKS` has all of them. The model may say anything: its weights are random.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image as Pictures

from valley.conversation import Conversation, Image, Video, assistant, system, user
from valley.inference.backend import Backend, GenerationParams
from valley.inference.backends.openai import OpenAIBackend
from valley.serving.batch import BatchSettings, run_batch
from valley.video.decoding import read_frames
from valley.video.sampling import FrameSampling

NUM_TOKENS = 12
PARAMS = GenerationParams(max_new_tokens=NUM_TOKENS)


@dataclass(frozen=True)
class Contract:
    """A server, and what it is asked about.

    Attributes:
        base_url: its address, with /v1.
        model: what it calls the model.
        clips: a folder with a.mp4, b.mp4 and photo.png.
        scratch: a folder to write to.
        here: the same checkpoint in this process.
    """

    base_url: str
    model: str
    clips: Path
    scratch: Path
    here: Backend

    def post(self, messages: list[Any], **settings: Any) -> httpx.Response:
        body = {"model": self.model, "messages": messages, "max_tokens": NUM_TOKENS, "temperature": 0}
        return httpx.post(f"{self.base_url}/chat/completions", json=body | settings, timeout=120)

    def answer(self, messages: list[Any], **settings: Any) -> dict[str, Any]:
        response = self.post(messages, **settings)
        assert response.status_code == 200, response.text
        return response.json()

    def words(self, messages: list[Any], **settings: Any) -> str:
        return self.answer(messages, **settings)["choices"][0]["message"]["content"]

    def video(self, name: str = "a.mp4") -> dict[str, Any]:
        return {
            "type": "video_url",
            "video_url": {"url": _data("video/mp4", (self.clips / name).read_bytes())},
        }

    def picture(self) -> dict[str, Any]:
        url = _data("image/png", (self.clips / "photo.png").read_bytes())
        return {"type": "image_url", "image_url": {"url": url}}


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def ask(*parts: Any) -> list[dict[str, Any]]:
    """Make one user's turn."""
    content = [{"type": "text", "text": p} if isinstance(p, str) else p for p in parts]
    return [{"role": "user", "content": content}]


def events_of(contract: Contract, messages: list[Any], **settings: Any) -> Iterator[dict[str, Any]]:
    """Stream, and yield the events before the end."""
    body = {"model": contract.model, "messages": messages, "max_tokens": NUM_TOKENS, "temperature": 0}
    told = {**body, "stream": True, **settings}
    url = f"{contract.base_url}/chat/completions"
    with httpx.stream("POST", url, json=told, timeout=120) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        data = [line[6:] for line in response.iter_lines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    for line in data[:-1]:
        yield json.loads(line)


def models_are_listed(contract: Contract) -> None:
    models = httpx.get(f"{contract.base_url}/models", timeout=30).json()
    assert models["object"] == "list"
    assert contract.model in [m["id"] for m in models["data"]]


def an_answer_has_openais_form(contract: Contract) -> None:
    answer = contract.answer(ask(contract.video(), "Which way does it move?"))
    (choice,) = answer["choices"]
    assert answer["object"] == "chat.completion"
    assert choice["message"]["role"] == "assistant"
    assert isinstance(choice["message"]["content"], str)
    assert choice["finish_reason"] in ("stop", "length")
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["completion_tokens"] <= NUM_TOKENS


def a_stream_says_the_same(contract: Contract) -> None:
    messages = ask(contract.video(), "Which way does it move?")
    whole = contract.answer(messages)
    events = list(events_of(contract, messages, stream_options={"include_usage": True}))
    choices = [c for e in events for c in e["choices"]]
    assert choices[0]["delta"]["role"] == "assistant"
    assert (
        "".join(c["delta"].get("content") or "" for c in choices) == whole["choices"][0]["message"]["content"]
    )
    assert [c["finish_reason"] for c in choices if c["finish_reason"]] == [
        whole["choices"][0]["finish_reason"]
    ]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"]


def pictures_clips_and_words_go_together(contract: Contract) -> None:
    for parts in (
        (contract.picture(), "What is it?"),
        (contract.picture(), contract.video("b.mp4"), "The same?"),
        (contract.video("a.mp4"), contract.video("b.mp4"), "Which one?"),
        ("Hello",),
    ):
        assert contract.words(ask(*parts))


def several_turns(contract: Contract) -> None:
    first = [{"role": "system", "content": "Be short."}, *ask(contract.video(), "What?")]
    talk = [*first, {"role": "assistant", "content": "A square."}, {"role": "user", "content": "And where?"}]
    assert contract.words(talk)


def frames_that_were_read_already(contract: Contract) -> None:
    written = []
    for frame in read_frames(contract.clips / "a.mp4").pixels:
        file = io.BytesIO()
        Pictures.fromarray(frame).save(file, "PNG")
        written.append(base64.b64encode(file.getvalue()).decode())
    part = {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64," + ",".join(written)}}
    read, whole = contract.answer(ask(part, "What?")), contract.answer(ask(contract.video(), "What?"))
    assert read["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"]


def a_request_chooses_its_frames(contract: Contract) -> None:
    messages = ask(contract.video(), "What?")
    few = contract.answer(messages, media_io_kwargs={"video": {"num_frames": 2}})
    many = contract.answer(messages, media_io_kwargs={"video": {"num_frames": 6}})
    assert few["usage"]["prompt_tokens"] < many["usage"]["prompt_tokens"]


def the_limit_and_the_stop_text_end_an_answer(contract: Contract) -> None:
    messages = ask(contract.video(), "What?")
    short = contract.answer(messages, max_tokens=2)
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] == 2
    whole = contract.words(messages)
    stop = whole[len(whole) // 2 :][:2]
    assert contract.words(messages, stop=[stop]) == whole[: whole.index(stop)]


def a_seed_repeats_an_answer(contract: Contract) -> None:
    messages = ask(contract.video(), "What?")
    drawn = [contract.words(messages, temperature=1.5, seed=seed) for seed in (3, 3, 4, 5, 6)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


def refusals_have_openais_form(contract: Contract) -> None:
    words = _data("video/mp4", b"these are only words")
    bad: list[tuple[int, list[Any], dict[str, Any]]] = [
        (404, ask("Hello"), {"model": "no-such-model"}),
        (400, ask({"type": "video_url", "video_url": {"url": words}}, "What?"), {}),
        (400, ask({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,%%%"}}, "?"), {}),
        (400, ask("Hello"), {"temperature": -1}),
        (400, [], {}),
        (400, ask({"type": "nonsense"}), {}),
    ]
    for status, messages, settings in bad:
        response = contract.post(messages, **settings)
        assert response.status_code == status, (messages, settings, response.text)
        assert isinstance(response.json()["error"]["message"], str)


def the_engine_that_is_a_server_says_what_the_model_says_here(contract: Contract) -> None:
    a, b, photo = (str(contract.clips / name) for name in ("a.mp4", "b.mp4", "photo.png"))
    talks = [
        Conversation((user(Video(a), "Which way?"),)),
        Conversation((user(Image(photo), "What is it?"),)),
        Conversation((system("Short."), user(Video(a), "What?"), assistant("A square."), user("Where?"))),
        Conversation((user(Video(b, start_s=1.0), "And here?"),)),
    ]
    there = OpenAIBackend.connect(contract.base_url, model=contract.model)
    try:
        for talk in talks:
            assert _said(there, talk, PARAMS) == _said(contract.here, talk, PARAMS), talk
        few = GenerationParams(max_new_tokens=NUM_TOKENS, sampling=FrameSampling(num_frames=3))
        assert _said(there, talks[0], few) == _said(contract.here, talks[0], few)
        finish = list(there.stream(talks[3], PARAMS))[-1].finish
        seen = list(contract.here.stream(talks[3], PARAMS))[-1].finish
        assert finish is not None
        assert seen is not None
        assert finish.media[0].timestamps_s == seen.media[0].timestamps_s
        assert finish.usage.prompt == seen.usage.prompt
    finally:
        there.close()


def _said(backend: Backend, talk: Conversation, params: GenerationParams) -> str:
    return "".join(piece.text for piece in backend.stream(talk, params))


def a_batch_goes_through_it(contract: Contract) -> None:
    content = [{"type": "video_url", "video_url": {"url": "a.mp4"}}, {"type": "text", "text": "Which way?"}]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": NUM_TOKENS}
    envelope = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    rows = [json.dumps({"custom_id": f"r{n}", **envelope}) for n in range(6)]
    source, out, spool = (contract.scratch / name for name in ("in.jsonl", "out.jsonl", "spool"))
    source.write_text("\n".join([*rows[:3], "rubbish", *rows[3:]]))
    spool.mkdir()
    there = OpenAIBackend.connect(contract.base_url, model=contract.model)
    try:
        done = run_batch(there, source, out, spool, BatchSettings(media_root=contract.clips))
    finally:
        there.close()
    assert (done.answered, done.failed) == (6, 1)
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["custom_id"] for r in results] == ["r0", "r1", "r2", None, "r3", "r4", "r5"]
    talk = Conversation((user(Video(str(contract.clips / "a.mp4")), "Which way?"),))
    wanted = _said(contract.here, talk, PARAMS)
    answers = [r["response"]["body"]["choices"][0]["message"]["content"] for r in results if not r["error"]]
    assert answers == [wanted] * 6


CHECKS: tuple[Callable[[Contract], None], ...] = (
    models_are_listed,
    an_answer_has_openais_form,
    a_stream_says_the_same,
    pictures_clips_and_words_go_together,
    several_turns,
    frames_that_were_read_already,
    a_request_chooses_its_frames,
    the_limit_and_the_stop_text_end_an_answer,
    a_seed_repeats_an_answer,
    refusals_have_openais_form,
    the_engine_that_is_a_server_says_what_the_model_says_here,
    a_batch_goes_through_it,
)
