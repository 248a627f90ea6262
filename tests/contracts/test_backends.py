"""What every inference backend must do. A new one is covered by adding how to make it to `MAKERS`."""

import inspect
import json
import threading
from contextlib import closing

import pytest

from valley.conversation import Conversation, Image, Video, assistant, system, user
from valley.errors import MediaError
from valley.inference.backend import BACKENDS, Backend, GenerationParams


def make_transformers(tiny_checkpoint):
    return BACKENDS.get("transformers").from_pretrained(str(tiny_checkpoint), device="cpu")


def make_image_text_to_text(tmp_path_factory):
    pytest.importorskip("torchvision", reason="needs torchvision: make test-families")
    from on_families.tiny_families import make_family

    folder = make_family("qwen3_vl", tmp_path_factory.mktemp("family"))
    return BACKENDS.get("image_text_to_text").from_pretrained(str(folder), device="cpu")


@pytest.fixture(scope="module")
def base_url(tiny_checkpoint, tmp_path_factory):
    """The address of `valley serve` over the tiny checkpoint."""
    from serving.serving_kit import serve

    with serve(make_transformers(tiny_checkpoint), tmp_path_factory.mktemp("spool")) as server:
        yield server.base_url


def make_openai(base_url):
    return BACKENDS.get("openai").connect(base_url)


MAKERS = {
    "transformers": make_transformers,
    "image_text_to_text": make_image_text_to_text,
    "openai": make_openai,
}
PARAMS = GenerationParams(max_new_tokens=12)


def test_every_backend_is_here():
    assert set(MAKERS) == set(BACKENDS.names())


@pytest.fixture(params=sorted(MAKERS), scope="module")
def backend(request):
    make = MAKERS[request.param]
    made = make(*(request.getfixturevalue(name) for name in inspect.signature(make).parameters))
    yield made
    made.close()


@pytest.fixture
def conversation(clip_files):
    return Conversation((user(Video(str(clip_files / "a.mp4")), "Which way does it move?"),))


def ask(backend, conversation, params=PARAMS):
    with closing(backend.stream(conversation, params)) as pieces:
        return list(pieces)


def words(pieces):
    return "".join(p.text for p in pieces)


def test_it_is_a_backend(backend):
    assert isinstance(backend, Backend)
    assert backend.capabilities.model
    assert set(backend.capabilities.media) <= {"image", "video"}


def test_it_says_who_it_is(backend):
    identity = backend.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity["engine"]
    assert identity["model"] == backend.capabilities.model
    assert backend.capabilities.max_concurrency >= 1


def test_it_streams_and_ends_once(backend, conversation):
    pieces = ask(backend, conversation)
    assert len([p for p in pieces if p.text]) > 1
    assert [p.finish is not None for p in pieces] == [False] * (len(pieces) - 1) + [True]


def test_it_counts(backend, conversation, clip_files):
    finish = ask(backend, conversation)[-1].finish
    assert finish is not None
    assert 0 < finish.usage.visual < finish.usage.prompt
    assert 0 < finish.usage.completion <= PARAMS.max_new_tokens
    assert 0 <= finish.timing_s.prepare <= finish.timing_s.first_token <= finish.timing_s.total
    (seen,) = finish.media
    assert seen.path == str(clip_files / "a.mp4")
    assert seen.duration_s == pytest.approx(3.0)
    frames = backend.look(conversation.media[0], PARAMS)
    assert list(seen.timestamps_s) == pytest.approx(list(frames.shown_at_s))


@pytest.mark.parametrize("limit", [1, 3])
def test_it_stops_at_the_limit(backend, conversation, limit):
    finish = ask(backend, conversation, GenerationParams(max_new_tokens=limit))[-1].finish
    assert finish is not None
    assert finish.usage.completion <= limit
    assert finish.reason == "length"


def test_the_same_words_at_temperature_0(backend, conversation):
    first = ask(backend, conversation)
    assert words(first)
    assert words(ask(backend, conversation)) == words(first)
    other = GenerationParams(max_new_tokens=12, temperature=1.5, seed=3)
    assert words(ask(backend, conversation, other)) == words(ask(backend, conversation, other))


def test_seeds_differ(backend, conversation):
    answers = {
        words(ask(backend, conversation, GenerationParams(max_new_tokens=12, temperature=2.0, seed=s)))
        for s in range(4)
    }
    assert len(answers) > 1


def test_it_stops_before_a_stop_text(backend, conversation):
    whole = words(ask(backend, conversation))
    stop = whole[len(whole) // 2 :][:2]
    params = GenerationParams(max_new_tokens=12, stop=(stop,))
    assert words(ask(backend, conversation, params)) == whole[: whole.index(stop)]


def test_whole_characters_only(backend, conversation):
    params = GenerationParams(max_new_tokens=40, temperature=3.0, seed=1)
    for piece in ask(backend, conversation, params):
        assert not piece.text.endswith("\ufffd")


def test_it_cancels_and_works_on(backend, conversation):
    whole = words(ask(backend, conversation))
    stream = backend.stream(conversation, PARAMS)
    next(stream)
    stream.close()
    assert words(ask(backend, conversation)) == whole


def test_two_streams_at_once_do_not_mix(backend, conversation, clip_files):
    other = Conversation((user(Image(str(clip_files / "photo.png")), "What is this?"),))
    wanted = words(ask(backend, conversation)), words(ask(backend, other))
    first, second = backend.stream(conversation, PARAMS), backend.stream(other, PARAMS)
    got = ["", ""]
    streams = {0: first, 1: second}
    while streams:
        for number, stream in list(streams.items()):
            piece = next(stream, None)
            if piece is None:
                del streams[number]
            else:
                got[number] += piece.text
    assert tuple(got) == wanted


def test_threads_do_not_mix(backend, conversation, clip_files):
    asked = [conversation, Conversation((user(Video(str(clip_files / "b.mp4")), "Which way?"),))] * 2
    wanted = [words(ask(backend, c)) for c in asked]
    got: dict[int, str] = {}

    def run(number):
        got[number] = words(ask(backend, asked[number]))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[n] for n in range(len(asked))] == wanted


def test_several_turns_and_media(backend, clip_files):
    talk = Conversation(
        (
            system("Be short."),
            user(Video(str(clip_files / "a.mp4")), Image(str(clip_files / "photo.png")), "What?"),
            assistant("A square."),
            user(Video(str(clip_files / "b.mp4"), start_s=1.0), "And here?"),
        )
    )
    finish = ask(backend, talk)[-1].finish
    assert finish is not None
    assert [m.kind for m in finish.media] == ["video", "image", "video"]
    assert finish.media[2].timestamps_s[0] >= 1.0


def test_words_alone(backend):
    assert words(ask(backend, Conversation((user("Hello"),))))


def test_a_bad_medium_is_an_error_that_names_it(backend, tmp_path):
    path = tmp_path / "words.mp4"
    path.write_text("these are only words")
    with pytest.raises(MediaError, match=r"words\.mp4"):
        ask(backend, Conversation((user(Video(str(path)), "What?"),)))
