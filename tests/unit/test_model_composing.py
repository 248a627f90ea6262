"""Any tower and any language model: what composing keeps, what it adds, what it refuses."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PhiConfig,
    PhiForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from valley.errors import ConfigError
from valley.model.composing_valley import CHAT_TOKENS, compose
from valley.model.modeling_valley import ValleyForConditionalGeneration, ValleyModel
from valley.model.visual_layout import VISUAL_TOKENS

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": 0,
}


def ask(processor, clip):
    parts = [{"type": "video", "video": clip}, {"type": "text", "text": "Which way?"}]
    return processor.apply_chat_template(
        [{"role": "user", "content": parts}], tokenize=True, return_dict=True, add_generation_prompt=True
    )


def siglip():
    return SiglipVisionModel(
        SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
        )
    )


def dino():
    return Dinov2WithRegistersModel(
        Dinov2WithRegistersConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            mlp_ratio=2,
            image_size=32,
            patch_size=8,
        )
    )


@pytest.mark.parametrize(("tower", "num_prefix"), [(siglip, 0), (dino, 5)])
def test_towers_with_and_without_class_token(tiny_parts, make_clip, tmp_path, tower, num_prefix):
    tokenizer = tiny_parts.tokenizer()
    model, processor = compose(tower(), tiny_parts.llm(len(tokenizer)), tokenizer)
    assert model.config.num_prefix_tokens == num_prefix
    inputs = ask(processor, make_clip(3))
    with torch.no_grad():
        wanted = model(**inputs).logits
    model.save_pretrained(tmp_path)
    loaded = ValleyForConditionalGeneration.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, wanted)


def test_without_class_token_the_frame_token_is_the_mean_of_the_patches(tiny_parts):
    tokenizer = tiny_parts.tokenizer()
    model, _ = compose(siglip(), tiny_parts.llm(len(tokenizer)), tokenizer)
    with torch.no_grad():
        features = model.model.encode_frames(torch.randn(2, 3, 32, 32))
    torch.testing.assert_close(features[:, 0], features[:, 1:].mean(1), rtol=1e-4, atol=1e-5)


LANGUAGE_MODELS = {
    "qwen2, tied": lambda v: Qwen2ForCausalLM(
        Qwen2Config(vocab_size=v, num_key_value_heads=2, tie_word_embeddings=True, **SMALL)
    ),
    "gpt2, learned positions, another name for the table": lambda v: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=v, n_embd=32, n_layer=2, n_head=4, n_positions=256, bos_token_id=0, eos_token_id=0
        )
    ),
    "phi, head with a bias": lambda v: PhiForCausalLM(
        PhiConfig(vocab_size=v, tie_word_embeddings=False, **{**SMALL, "bos_token_id": 0})
    ),
}


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_any_language_model_keeps_its_words_and_learns_to_see(tiny_parts, make_clip, tmp_path, name):
    tokenizer = tiny_parts.tokenizer()
    torch.manual_seed(0)
    language_model = LANGUAGE_MODELS[name](len(tokenizer)).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        wanted = language_model(input_ids=ids).logits
    model, processor = compose(tiny_parts.tower(), language_model, tokenizer)
    with torch.no_grad():
        got = model(input_ids=ids).logits[..., : wanted.shape[-1]]
    torch.testing.assert_close(got, wanted)
    inputs = ask(processor, make_clip(3))
    answer = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    model.save_pretrained(tmp_path)
    loaded = ValleyForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(loaded.generate(**inputs, max_new_tokens=4, do_sample=False), answer)
    tied = model.lm_head.weight is model.get_input_embeddings().weight
    assert tied == (loaded.lm_head.weight is loaded.get_input_embeddings().weight)
    assert tied == language_model.config.tie_word_embeddings


def test_a_head_that_does_more_than_a_matrix_product_is_refused(tiny_parts):
    tokenizer = tiny_parts.tokenizer()
    capped = Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=len(tokenizer),
            num_key_value_heads=2,
            head_dim=8,
            initializer_range=2.0,
            final_logit_softcapping=1.0,
            tie_word_embeddings=True,
            **{**SMALL, "bos_token_id": 0},
        )
    )
    with pytest.raises(ConfigError, match="gemma2: its logits change"):
        compose(tiny_parts.tower(), capped, tokenizer)


def test_tokens_ids_and_stops_are_in_the_config(tiny_model, tiny_processor):
    tokenizer, config = tiny_processor.tokenizer, tiny_model.config
    for name, token in VISUAL_TOKENS.items():
        assert getattr(config, f"{name}_token_id") == tokenizer.convert_tokens_to_ids(token)
    ids = tokenizer.convert_tokens_to_ids([*CHAT_TOKENS, *VISUAL_TOKENS.values()])
    assert len(set(ids)) == len(ids)
    assert max(ids) < config.text_config.vocab_size == tiny_model.lm_head.out_features
    assert tiny_model.generation_config.eos_token_id == [tokenizer.convert_tokens_to_ids("<|end|>"), 0]
    assert tiny_model.generation_config.pad_token_id == tokenizer.pad_token_id


def test_the_given_tokenizer_is_left_alone(tiny_parts):
    tokenizer = tiny_parts.tokenizer()
    before = len(tokenizer)
    compose(tiny_parts.tower(), tiny_parts.llm(before), tokenizer)
    assert len(tokenizer) == before


def test_parts_come_from_folders_with_their_pixel_settings(tiny_parts, tmp_path):
    tokenizer = tiny_parts.tokenizer()
    tower, llm = tmp_path / "tower", tmp_path / "llm"
    tiny_parts.tower().save_pretrained(tower)
    (tower / "preprocessor_config.json").write_text(
        '{"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}, "resample": 2}'
    )
    tiny_parts.llm(len(tokenizer)).save_pretrained(llm)
    tokenizer.save_pretrained(llm)
    model, processor = compose(str(tower), llm)
    assert processor.image_processor.settings.size == {"shortest_edge": 40}
    assert processor.video_processor.settings.resample == 2
    assert model.config.num_patches == 16


@pytest.mark.parametrize("pooling", ["importance", "transformer"])
def test_learned_poolings_start_as_the_mean(compose_tiny, pooling):
    model, _ = compose_tiny(temporal_pooling=pooling)
    features = torch.randn(4, 16, 64)
    with torch.no_grad():
        tokens = model.model.temporal_pooling(features, torch.arange(4.0)).tokens
    torch.testing.assert_close(tokens, features.mean(0))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"projector": "linear"}, "has no projector"),
        ({"vision_feature_layer": -9}, "has 3 states"),
    ],
)
def test_settings_that_do_not_fit_are_refused(compose_tiny, config, said):
    with pytest.raises(ConfigError, match=said):
        compose_tiny(**config)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"projector_type": "mlp"}, "projector_type"),
        ({"temporal_pooling": "maen"}, "did you mean 'mean'"),
        ({"temporal_pooling_config": {"k": 2}}, "'mean'.*'k'"),
        ({"num_frames": 0}, "at least 1"),
    ],
)
def test_config_values_that_mean_nothing_are_refused(compose_tiny, config, said):
    with pytest.raises(ValueError, match=said):
        compose_tiny(**config)


def test_the_auto_classes_know_valley(tiny_checkpoint):
    assert type(AutoConfig.from_pretrained(tiny_checkpoint)).__name__ == "ValleyConfig"
    assert type(AutoModel.from_pretrained(tiny_checkpoint)) is ValleyModel
    assert (
        type(AutoModelForImageTextToText.from_pretrained(tiny_checkpoint)) is ValleyForConditionalGeneration
    )
    assert type(AutoProcessor.from_pretrained(tiny_checkpoint)).__name__ == "ValleyProcessor"
