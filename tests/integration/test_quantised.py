"""A language model in eight or four bits: the rest keeps its precision, and the answers hardly move."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from valley.errors import ConfigError
from valley.inference.backends import _loading
from valley.inference.planning import make_plan
from valley.model import quantising

bnb = pytest.importorskip("bitsandbytes", reason="needs the extra quantize")

# Largest difference of a logit, over the largest logit; by rounding: 1/127 a weight, and a sixteenth.
DRIFT = {"int8": 0.08, "int4": 0.35}


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bitsandbytes says which kernels it would rather have
        yield


@pytest.mark.parametrize("dtype", DRIFT)
def test_answers_hardly_move(dtype: str, clip_files: Path) -> None:
    whole = _loading.load("valley-mini", dtype="float32", device="cpu")
    small = _loading.load("valley-mini", dtype=dtype, device="cpu")
    layer = small.model.model.language_model.layers[0].mlp.up_proj
    assert isinstance(layer, bnb.nn.Linear8bitLt if dtype == "int8" else bnb.nn.Linear4bit)
    tower = [m for m in small.model.model.vision_tower.modules() if isinstance(m, nn.Linear)]
    assert {type(m) for m in tower} == {nn.Linear}
    assert {m.weight.dtype for m in tower} == {torch.bfloat16}
    assert type(small.model.model.multi_modal_projector.linear_1) is nn.Linear
    content = [
        {"type": "video", "path": str(clip_files / "a.mp4")},
        {"type": "text", "text": "What colour is it?"},
    ]
    inputs = whole.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True
    )
    with torch.no_grad():
        wanted, got = (m.model(**inputs).logits[0, -1].float() for m in (whole, small))
    assert float((got - wanted).abs().max() / wanted.abs().max()) < DRIFT[dtype]


def test_a_plan_counts_the_smaller_weights() -> None:
    half, eight, four = (
        make_plan("valley-mini", [], dtype=d, device="cpu").weights_bytes
        for d in ("bfloat16", "int8", "int4")
    )
    assert four < eight < half


def test_what_cannot_be_quantised_says_so(monkeypatch) -> None:
    with pytest.raises(ConfigError, match=r"want one of float32, .*int8, int4"):
        _loading.choose_dtype("int3", torch.device("cpu"))
    with pytest.raises(ConfigError, match="not on mps"):
        quantising.quantisation("int8", torch.device("mps"))
    monkeypatch.setattr(quantising.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError.__base__, match=r"pip install 'valley-vl\[quantize\]'"):
        quantising.quantisation("int8", torch.device("cpu"))
