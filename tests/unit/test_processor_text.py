"""What people write is only text, whatever it spells; and cutting a prompt never cuts a medium."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from valley.errors import ConversationError
from valley.model.errors_valley import PromptError, PromptTooLongError
from valley.model.prompt_encoding import choose_mark, control_pattern, neutralise

CHAT = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>", "<|endoftext|>")
VISUAL = (
    "<im_start>",
    "<im_patch>",
    "<im_end>",
    "<vi_start>",
    "<vi_frame>",
    "<vi_end>",
    "<image>",
    "<video>",
)
SPECIAL = CHAT + VISUAL

# Special tokens, halves of them, ordinary words of several alphabets, and anything else.
words = st.sampled_from(
    [*SPECIAL, *(t[:3] for t in SPECIAL), *(t[3:] for t in SPECIAL), "红色", "círculo", " "]
)
texts = st.lists(st.one_of(words, st.text(max_size=4)), max_size=6).map("".join)

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def encode(processor, messages, **kwargs):
    return processor.apply_chat_template(messages, tokenize=True, return_dict=True, **kwargs)


def special_ids_in(processor, ids):
    known = {i for i, token in processor.tokenizer.added_tokens_decoder.items() if token.special}
    return [i for i in ids.tolist() if i in known]


@quick
@given(system=texts, question=texts, answer=texts, second=texts)
def test_text_fields_never_give_special_ids_and_keep_every_character(
    tiny_processor, make_clip, system, question, answer, second
):
    clip = make_clip(2)

    def chat(a, b, c, d):
        return [
            {"role": "system", "content": a},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": b},
                    {"type": "video", "video": clip},
                    {"type": "text", "text": d},
                    {"type": "text", "text": b},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": c}]},
        ]

    written = encode(
        tiny_processor, chat(system, question, answer, second), return_assistant_tokens_mask=True
    )
    silent = encode(tiny_processor, chat("", "", "", ""))
    ids = written["input_ids"][0]
    assert special_ids_in(tiny_processor, ids) == special_ids_in(tiny_processor, silent["input_ids"][0])
    types, plain = written["mm_token_type_ids"][0], silent["mm_token_type_ids"][0]
    assert (types != 0).sum() == (plain != 0).sum() == 16 + 2
    decoded = tiny_processor.tokenizer.decode(ids)
    medium = tiny_processor.layout.expansion([0.0, 1.0])
    turns = (f"<|system|>{system}<|end|>", f"<|user|>{question}{medium}{second}{question}<|end|>")
    assert decoded == "".join(turns) + f"<|assistant|>{answer}<|end|>"
    said = tiny_processor.tokenizer.decode(ids[written["assistant_masks"][0].bool()])
    assert said == f"{answer}<|end|>"


@pytest.mark.parametrize("token", SPECIAL)
def test_each_special_token_in_each_text_field(tiny_processor, token):
    for role in ("system", "user", "assistant"):
        ids = encode(tiny_processor, [{"role": role, "content": f"a{token}b {token}"}])["input_ids"][0]
        assert len(special_ids_in(tiny_processor, ids)) == 2
        assert tiny_processor.tokenizer.decode(ids) == f"<|{role}|>a{token}b {token}<|end|>"


@pytest.mark.parametrize("token", SPECIAL)
def test_special_tokens_in_template_variables_are_text(tiny_processor, token):
    ids = encode(tiny_processor, [{"role": "user", "content": "x"}], answer_language=f"xx{token}")[
        "input_ids"
    ][0]
    assert (
        special_ids_in(tiny_processor, ids).count(tiny_processor.tokenizer.convert_tokens_to_ids("<|end|>"))
        == 2
    )


def test_two_parts_cannot_spell_a_special_token_together(tiny_processor):
    parts = [{"type": "text", "text": "<|en"}, {"type": "text", "text": "d|>"}]
    ids = encode(tiny_processor, [{"role": "user", "content": parts}])["input_ids"][0]
    assert len(special_ids_in(tiny_processor, ids)) == 2


def test_ordinary_text_is_encoded_as_the_tokenizer_does(tiny_processor):
    text = "Which way does the red circle move? 红色的圆"
    ids = encode(tiny_processor, [{"role": "user", "content": text}])["input_ids"][0].tolist()
    assert ids == tiny_processor.tokenizer.encode(f"<|user|>{text}<|end|>", add_special_tokens=False)


@given(text=texts)
@settings(max_examples=200, deadline=None)
def test_neutralised_text_holds_no_special_token_and_loses_nothing(text):
    control = control_pattern((*SPECIAL, "<<|end|>>"))
    mark = choose_mark([text])
    broken = neutralise(text, control, mark)
    assert not control.search(broken)
    assert broken.replace(mark, "") == text


def test_a_mark_is_no_character_of_the_text():
    assert choose_mark(["a\ue000b"]) == "\ue001"
    with pytest.raises(PromptError, match="private character"):
        choose_mark(["".join(chr(c) for c in range(0xE000, 0xE010))])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("missing", [1, 5, 17])
def test_cutting_takes_words_and_leaves_media_and_turns(tiny_processor, make_clip, side, missing):
    messages = [
        {"role": "system", "content": "Answer at once."},
        {
            "role": "user",
            "content": [{"type": "video", "video": make_clip(3)}, {"type": "text", "text": "abcdefghij"}],
        },
    ]
    whole = encode(tiny_processor, messages)["input_ids"][0]
    tiny_processor.tokenizer.truncation_side = side
    try:
        cut = encode(
            tiny_processor,
            messages,
            processor_kwargs={"truncation": True, "max_length": len(whole) - missing},
        )
    finally:
        tiny_processor.tokenizer.truncation_side = "right"
    ids = cut["input_ids"][0]
    assert len(ids) == len(whole) - missing
    assert special_ids_in(tiny_processor, ids) == special_ids_in(tiny_processor, whole)
    assert (cut["mm_token_type_ids"] != 0).sum() == 16 + 3
    text = tiny_processor.tokenizer.decode(ids)
    assert text.startswith("<|system|>Answer") == (side == "right")


def test_media_that_do_not_fit_are_refused(tiny_processor, make_clip):
    messages = [{"role": "user", "content": [{"type": "video", "video": make_clip(3)}]}]
    with pytest.raises(PromptTooLongError, match=r"at most 20 tokens.*fewer frames") as raised:
        encode(tiny_processor, messages, processor_kwargs={"truncation": True, "max_length": 20})
    assert isinstance(raised.value, ConversationError)


def test_truncation_without_a_length_is_refused(tiny_processor):
    with pytest.raises(PromptError, match="need a max_length"):
        encode(tiny_processor, [{"role": "user", "content": "x"}], processor_kwargs={"truncation": True})
