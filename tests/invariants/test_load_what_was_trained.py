"""What a run leaves loads in a new process and says the same: whole, projector alone, LoRA, QLoRA."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from valley.errors import ConfigError
from valley.inference.backends._loading import load
from valley.model.adapter_folder import base_of, load_adapted
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.training import run as running
from valley.training.config import make_config
from valley.training.merging import merge

PROGRAM = """
import sys, json, numpy as np, torch
from valley.inference.backends._loading import Loaded, load
if sys.argv[3] == "whole":
    loaded = load(sys.argv[1], device="cpu")
else:  # as it was trained: all but the quantised layers in float32
    from valley.model.adapter_folder import base_of, load_adapted
    from valley.model.modeling_valley import ValleyForConditionalGeneration
    from valley.model.processing_valley import ValleyProcessor
    from valley.model.quantising import quantisation
    below = ValleyForConditionalGeneration.from_pretrained(
        base_of(sys.argv[1]), dtype=torch.float32, **quantisation("int4", torch.device("cpu"))
    )
    processor = ValleyProcessor.from_pretrained(sys.argv[1])
    loaded = Loaded("", load_adapted(sys.argv[1], below).get_base_model(), processor)
pixels = np.load(sys.argv[2])
inputs = loaded.processor(text="<video> Which way?", videos=[pixels])
with torch.no_grad():
    logits = loaded.model(**inputs).logits
    said = loaded.model.generate(**inputs, max_new_tokens=6, do_sample=False)
np.save(sys.argv[4], logits.float().numpy())
print(json.dumps(said.tolist()))
"""
WAYS = {
    "whole": {},
    "projector": {"train_parts": ["multi_modal_projector"]},
    "lora": {"lora": {"rank": 4}},
    "qlora": {"lora": {"rank": 4}, "model": {"quantize": "int4"}},
}


@pytest.fixture
def trained(base: Path, tmp_path: Path, monkeypatch):
    """Trains in this process; gives the folder and the model as it was when training ended."""
    kept = []
    save = running.save

    def keep(config, trainer, *rest):
        kept.append(trainer.model)
        save(config, trainer, *rest)

    monkeypatch.setattr(running, "save", keep)

    def train(stage: str = "instruct", **fields):
        config = make_config(
            {
                "stage": stage,
                "model": {"checkpoint": str(base)} | fields.pop("model", {}),
                "data": {"synthetic": {"kind": "captions", "num_samples": 8, "languages": ["en"]}},
                "output_dir": str(tmp_path / "out"),
                "learning_rates": {},
                "report": False,
                "trainer": {"max_steps": 2, "per_device_train_batch_size": 2} | fields.pop("trainer", {}),
            }
            | fields
        )
        running.train(config)
        return config.output_dir, kept[-1].eval()

    return train


def elsewhere(folder: Path, clip: np.ndarray, how: str = "whole"):
    """Load in a new process; give logits and ids."""
    np.save(folder.parent / "clip.npy", clip)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, folder.parent / "clip.npy", how, folder.parent / "l.npy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return torch.from_numpy(np.load(folder.parent / "l.npy")), json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("stage", ["align", "instruct"])
@pytest.mark.parametrize("way", WAYS)
def test_a_new_process_says_the_same(way: str, stage: str, trained, tiny_processor, make_clip) -> None:
    if way == "qlora":
        pytest.importorskip("bitsandbytes", reason="needs the extra quantize")
    fields = {k: dict(v) if isinstance(v, dict) else v for k, v in WAYS[way].items()}
    if stage == "align" and "lora" in fields:
        fields["lora"]["parts"] = ["multi_modal_projector"]
    folder, model = trained(stage, **fields)
    clip = make_clip(3)
    inputs = tiny_processor(text="<video> Which way?", videos=[clip])
    with torch.no_grad():
        wanted = model(**inputs).logits.float()
        said = model.generate(**inputs, max_new_tokens=6, do_sample=False).tolist()
    logits, ids = elsewhere(folder, clip, "quantised" if way == "qlora" else "whole")
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
    assert ids == said
    if way == "qlora":  # for answers all the rest is in bfloat16
        answering = load(str(folder), dtype="int4", device="cpu").model
        with torch.no_grad():
            assert torch.isfinite(answering(**inputs).logits).all()


def test_shards_load_as_one_file_does(trained, tiny_processor, make_clip, tmp_path: Path) -> None:
    _, model = trained()
    model.save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    tiny_processor.save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    inputs = tiny_processor(text="<video> Which way?", videos=[make_clip(3)])
    again = load(str(tmp_path / "shards"), device="cpu").model
    with torch.no_grad():
        torch.testing.assert_close(again(**inputs).logits, model(**inputs).logits)


def test_an_adapter_folder_holds_all_that_moved_and_names_its_base(trained, base: Path) -> None:
    folder, model = trained(lora={"rank": 4})
    said = json.loads((folder / "base.json").read_text())
    assert said["base"] == str(base)
    assert len(said["sha256"]) == 64
    moved = {n for n, p in model.named_parameters() if p.requires_grad}
    assert any("multi_modal_projector" in n for n in moved)
    assert any("temporal_pooling" in n for n in moved)
    record = json.loads((folder / "training.json").read_text())
    assert set(record["trained"]) == {"multi_modal_projector", "temporal_pooling", "language_model"}
    assert record["trained"]["language_model"] < record["parameters"]["language_model"]
    assert not (folder / "model.safetensors").exists()


def test_merged_says_what_the_adapter_said(trained, tiny_processor, make_clip, tmp_path: Path) -> None:
    folder, model = trained(lora={"rank": 4})
    merge(folder, tmp_path / "merged")
    merged = load(str(tmp_path / "merged"), device="cpu").model
    inputs = tiny_processor(text="<video> Which way?", videos=[make_clip(3)])
    with torch.no_grad():
        torch.testing.assert_close(merged(**inputs).logits, model(**inputs).logits, rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match="is there already"):
        merge(folder, tmp_path / "merged")
    with pytest.raises(ConfigError, match="want a folder with an adapter"):
        merge(tmp_path / "merged", tmp_path / "again")


def test_an_adapter_of_other_weights_is_refused(trained, base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder, _ = trained(lora={"rank": 4})
    other = tmp_path / "other"
    model = ValleyForConditionalGeneration.from_pretrained(base)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    model.save_pretrained(other)
    with pytest.raises(ConfigError, match="trained on other weights"):
        base_of(folder, base=other)
    weights = load_file(folder / "adapter_model.safetensors")
    gone = sorted(weights)[0]
    weights["base_model.model.nobody"] = weights.pop(gone)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"missing: .*; unexpected: .*nobody"):
        load_adapted(folder, ValleyForConditionalGeneration.from_pretrained(base))


def test_an_adapter_is_no_checkpoint_to_go_on_from(trained) -> None:
    folder, _ = trained(lora={"rank": 4})
    with pytest.raises(ConfigError, match="valley merge"):
        trained(model={"checkpoint": str(folder)}, output_dir=str(folder.parent / "on"))
