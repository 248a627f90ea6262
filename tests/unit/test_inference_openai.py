"""The engine that is a server: what it sends, what it waits for, and what it makes of servers that fail."""

from __future__ import annotations

import base64
import io
import logging
import socket
import threading
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pictures

from scripted_server import (
    WHOLE,
    Server,
    breaks_off,
    chunk,
    drips,
    fails,
    hangs,
    resets,
    says,
    stream,
    streams,
)
from valley.conversation import Conversation, Image, Video, assistant, system, user
from valley.errors import (
    BackendError,
    ConfigError,
    ContextLengthError,
    DamagedError,
    EngineUnavailableError,
    MediaError,
)
from valley.inference.backend import GenerationParams
from valley.inference.backends._server import Patience
from valley.inference.backends.openai import OpenAIBackend
from valley.video.decoding import read_frames
from valley.video.sampling import FrameSampling

QUICK = Patience(connect_s=5, silence_s=5, retry_s=5)
HELLO = Conversation((user("Hello"),))
KEY = "sk-very-secret"

VALLEY = {"id": "m", "capabilities": {"media": ["image", "video"], "max_context_tokens": 512}}
VLLM = {"id": "m", "owned_by": "vllm", "max_model_len": 1024}


def models(*cards: dict[str, Any]) -> dict[str, Any]:
    return {"/v1/models": {"object": "list", "data": list(cards)}}


_OPEN: list[OpenAIBackend] = []


def connect(server: Server, **options: Any) -> OpenAIBackend:
    """Connect; `_closed` closes."""
    _OPEN.append(OpenAIBackend.connect(server.url, **{"patience": QUICK, "api_key": KEY, **options}))
    return _OPEN[-1]


@pytest.fixture(autouse=True)
def _closed():
    yield
    while _OPEN:
        _OPEN.pop().close()


def ask(backend: OpenAIBackend, conversation: Conversation = HELLO, **params: Any) -> tuple[str, Any]:
    pieces = list(backend.stream(conversation, GenerationParams(**params)))
    assert [p.finish is not None for p in pieces] == [False] * (len(pieces) - 1) + [True]
    return "".join(p.text for p in pieces), pieces[-1].finish


def refused(server: Server, words: str, act: Any = None, *, kind: type[Exception] = BackendError) -> None:
    """Do this, or ask, and see it fail with these words."""
    with pytest.raises(kind, match=words):
        (act or (lambda: ask(connect(server))))()


def asked_with(act: Any, *, cards: tuple[dict[str, Any], ...] = ({"id": "m"},), **params: Any) -> Any:
    """Ask a server that answers so; give words, finish and the bodies it got."""
    with Server([act], models(*cards)) as server:
        backend = connect(server)
        words, finish = ask(backend, **params)
        backend.close()
        return words, finish, server.chats


def test_words_usage_and_the_key() -> None:
    with Server([streams()]) as server:
        backend = connect(server)
        words, finish = ask(backend)
        assert words == "To the right."
        assert (finish.reason, finish.usage.prompt, finish.usage.completion) == ("stop", 9, 4)
        assert {a.headers["authorization"] for a in server.asked} == {f"Bearer {KEY}"}
        (body,) = server.chats
        assert body["messages"] == [{"role": "user", "content": "Hello"}]
        assert (body["model"], body["stream"], body["temperature"]) == ("m", True, 0)
        assert KEY not in str(backend.identity())


def test_what_is_asked_for_is_sent() -> None:
    _, _, (body,) = asked_with(
        streams(), max_new_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop=("END", "\n")
    )
    assert body["max_tokens"] == 7
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.5, 0.9, 3)
    assert body["stop"] == ["END", "\n"]


def test_the_limit_is_told_from_the_end() -> None:
    _, finish, _ = asked_with(streams(chunk("a"), chunk(finish_reason="length")))
    assert finish.reason == "length"


def test_line_separators_within_words_are_words() -> None:
    words, _, _ = asked_with(streams(chunk("a\u2028b\x85c\u2029"), chunk(finish_reason="stop")))
    assert words == "a\u2028b\x85c\u2029"


def test_a_server_that_does_not_stream() -> None:
    whole: Any = {"choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}]}
    words, finish, _ = asked_with(says(whole))
    assert (words, finish.reason) == ("Yes.", "stop")


def test_rubbish_within_a_sound_stream_is_passed_over() -> None:
    odd = ({"choices": "?"}, {"choices": [7]}, {"usage": {"prompt_tokens": "many"}, "media": [3]})
    words, finish, _ = asked_with(streams(*odd, chunk("a"), chunk(finish_reason="stop")))
    assert (words, finish.usage.prompt) == ("a", 0)


# Faults


@pytest.mark.parametrize("fault", [fails(429, retry_after="0"), fails(500), fails(503), resets])
def test_what_may_go_away_is_tried_again(fault: Any) -> None:
    with Server([fault, fault, streams()]) as server:
        assert ask(connect(server))[0] == "To the right."
        assert len(server.chats) == 3


def test_retry_after_is_waited_for() -> None:
    with Server([fails(429, retry_after="1"), streams()]) as server:
        backend, started_s = connect(server), time.monotonic()
        ask(backend)
        assert time.monotonic() - started_s >= 1


def test_who_is_sent_away_for_longer_than_its_patience_does_not_wait() -> None:
    with Server([fails(429, "full", retry_after="600"), streams()]) as server:
        backend, started_s = connect(server), time.monotonic()
        with pytest.raises(EngineUnavailableError, match="429: full"):
            ask(backend)
        assert time.monotonic() - started_s < 5


def test_a_server_that_fails_at_a_request_is_not_asked_for_ever() -> None:
    with Server([fails(500, "boom")]) as server:
        with pytest.raises(BackendError, match="500: boom") as caught:
            ask(connect(server))
        assert not isinstance(caught.value, EngineUnavailableError)
        assert len(server.chats) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_a_refusal_is_not_repeated_and_says_what_the_server_says(status: int) -> None:
    with Server([fails(status, f"key {KEY} is wrong", "some_code")]) as server:
        with pytest.raises(BackendError, match=rf"127\.0\.0\.1.*{status}: key \*\*\* is wrong") as caught:
            ask(connect(server))
        assert KEY not in str(caught.value)
        assert len(server.chats) == 1


def test_an_error_within_the_stream() -> None:
    error = {"error": {"message": "out of memory", "code": "engine_unavailable"}}
    with (
        Server([streams(chunk("a"), error)]) as server,
        pytest.raises(BackendError, match="broke off: out of memory"),
    ):
        ask(connect(server))


@pytest.mark.parametrize("reset", [False, True])
def test_a_stream_that_breaks_before_its_first_word_is_begun_again(reset: bool) -> None:
    with Server([breaks_off(chunk(""), reset=reset), streams()]) as server:
        assert ask(connect(server))[0] == "To the right."


def test_a_stream_that_breaks_within_its_words_is_an_error() -> None:
    with Server([breaks_off(chunk("To the ")), streams()]) as server:
        refused(server, "after 7 characters", kind=EngineUnavailableError)
        assert len(server.chats) == 1


def test_a_stream_that_ends_without_an_end_is_an_error() -> None:
    with (
        Server([streams(content=stream(chunk("To the "), end=b""))]) as server,
        pytest.raises(EngineUnavailableError, match="ended before the answer did"),
    ):
        ask(connect(server))


@pytest.mark.parametrize("content", [b"data: {nonsense\n\n", b"data: [1]\n\n", b"data: " + b"[" * 100_000])
def test_nonsense_is_called_so(content: bytes) -> None:
    with (
        Server([streams(content=content)]) as server,
        pytest.raises(BackendError, match="want the answer of an OpenAI-compatible server"),
    ):
        ask(connect(server))


def test_a_page_of_the_web_is_no_list_of_models() -> None:
    def page(handler, _):
        handler.say(200, "text/html", b"<html>Welcome</html>")

    with Server([page]) as server:
        server.act = lambda _: page
        refused(server, "Welcome", lambda: connect(server))


def test_silence_ends() -> None:
    with Server([hangs]) as server:
        backend = connect(server, patience=Patience(connect_s=5, silence_s=0.3, retry_s=60))
        with pytest.raises(EngineUnavailableError, match=r"said nothing for 0\.3 s"):
            ask(backend)
        assert len(server.chats) == 1


def test_nobody_there_is_found_at_once() -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        url = f"http://user:{KEY}@127.0.0.1:{found.getsockname()[1]}/v1"
    started_s = time.monotonic()
    with pytest.raises(BackendError, match="no server answers") as caught:
        OpenAIBackend.connect(url, api_key=KEY)
    assert time.monotonic() - started_s < 5
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-\nx", "ключ"])
def test_a_key_that_no_header_holds_is_refused_unseen(key: str) -> None:
    with pytest.raises(ConfigError, match="the key") as caught:
        OpenAIBackend.connect("http://127.0.0.1:9/v1", api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://h/v1", "http://", "http://h:port/v1", "http://[::1/v1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="address"):
        OpenAIBackend.connect(url)


def test_a_closed_stream_closes_the_connection() -> None:
    closed = threading.Event()
    with Server([drips(chunk("word "), closed=closed)]) as server:
        words = connect(server).stream(HELLO, GenerationParams())
        assert next(words).text == "word "
        words.close()
        assert closed.wait(5)


def test_closing_the_engine_ends_who_waits() -> None:
    with Server([fails(503, retry_after="60")]) as server:
        backend = connect(server, patience=Patience(retry_s=300))
        failed: list[Exception] = []

        def run() -> None:
            try:
                ask(backend)
            except BackendError as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        until_s = time.monotonic() + 5
        while not server.chats and time.monotonic() < until_s:
            time.sleep(0.01)
        backend.close()
        thread.join(5)
        assert not thread.is_alive()
        assert "closed" in str(failed[0])


# Models


def test_the_only_model_is_taken_and_of_several_one_has_to_be_named() -> None:
    with Server([streams()], models({"id": "b"}, {"id": "a"})) as server:
        with pytest.raises(ConfigError, match=r"a, b; say which"):
            connect(server)
        assert connect(server, model="a").capabilities.model == "a"


def test_a_server_without_a_list_is_asked_for_the_model_that_is_named() -> None:
    with Server([streams()], {}) as server:
        assert ask(connect(server, model="x"))[0] == "To the right."
        with pytest.raises(BackendError, match="404"):
            connect(server)


def test_a_valley_server_says_what_it_can() -> None:
    card = {
        "id": "m",
        "capabilities": {
            "media": ["video"],
            "max_context_tokens": 512,
            "default_sampling": {"num_frames": 4, "unknown": 1},
        },
    }
    with Server([streams()], models(card)) as server:
        capabilities = connect(server).capabilities
    assert capabilities.media == ("video",)
    assert capabilities.max_context_tokens == 512
    assert capabilities.default_sampling == FrameSampling(num_frames=4)


# Media


def sent_to(card: dict[str, Any], conversation: Conversation, *acts: Any, **params: Any) -> Any:
    options = {k: params.pop(k) for k in ("send_video",) if k in params}
    with Server(list(acts) or [streams()], models(card)) as server:
        backend = connect(server, **options)
        _, finish = ask(backend, conversation, **params)
        backend.close()
        return server, finish


def content_of(server: Server) -> list[dict[str, Any]]:
    return server.chats[-1]["messages"][-1]["content"]


def pixels_of(data: str) -> np.ndarray:
    return np.asarray(Pictures.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def test_valley_gets_the_file_and_the_wish(clip_files) -> None:
    path = clip_files / "a.mp4"
    talk = Conversation((system("Short."), user(Video(str(path), 0.5, 2.0), "What?")))
    server, finish = sent_to(VALLEY, talk, sampling=FrameSampling(num_frames=3), answer_language="zh")
    body = server.chats[-1]
    video, text = content_of(server)
    sent = video["video_url"]["url"].removeprefix("data:video/mp4;base64,")
    assert base64.b64decode(sent) == path.read_bytes()
    assert (video["video_url"]["start"], video["video_url"]["end"]) == (0.5, 2.0)
    assert text == {"type": "text", "text": "What?"}
    assert (body["num_frames"], body["language"]) == (3, "zh")
    assert body["messages"][0] == {"role": "system", "content": "Short."}
    assert finish.media[0].path == str(path)


def test_a_rate_goes_with_its_cap(clip_files) -> None:
    talk = Conversation((user(Video(str(clip_files / "a.mp4")), "What?"),))
    server, _ = sent_to(VALLEY, talk, sampling=FrameSampling(fps=2.0, max_frames=5))
    assert (server.chats[-1]["fps"], server.chats[-1]["num_frames"]) == (2.0, 5)


def test_the_times_are_those_that_the_server_tells(clip_files) -> None:
    talk = Conversation((user(Video(str(clip_files / "a.mp4")), "What?"),))
    seen = {"kind": "video", "duration_s": 3, "timestamps_s": [0.25, 1.5], "missing_s": []}
    _, finish = sent_to(VALLEY, talk, streams(chunk("a"), chunk(finish_reason="stop", media=[seen])))
    (medium,) = finish.media
    assert (medium.path, medium.timestamps_s) == (str(clip_files / "a.mp4"), (0.25, 1.5))


def test_frames_that_the_server_could_not_decode_are_an_error_unless_allowed(clip_files) -> None:
    talk = Conversation((user(Video(str(clip_files / "a.mp4")), "What?"),))
    seen = {"kind": "video", "duration_s": 3, "timestamps_s": [0.25], "missing_s": [1.5]}
    act = streams(chunk("a"), chunk(finish_reason="stop", media=[seen]))
    with pytest.raises(DamagedError, match=r"a\.mp4"):
        sent_to(VALLEY, talk, act)
    _, finish = sent_to(VALLEY, talk, act, on_damage="warn")
    assert finish.media[0].missing_s == (1.5,)


def test_a_wish_that_no_request_can_say_is_read_here(clip_files) -> None:
    path = clip_files / "a.mp4"
    talk = Conversation((user(Video(str(path)), "What?"),))
    wish = FrameSampling(times_s=(0.0, 1.0, 2.0))
    server, finish = sent_to(VALLEY, talk, sampling=wish)
    frames = content_of(server)[0]["video_url"]["url"].removeprefix("data:video/jpeg;base64,").split(",")
    for got, wanted in zip(frames, read_frames(path, wish).pixels, strict=True):
        assert np.array_equal(pixels_of(got), wanted)
    assert content_of(server)[0]["video_url"]["timestamps_s"] == [0.0, 1.0, 2.0]
    assert server.chats[-1]["num_frames"] == 3
    assert finish.media[0].timestamps_s == (0.0, 1.0, 2.0)


def test_where_one_clip_is_read_here_a_rate_is_not_taken_twice(clip_files, tmp_path) -> None:
    path = clip_files / "a.mp4"
    for number, pixels in enumerate(read_frames(path, FrameSampling(num_frames=3)).pixels):
        Pictures.fromarray(pixels).save(tmp_path / f"{number}.png")
    talk = Conversation((user(Video(str(path)), Video(str(tmp_path)), "What?"),))
    server, finish = sent_to(VALLEY, talk, sampling=FrameSampling(fps=1.0))
    urls = [part["video_url"]["url"] for part in content_of(server)[:2]]
    assert all(url.startswith("data:video/jpeg;base64,") for url in urls)
    assert server.chats[-1]["num_frames"] == 3
    assert "fps" not in server.chats[-1]
    assert [m.timestamps_s for m in finish.media] == [(0.0, 1.0, 2.0)] * 2
    server, _ = sent_to(VALLEY, talk, sampling=FrameSampling(num_frames=3))
    whole, listed = (part["video_url"] for part in content_of(server)[:2])
    assert "timestamps_s" not in whole
    assert listed["timestamps_s"] == [0.0, 1.0, 2.0]


def test_vllm_gets_frames_with_their_times(clip_files) -> None:
    talk = Conversation((user(Video(str(clip_files / "a.mp4"), start_s=1.0), "What?"),))
    server, finish = sent_to(VLLM, talk, sampling=FrameSampling(num_frames=3), answer_language="es")
    told = server.chats[-1]["media_io_kwargs"]["video"]
    times = [n / told["fps"] for n in told["frames_indices"]]
    assert times == pytest.approx(finish.media[0].timestamps_s, abs=1e-3)
    assert times[0] >= 1.0
    assert told["num_frames"] == 3
    assert "timestamps_s" not in content_of(server)[0]["video_url"]
    assert server.chats[-1]["chat_template_kwargs"] == {"answer_language": "es"}


def test_vllm_that_trusts_no_request_gets_frames_alone(clip_files, caplog) -> None:
    talk = Conversation((user(Video(str(clip_files / "a.mp4")), "What?"),))
    no = fails(400, "Per-request media_io_kwargs are disabled by default")
    with caplog.at_level(logging.WARNING):
        server, finish = sent_to(VLLM, talk, no, streams())
    assert len(server.chats) == 2
    assert "media_io_kwargs" not in server.chats[-1]
    assert len(finish.media[0].timestamps_s) == 8
    assert "trust-request-mm-kwargs" in caplog.text


def test_others_get_pictures_with_their_times(clip_files) -> None:
    talk = Conversation((user(Video(str(clip_files / "a.mp4")), "What?"),))
    server, finish = sent_to({"id": "m"}, talk, sampling=FrameSampling(num_frames=2))
    first, picture, second, _, question = content_of(server)
    assert (first["text"], second["text"]) == ("0.00 s:", "2.88 s:")
    assert finish.media[0].timestamps_s == (0.0, 2.875)
    pixels = pixels_of(picture["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert np.array_equal(pixels, read_frames(clip_files / "a.mp4").pixels[0])
    assert question["text"] == "What?"


def test_others_cannot_be_asked_for_a_language() -> None:
    with pytest.raises(BackendError, match="--system"):
        asked_with(streams(), answer_language="zh")


def test_a_photograph_is_sent_upright(tmp_path) -> None:
    picture = Pictures.fromarray(np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "p.png", exif=exif)
    server, _ = sent_to({"id": "m"}, Conversation((user(Image(str(tmp_path / "p.png")), "What?"),)))
    url = content_of(server)[0]["image_url"]["url"]
    assert pixels_of(url.removeprefix("data:image/png;base64,")).shape == (8, 4, 3)


def test_a_large_picture_is_sent_smaller(tmp_path, make_clip) -> None:
    Pictures.fromarray(make_clip(1, 1500, 2000)[0]).save(tmp_path / "p.jpg")
    server, _ = sent_to({"id": "m"}, Conversation((user(Image(str(tmp_path / "p.jpg")), "What?"),)))
    url = content_of(server)[0]["image_url"]["url"]
    assert pixels_of(url.removeprefix("data:image/jpeg;base64,")).shape == (960, 1280, 3)


def test_subtitles_stand_behind_the_clip(clip_files, tmp_path) -> None:
    (tmp_path / "s.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nHello there\n")
    talk = Conversation((user(Video(str(clip_files / "a.mp4"), subtitles=str(tmp_path / "s.srt")), "What?"),))
    server, _ = sent_to(VALLEY, talk)
    assert "Hello there" in content_of(server)[1]["text"]


@pytest.mark.parametrize("card", [VALLEY, VLLM, {"id": "m"}], ids=["valley", "vllm", "other"])
def test_what_is_no_video_is_found_before_it_is_sent(card, tmp_path) -> None:
    (tmp_path / "words.mp4").write_text("these are only words")
    with pytest.raises(MediaError, match=r"words\.mp4"):
        sent_to(card, Conversation((user(Video(str(tmp_path / "words.mp4")), "What?"),)))


def test_a_server_that_blames_a_medium_blames_the_file(clip_files) -> None:
    talk = Conversation((user(Video(str(clip_files / "a.mp4")), "What?"),))
    with pytest.raises(MediaError, match=r"a\.mp4.*too long"):
        sent_to(VALLEY, talk, fails(400, "is too long", "media_too_long"))


@pytest.fixture
def large(tmp_path, make_clip):
    """A clip that is larger than what goes into a request."""
    from valley.video.encoding import write_video

    return write_video(tmp_path / "large.mp4", make_clip(24, 160, 160), fps=8, crf=10)


def uploads(*ids: str) -> list[Any]:
    """Take uploads under these ids, and answer chats."""
    waiting = list(ids)

    def act(handler: Any, asked: Any) -> None:
        if asked.path == "/v1/files":
            says({"id": waiting.pop(0)})(handler, asked)
        else:
            streams()(handler, asked)

    return [act]


def test_a_large_file_is_uploaded_once_and_deleted_at_the_end(large) -> None:
    talk = Conversation((user(Video(str(large)), "What?"),))
    with Server(uploads("file-1"), models(VALLEY)) as server:
        backend = connect(server)
        ask(backend, talk)
        ask(backend, Conversation((*talk.messages, assistant("Noise."), user("And?"))))
        backend.close()
    posted = [a for a in server.asked if a.path == "/v1/files"]
    assert len(posted) == 1
    assert large.read_bytes() in posted[0].body
    urls = {b["messages"][0]["content"][0]["video_url"]["url"] for b in server.chats}
    assert urls == {"file-1"}
    assert (server.asked[-1].method, server.asked[-1].path) == ("DELETE", "/v1/files/file-1")


def test_an_upload_that_the_server_has_deleted_is_sent_again(large) -> None:
    talk = Conversation((user(Video(str(large)), "What?"),))
    (act,) = uploads("file-1", "file-2")
    gone = fails(404, "no such file", "file_not_found")
    with Server([act, gone, act], models(VALLEY)) as server:
        assert ask(connect(server), talk)[0] == "To the right."
    assert [b["messages"][0]["content"][0]["video_url"]["url"] for b in server.chats] == ["file-1", "file-2"]


def test_a_server_without_uploads_gets_the_file_within_the_request(large) -> None:
    with Server([fails(404), streams()], models(VALLEY)) as server:
        ask(connect(server), Conversation((user(Video(str(large)), "What?"),)))
    assert content_of(server)[0]["video_url"]["url"].startswith("data:video/mp4;base64,")


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch, clip_files) -> None:
    monkeypatch.setattr("valley.inference.backends._sending.MOST_INLINE_BYTES", 1000)
    with pytest.raises(MediaError, match=r"a\.mp4.*limit.*1000.*send_video='frames'"):
        sent_to(VLLM, Conversation((user(Video(str(clip_files / "a.mp4"))),)), send_video="file")


# Wishes that a server does not take


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def test_a_schema_is_sent_and_given_up_step_by_step() -> None:
    with Server([streams()]) as server:
        ask(connect(server), response_schema=SCHEMA)
        assert server.chats[0]["response_format"]["json_schema"]["schema"] == SCHEMA
    no = fails(400, "response_format is not supported")
    with Server([no, no, streams()]) as server:
        backend = connect(server)
        assert ask(backend, response_schema=SCHEMA)[0] == "To the right."
        ask(backend, response_schema=SCHEMA)
        kinds = [b.get("response_format", {}).get("type") for b in server.chats]
        assert kinds == ["json_schema", "json_object", None, None]


def test_a_server_that_says_it_cannot_is_not_asked_for_a_schema() -> None:
    card = {"id": "m", "capabilities": {"media": ["video"], "structured_output": False}}
    with Server([streams()], models(card)) as server:
        backend = connect(server)
        assert not backend.capabilities.structured_output
        ask(backend, response_schema=SCHEMA)
        assert "response_format" not in server.chats[0]


def test_a_refusal_that_is_not_about_the_schema_is_told_and_changes_nothing() -> None:
    long = fails(400, "the prompt is too long", "context_length_exceeded")
    with Server([long, long, long, streams()]) as server:
        backend = connect(server)
        with pytest.raises(ContextLengthError, match="the prompt is too long"):
            ask(backend, response_schema=SCHEMA)
        ask(backend, response_schema=SCHEMA)
        assert server.chats[-1]["response_format"]["type"] == "json_schema"


def test_the_newer_name_of_the_limit() -> None:
    no = fails(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    with Server([no, streams()]) as server:
        ask(connect(server), max_new_tokens=5)
        assert "max_tokens" not in server.chats[-1]
        assert server.chats[-1]["max_completion_tokens"] == 5


def test_many_threads(clip_files) -> None:
    with Server([streams(*WHOLE)]) as server:
        backend, got = connect(server), []
        threads = [threading.Thread(target=lambda: got.append(ask(backend)[0])) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == ["To the right."] * 16
