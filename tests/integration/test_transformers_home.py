"""What people do with any model of transformers, done with this one."""

from __future__ import annotations

import importlib.util
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


@pytest.mark.parametrize(("dtype", "most"), [("float16", 0.01), ("bfloat16", 0.06)])
def test_half_precision_moves_the_logits_a_little(
    dtype: str, most: float, tiny_checkpoint: Path, tiny_model, inputs
) -> None:
    """The bounds are a few units in the last place of each type: 2^-11 and 2^-8 of the largest logit."""
    half = ValleyForConditionalGeneration.from_pretrained(tiny_checkpoint, dtype=getattr(torch, dtype))
    assert {p.dtype for p in half.parameters()} == {getattr(torch, dtype)}
    with torch.no_grad():
        wanted, got = tiny_model(**inputs).logits, half(**inputs).logits.float()
    assert float((got - wanted).abs().max() / wanted.abs().max()) < most


def test_flash_attention_is_asked_for_by_name(tiny_checkpoint: Path) -> None:
    assert ValleyForConditionalGeneration._supports_flash_attn
    assert ValleyForConditionalGeneration._supports_sdpa
    assert ValleyForConditionalGeneration._supports_attention_backend
    if importlib.util.find_spec("flash_attn") is None:
        with pytest.raises(ImportError, match=r"flash_attn|FlashAttention"):
            ValleyForConditionalGeneration.from_pretrained(
                tiny_checkpoint, attn_implementation="flash_attention_2"
            )


@pytest.mark.parametrize("attention", ["eager", "sdpa", "flex_attention"])
def test_every_attention_gives_the_same(attention: str, tiny_checkpoint: Path, tiny_model, inputs) -> None:
    if attention == "flex_attention":
        pytest.importorskip("triton", reason="flex attention compiles, which needs triton")
    model = ValleyForConditionalGeneration.from_pretrained(
        tiny_checkpoint, dtype=torch.float32, attn_implementation=attention
    )
    torch.testing.assert_close(model(**inputs).logits, tiny_model(**inputs).logits, **TOLERANCE)


@pytest.mark.parametrize("half", ["attentions", "hidden_states"])
def test_what_happens_inside_may_be_looked_at(half: str, tiny_checkpoint: Path, inputs) -> None:
    model = ValleyForConditionalGeneration.from_pretrained(
        tiny_checkpoint, dtype=torch.float32, attn_implementation="eager"
    )
    outputs = model(**inputs, **{f"output_{half}": True})
    num_layers, num_tokens = model.config.text_config.num_hidden_layers, inputs["input_ids"].shape[1]
    seen = getattr(outputs, half)
    assert len(seen) == num_layers + (half == "hidden_states")
    assert seen[-1].shape[-2] == num_tokens
    told, loss_free = outputs.to_tuple(), model(**inputs, return_dict=False)
    assert torch.equal(told[0], loss_free[0])


def test_every_parameter_learns(own, inputs) -> None:
    own.train()
    labels = inputs["input_ids"].masked_fill(inputs["mm_token_type_ids"] > 0, -100)
    own(**inputs, labels=labels).loss.backward()
    # The tower's last layer lies behind the one that is read (vision_feature_layer -2).
    still = {n for n, p in own.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    beyond = ("model.vision_tower.encoder.layers.1.", "model.vision_tower.post_layernorm.")
    assert {n for n in still if not n.startswith(beyond)} <= {"model.vision_tower.pre_layrnorm.bias"}


@pytest.mark.slow
def test_a_step_of_the_language_model_compiles_in_one_piece(own, inputs) -> None:
    embeds = torch.randn(1, 1, own.config.text_config.hidden_size)
    explained = torch._dynamo.explain(own.model.language_model)(inputs_embeds=embeds, use_cache=False)
    assert explained.graph_break_count == 0, explained.break_reasons
