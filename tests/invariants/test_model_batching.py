"""What must not change an answer: company in the batch, padding, the cache, calling a picture a clip."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch

# Two orders of summation of float32 numbers of size 10 on one machine.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def video(frames, question="Which way?"):
    parts = [{"type": "video", "video": frames}, {"type": "text", "text": question}]
    return [{"role": "user", "content": parts}]


def image(picture, question="Which colour is it?"):
    parts = [{"type": "text", "text": question}, {"type": "image", "image": picture}]
    return [{"role": "user", "content": parts}]


def text(question="Which way does the red circle move?"):
    return [{"role": "user", "content": [{"type": "text", "text": question}]}]


def encode(processor, chats, **processor_kwargs):
    return processor.apply_chat_template(
        chats,
        tokenize=True,
        return_dict=True,
        add_generation_prompt=True,
        processor_kwargs=processor_kwargs,
    )


@pytest.fixture(scope="module", params=["mean", "importance", "transformer", "chunk", "none"])
def parts(request, compose_tiny):
    """A model whose pooling weights are not the neutral ones it starts with."""
    options = {"chunk": {"frames_per_chunk": 2}, "transformer": {"feed_forward_dim": 32}}
    name = request.param
    model, processor = compose_tiny(
        temporal_pooling=name, temporal_pooling_config=options.get(name), projector_type="mlp2x_gelu"
    )
    torch.manual_seed(5)
    for weight in model.model.temporal_pooling.parameters():
        weight.data.normal_(std=0.2)
    return model, processor


@pytest.fixture
def chats(make_clip):
    """A short and a long clip, a picture, words, and everything interleaved."""
    both = [
        {"role": "system", "content": "Answer in Spanish."},
        {
            "role": "user",
            "content": [
                {"type": "image", "image": make_clip(1, seed=4)[0]},
                {"type": "text", "text": "and then"},
                {"type": "video", "video": make_clip(3, seed=5)},
                {"type": "image", "image": make_clip(1, seed=6)[0]},
                {"type": "video", "video": make_clip(1, seed=7)},
            ],
        },
        {"role": "assistant", "content": "A circle."},
        {"role": "user", "content": "Which way?"},
    ]
    return [
        video(make_clip(2, seed=1)),
        text(),
        both,
        image(make_clip(1, 40, 60, seed=2)[0]),
        video(make_clip(5, 50, 40, seed=3), "And where?"),
    ]


@torch.no_grad()
def logits(model, processor, chats, **options):
    inputs = encode(processor, chats, **options)
    rows = model(**inputs).logits
    return [row[mask.bool()] for row, mask in zip(rows, inputs["attention_mask"], strict=True)]


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_a_batch_is_its_samples_one_by_one(parts, chats, padding_side):
    together = logits(*parts, chats, padding_side=padding_side)
    for chat, row in zip(chats, together, strict=True):
        alone = logits(*parts, [chat])[0]
        torch.testing.assert_close(row, alone, **TOLERANCE)


def test_padding_changes_nothing(parts, chats):
    short = logits(*parts, chats[:1])[0]
    long = logits(*parts, chats[:1], padding="max_length", max_length=200)[0]
    torch.testing.assert_close(short, long, **TOLERANCE)


def test_padding_frames_are_never_looked_at(parts, make_clip):
    model, processor = parts
    inputs = encode(processor, [video(make_clip(2)), video(make_clip(4))])
    rubbish = {**inputs}
    rubbish["pixel_values_videos"] = inputs["pixel_values_videos"].clone()
    rubbish["pixel_values_videos"][0, 2:] = float("nan")
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, model(**rubbish).logits)


def test_a_picture_is_a_clip_of_one_frame(parts, make_clip):
    model, processor = parts
    frames = make_clip(1, seed=8)
    picture = encode(processor, [image(frames[0], "x")])
    clip = encode(
        processor,
        [[{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "video", "video": frames}]}]],
    )
    assert torch.equal(picture["input_ids"], clip["input_ids"])
    assert torch.equal(picture["pixel_values"], clip["pixel_values_videos"][0])
    with torch.no_grad():
        assert torch.equal(model(**picture).logits, model(**clip).logits)


def test_generating_with_and_without_the_cache_is_the_same(parts, chats):
    model, processor = parts
    inputs = encode(processor, chats)
    settings = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    assert torch.equal(
        model.generate(**inputs, **settings), model.generate(**inputs, **settings, use_cache=False)
    )


def test_generating_together_is_generating_alone(parts, chats):
    model, processor = parts
    settings = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None}
    together = model.generate(**encode(processor, chats), **settings)[:, -5:]
    for chat, row in zip(chats, together, strict=True):
        assert torch.equal(model.generate(**encode(processor, [chat]), **settings)[0, -5:], row)


def test_beams_and_several_answers_keep_each_sample_with_its_own_media(parts, chats):
    model, processor = parts
    settings = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None, "num_beams": 2}
    chats = [chats[2], chats[0]]
    together = model.generate(**encode(processor, chats), **settings)[:, -4:]
    for chat, row in zip(chats, together, strict=True):
        assert torch.equal(model.generate(**encode(processor, [chat]), **settings)[0, -4:], row)


def test_the_vision_tower_runs_once_for_an_answer_and_never_for_the_next_question(
    tiny_model, tiny_processor, make_clip
):
    calls = []
    hook = tiny_model.model.vision_tower.register_forward_hook(lambda *_: calls.append(1))
    try:
        first = encode(tiny_processor, [video(make_clip())])
        out = tiny_model.generate(
            **first, max_new_tokens=4, do_sample=False, return_dict_in_generate=True, eos_token_id=None
        )
        assert len(calls) == 1
        more = tiny_processor.tokenizer("<|end|><|user|>And now?<|end|><|assistant|>", return_tensors="pt")[
            "input_ids"
        ]
        longer = torch.cat([out.sequences, more], dim=1)
        again = tiny_model.generate(
            input_ids=longer,
            attention_mask=torch.ones_like(longer),
            past_key_values=out.past_key_values,
            max_new_tokens=4,
            do_sample=False,
            eos_token_id=None,
        )
        assert len(calls) == 1
    finally:
        hook.remove()
    media = {k: v for k, v in first.items() if k.startswith(("pixel", "video"))}
    types = torch.nn.functional.pad(
        first["mm_token_type_ids"], (0, longer.shape[1] - first["input_ids"].shape[1])
    )
    fresh = tiny_model.generate(
        input_ids=longer,
        attention_mask=torch.ones_like(longer),
        mm_token_type_ids=types,
        **media,
        max_new_tokens=4,
        do_sample=False,
        eos_token_id=None,
    )
    assert torch.equal(again, fresh)


def test_saved_and_loaded_in_another_process_the_logits_are_equal(
    tiny_model, tiny_processor, tiny_checkpoint, make_clip, tmp_path
):
    import numpy as np

    np.save(tmp_path / "clip.npy", make_clip(3))
    script = textwrap.dedent(
        """
        import sys, numpy as np, torch
        import valley.model
        from transformers import AutoModelForImageTextToText, AutoProcessor
        torch.set_num_threads(1)
        folder, work = sys.argv[1:]
        model = AutoModelForImageTextToText.from_pretrained(folder)
        processor = AutoProcessor.from_pretrained(folder)
        clip = np.load(work + "/clip.npy")
        parts = [{"type": "video", "video": clip}, {"type": "text", "text": "Which way?"}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": parts}], tokenize=True, return_dict=True, add_generation_prompt=True
        )
        with torch.no_grad():
            torch.save(model(**inputs).logits, work + "/logits.pt")
        """
    )
    subprocess.run([sys.executable, "-c", script, str(tiny_checkpoint), str(tmp_path)], check=True)
    inputs = encode(tiny_processor, [video(make_clip(3))])
    with torch.no_grad():
        here = tiny_model(**inputs).logits
    assert torch.equal(torch.load(tmp_path / "logits.pt", weights_only=True), here)


def test_sdpa_and_eager_attention_agree(compose_tiny, chats):
    model, processor = compose_tiny()
    model.set_attn_implementation("sdpa")
    with_sdpa = logits(model, processor, chats)
    model.set_attn_implementation("eager")
    for a, b in zip(with_sdpa, logits(model, processor, chats), strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)
