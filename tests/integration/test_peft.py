"""PEFT's own API on a Valley: LoRA on every part, merging, saving, loading; and the adapters of 2023."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("peft", reason="the extra 'lora' is not installed")
pytest.importorskip("sentencepiece", reason="the extra 'convert' is not installed")

from peft import LoraConfig, PeftModel, get_peft_model

import published
from valley.model.convert_valley_weights import convert
from valley.model.modeling_valley import ValleyForConditionalGeneration

PARTS = {
    "language model": r"model\.language_model\..*\.(q_proj|down_proj)",
    "tower": r"model\.vision_tower\..*\.(q_proj|fc1)",
    "projector": r"model\.multi_modal_projector\.linear_1",
}


@pytest.fixture
def inputs(tiny_processor, make_clip):
    content = [{"type": "video", "video": make_clip(3)}, {"type": "text", "text": "Which way?"}]
    messages = [{"role": "user", "content": content}]
    return dict(tiny_processor.apply_chat_template(messages, tokenize=True, return_dict=True))


@torch.no_grad()
def logits_of(model, inputs) -> torch.Tensor:
    return model.eval()(**inputs).logits


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_adapted_trained_saved_loaded_and_merged(
    part: str, tiny_checkpoint: Path, tmp_path: Path, inputs
) -> None:
    base = ValleyForConditionalGeneration.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    before = logits_of(base, inputs)
    torch.manual_seed(0)
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=PARTS[part], task_type="CAUSAL_LM"))
    torch.testing.assert_close(logits_of(adapted, inputs), before)  # it begins as nothing
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):
        labels = inputs["input_ids"].masked_fill(inputs["mm_token_type_ids"] > 0, -100)
        adapted.train()(**inputs, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = logits_of(adapted, inputs)
    assert not torch.allclose(after, before, atol=1e-4)
    adapted.save_pretrained(tmp_path / "adapter")
    again = ValleyForConditionalGeneration.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    loaded = PeftModel.from_pretrained(again, tmp_path / "adapter")
    torch.testing.assert_close(logits_of(loaded, inputs), after)
    merged = loaded.merge_and_unload()
    assert isinstance(merged, ValleyForConditionalGeneration)
    torch.testing.assert_close(logits_of(merged, inputs), after, rtol=1e-4, atol=1e-4)


def test_an_adapter_of_2023_may_stay_one(tmp_path: Path) -> None:
    source = published.write(tmp_path / "source", published.weights())
    tower = published.write_tower(tmp_path / "tower")
    published.write_adapter(tmp_path / "lora")
    kept = convert(
        source, tmp_path / "kept", adapter=tmp_path / "lora", keep_adapter=True, vision_tower=tower
    )
    convert(source, tmp_path / "merged", adapter=tmp_path / "lora", vision_tower=tower)
    merged, base = (
        ValleyForConditionalGeneration.from_pretrained(tmp_path / name, dtype=torch.float32)
        for name in ("merged", "kept")
    )
    inputs = {"input_ids": torch.arange(3, 20)[None]}
    wanted = logits_of(merged, inputs)
    assert not torch.allclose(logits_of(base, inputs), wanted, atol=1e-3)
    loaded = PeftModel.from_pretrained(base, kept.folder / "adapter")
    torch.testing.assert_close(logits_of(loaded, inputs), wanted, rtol=1e-4, atol=1e-4)
