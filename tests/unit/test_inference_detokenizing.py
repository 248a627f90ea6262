"""Streamed text is never cut within a character, never taken back, and ends before a stop text."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from valley.inference.detokenizing import Detokenizer


class ByteTokenizer:
    """One token a byte, the hardest case; 256 is a special token."""

    def decode(self, token_ids, *, skip_special_tokens, **_):
        assert skip_special_tokens
        return bytes(i for i in token_ids if i < 256).decode("utf-8", "replace")


def pieces_of(ids, tokenizer=None, stop=(), prefixes=()):
    words = Detokenizer(tokenizer or ByteTokenizer(), stop=stop, prefixes=prefixes)
    pieces = []
    for i in ids:
        if words.stopped:
            break
        pieces.append(words.push(i))
    return [*pieces, words.finish()]


@given(st.text(max_size=20))
@settings(max_examples=25, deadline=None)
def test_pieces_are_whole_characters_and_lose_nothing(text):
    pieces = pieces_of(text.encode())
    assert "".join(pieces) == text.rstrip("\ufffd")
    assert all("\ufffd" not in p for p in pieces) or "\ufffd" in text


def test_a_character_of_four_bytes_comes_in_one_piece():
    assert [p for p in pieces_of("a🙂b".encode()) if p] == ["a", "🙂", "b"]


def test_half_a_character_at_the_end_is_dropped():
    assert "".join(pieces_of("右".encode()[:2])) == ""
    assert "".join(pieces_of(b"ab" + "向".encode()[:1])) == "ab"


def test_special_tokens_give_no_text():
    assert "".join(pieces_of([104, 256, 105])) == "hi"


@pytest.mark.parametrize(
    ("text", "stop", "wanted"),
    [
        ("one. two. three", ("two",), "one. "),
        ("abcabd", ("abd",), "abc"),
        ("ends with a beginning of it: ##", ("###",), "ends with a beginning of it: ##"),
        ("xx### yy", ("yy", "###"), "xx"),
        ("nothing", (), "nothing"),
    ],
)
def test_stop_texts(text, stop, wanted):
    pieces = pieces_of(text.encode(), stop=stop)
    assert "".join(pieces) == wanted


def test_a_real_tokenizer_gives_what_decode_gives(tiny_processor):
    tokenizer = tiny_processor.tokenizer
    generator = random.Random(0)
    for _ in range(20):
        ids = [generator.randrange(len(tokenizer)) for _ in range(40)]
        whole = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert "".join(pieces_of(ids, tokenizer)) == whole.rstrip("\ufffd")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (" Assistant: hello ###", "hello"),
        (" Assistant: hello", "hello"),
        ("\nResponse: Valley: x\n", "x"),
        ("Assistent: typo", "Assistent: typo"),
        ("LLaVA: y###", "LLaVA: y"),
        ("###", ""),
        ("", ""),
        ("  ", ""),
        ("Human: q ### A", "Human: q"),
        ("Assistant:Assistant: z###w", "z"),
        ("Valley:Valley", "Valley"),
        ("Assistant", "Assistant"),
        ("Val\n ley  says\n", "Val\n ley  says"),
        ("中文。### 后", "中文。"),
    ],
)
def test_what_comes_before_an_answer_is_left_out(text, wanted):
    prefixes = ("Assistant:", "Response:", "Valley:")
    pieces = pieces_of(text.encode(), stop=("###",), prefixes=prefixes)
    assert "".join(pieces) == wanted


def test_an_answer_behind_a_prefix_is_streamed_all_the_same():
    pieces = pieces_of(b"Assistant: one two", stop=("###",), prefixes=("Assistant:",))
    assert len([p for p in pieces if p]) == len("onetwo")
