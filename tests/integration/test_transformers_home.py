"""What people do with any model of transformers, done with this one."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from transformers import pipeline

from valley.model.modeling_valley import ValleyForConditionalGeneration

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture
def chat(clip_files: Path):
    content = [
        {"type": "video", "path": str(clip_files / "a.mp4")},
        {"type": "text", "text": "Which way does the red circle move?"},
    ]
    return [{"role": "user", "content": content}]


@pytest.fixture
def inputs(tiny_processor, chat):
    return dict(
        tiny_processor.apply_chat_template(
            chat,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            processor_kwargs={"num_frames": 3},
        )
    )


@pytest.fixture
def own(tiny_checkpoint: Path) -> ValleyForConditionalGeneration:
    """A model that a test may change."""
    return ValleyForConditionalGeneration.from_pretrained(tiny_checkpoint, dtype=torch.float32).eval()


@pytest.fixture
def greedy(tiny_model, inputs):
    return tiny_model.generate(**inputs, max_new_tokens=10, do_sample=False)


def test_the_pipeline_of_images_and_text_takes_clips_too(tiny_model, tiny_processor, chat, inputs) -> None:
    ask = pipeline("image-text-to-text", model=tiny_model, processor=tiny_processor)
    told = ask(
        text=chat,
        max_new_tokens=10,
        generate_kwargs={"do_sample": False},
        return_full_text=False,
        processor_kwargs={"num_frames": 3},
    )
    said = tiny_model.generate(**inputs, max_new_tokens=10, do_sample=False)[
        0, inputs["input_ids"].shape[1] :
    ]
    assert told[0]["generated_text"] == tiny_processor.decode(said, skip_special_tokens=True)


@pytest.mark.parametrize("cache", ["static", "offloaded", "dynamic"])
def test_every_cache_gives_the_same_words(cache: str, tiny_model, inputs, greedy) -> None:
    if cache == "offloaded" and not torch.accelerator.is_available():
        pytest.skip("there is nothing to offload from")
    said = tiny_model.generate(**inputs, max_new_tokens=10, do_sample=False, cache_implementation=cache)
    assert torch.equal(said, greedy)


def test_guessing_ahead_gives_the_same_words(tiny_model, own, inputs, greedy) -> None:
    lookup = tiny_model.generate(**inputs, max_new_tokens=10, do_sample=False, prompt_lookup_num_tokens=3)
    assert torch.equal(lookup, greedy)
    assisted = tiny_model.generate(**inputs, max_new_tokens=10, do_sample=False, assistant_model=own)
    assert torch.equal(assisted, greedy)


def test_gradient_checkpointing_changes_no_gradient(own, inputs) -> None:
    labels = inputs["input_ids"].masked_fill(inputs["mm_token_type_ids"] > 0, -100)
    own.train()
    own(**inputs, labels=labels).loss.backward()
    plain = {n: p.grad.clone() for n, p in own.named_parameters() if p.grad is not None}
    own.zero_grad()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the newest transformers calls it by another name
        own.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    own(**inputs, labels=labels, use_cache=False).loss.backward()
    for name, parameter in own.named_parameters():
        if name in plain:
            torch.testing.assert_close(parameter.grad, plain[name], **TOLERANCE)


def test_embeddings_may_be_resized(own, inputs) -> None:
    before = own(**inputs).logits.detach()
    size = own.config.text_config.vocab_size
    own.resize_token_embeddings(size + 5)
    after = own(**inputs).logits.detach()
    assert own.config.text_config.vocab_size == size + 5
    torch.testing.assert_close(after[..., :size], before, **TOLERANCE)


def test_tied_heads_stay_tied_when_saved(compose_tiny, tiny_parts, tmp_path: Path) -> None:
    from valley.model.composing_valley import compose

    tokenizer = tiny_parts.tokenizer()
    words = tiny_parts.llm(len(tokenizer), tie_word_embeddings=True)
    model, _ = compose(tiny_parts.tower(), words, tokenizer)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    again = ValleyForConditionalGeneration.from_pretrained(tmp_path)
    assert again.lm_head.weight is again.get_input_embeddings().weight
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)


def test_each_part_may_have_its_own_attention(tiny_checkpoint: Path, tiny_model, inputs) -> None:
    parts = {"vision_config": "eager", "text_config": "sdpa"}
    model = ValleyForConditionalGeneration.from_pretrained(
        tiny_checkpoint, dtype=torch.float32, attn_implementation=parts
    )
    assert model.model.vision_tower.config._attn_implementation == "eager"
    assert model.model.language_model.config._attn_implementation == "sdpa"
    torch.testing.assert_close(model(**inputs).logits, tiny_model(**inputs).logits, **TOLERANCE)


def test_the_device_may_be_chosen_by_itself(tiny_checkpoint: Path, tiny_model, inputs) -> None:
    model = ValleyForConditionalGeneration.from_pretrained(
        tiny_checkpoint, dtype=torch.float32, device_map="auto"
    )
    at = {name: value.to(model.device) for name, value in inputs.items()}
    torch.testing.assert_close(model(**at).logits.cpu(), tiny_model(**inputs).logits, **TOLERANCE)


@pytest.mark.slow
def test_a_step_of_the_language_model_compiles_in_one_piece(own, inputs) -> None:
    embeds = torch.randn(1, 1, own.config.text_config.hidden_size)
    explained = torch._dynamo.explain(own.model.language_model)(inputs_embeds=embeds, use_cache=False)
    assert explained.graph_break_count == 0, explained.break_reasons
