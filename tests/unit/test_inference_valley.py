"""The facade: streams, answers and conversations over any backend."""

import pytest

from valley import Valley, Video
from valley.conversation import Conversation, Image, assistant, user
from valley.errors import BackendError, ConfigError, UnknownNameError
from valley.inference.backend import Capabilities, Finish, MediaUse, Piece, Timing, Usage


class Echo:
    """Answers with the words of the last question; remembers what it was asked."""

    capabilities = Capabilities(model="echo", media=("image", "video"), max_context_tokens=None)

    def __init__(self):
        self.asked = []
        self.closed = 0

    def look(self, medium, params):
        raise NotImplementedError

    def identity(self):
        return {"engine": "echo", "model": "echo"}

    def close(self):
        pass

    def stream(self, conversation, params):
        self.asked.append((conversation, params))
        words = conversation.messages[-1].text.split(" ")
        if words == ["fail"]:
            raise BackendError("no")
        try:
            for word in words:
                yield Piece(word)
            media = tuple(MediaUse(str(m.source), "video", 1.0, (0.0,)) for m in conversation.media)
            yield Piece("", Finish("stop", Usage(3, 1, len(words)), Timing(0.0, 0.1, 0.2), media))
        finally:
            self.closed += 1


@pytest.fixture
def echo():
    return Echo()


def test_stream_gives_words(echo):
    assert list(Valley(echo).stream([Video("a.mp4"), "what happens now"])) == ["what", "happens", "now"]
    assert echo.asked[0][0].messages == (user(Video("a.mp4"), "what happens now"),)


def test_closing_a_stream_stops_the_engine(echo):
    words = Valley(echo).stream("one two three")
    assert next(words) == "one"
    words.close()
    assert echo.closed == 1


def test_answer_tells_what_was_seen(echo):
    answer = Valley(echo).answer([Video("a.mp4"), "x y"], temperature=0.5)
    assert answer.to_dict() == {
        "answer": "xy",
        "model": "echo",
        "media": (
            {"path": "a.mp4", "kind": "video", "duration_s": 1.0, "timestamps_s": (0.0,), "missing_s": ()},
        ),
        "usage": {"prompt": 3, "visual": 1, "completion": 2, "cached": 0},
        "timing_s": {"prepare": 0.0, "first_token": 0.1, "total": 0.2},
        "finish_reason": "stop",
    }
    assert str(answer) == "xy"
    assert echo.asked[0][1].temperature == 0.5


def test_a_conversation_may_be_given_and_a_system_text_replaced(echo):
    record = Conversation((user("a"), assistant("b"), user("c")), language="es")
    Valley(echo).answer(record, system="Be short.")
    asked = echo.asked[0][0]
    assert [m.role for m in asked.messages] == ["system", "user", "assistant", "user"]
    assert asked.language == "es"


def test_a_chat_remembers(echo):
    chat = Valley(echo).chat(Video("a.mp4"), system="Be short.")
    assert "".join(chat.ask("one two")) == "onetwo"
    assert chat.last is not None
    assert chat.last.answer == "onetwo"
    chat.add(Image("b.png"))
    assert len(chat.media) == 2
    list(chat.ask("three"))
    conversation = echo.asked[-1][0]
    assert [m.role for m in conversation.messages] == ["system", "user", "assistant", "user"]
    assert conversation.messages[1].media == (Video("a.mp4"),)
    assert conversation.messages[3].media == (Image("b.png"),)


def test_reset_keeps_the_media(echo):
    chat = Valley(echo).chat(Video("a.mp4"))
    list(chat.ask("one"))
    chat.reset()
    list(chat.ask("two"))
    assert echo.asked[-1][0].messages == (user(Video("a.mp4"), "two"),)


def test_a_stopped_answer_is_remembered_as_far_as_it_went(echo):
    chat = Valley(echo).chat()
    words = chat.ask("one two three")
    next(words)
    words.close()
    assert [m.text for m in chat.turns] == ["one two three", "one"]
    assert chat.last is None


def test_a_failed_question_changes_nothing(echo):
    chat = Valley(echo).chat(Video("a.mp4"))
    with pytest.raises(BackendError):
        list(chat.ask("fail"))
    assert chat.turns == []
    assert chat.pending == [Video("a.mp4")]


def test_unknown_names_are_told():
    with pytest.raises(UnknownNameError, match="did you mean 'transformers'"):
        Valley.from_pretrained("valley-mini", backend="transformer")
    with pytest.raises(ConfigError, match="no option is called 'temprature'"):
        Valley(Echo()).answer("x", temprature=1)  # pyright: ignore[reportCallIssue]


def test_a_model_may_want_its_questions_before_its_media(echo):
    echo.capabilities = Capabilities(
        model="echo", media=("image", "video"), max_context_tokens=None, question_first=True
    )
    session = Valley(echo).chat(Video("a.mp4"))
    list(session.ask("what happens"))
    list(session.ask("and then"))
    turns = echo.asked[1][0].messages
    assert turns[0] == user("what happens", "\n", Video("a.mp4"))
    assert turns[2] == user("and then")
    list(Valley(echo).stream([Video("a.mp4"), "as I say"]))
    assert echo.asked[2][0].messages == (user(Video("a.mp4"), "as I say"),)
