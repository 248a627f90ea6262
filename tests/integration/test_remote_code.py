"""A saved checkpoint loads on a machine without the package, and computes the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import torch

PROGRAM = """
import importlib.util, json, sys
assert importlib.util.find_spec("valley") is None
import numpy as np, torch
from transformers import AutoConfig, AutoModel, AutoProcessor
from transformers import AutoModelForImageTextToText, AutoModelForMultimodalLM

folder, frames = sys.argv[1], np.load(sys.argv[2])
trusted = {"trust_remote_code": True}
model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32", **trusted).eval()
processor = AutoProcessor.from_pretrained(folder, **trusted)
content = [{"type": "video", "video": frames}, {"type": "text", "text": "Which way?"}]
inputs = processor.apply_chat_template(
    [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True
)
with torch.no_grad():
    logits = model(**inputs).logits
    said = model.generate(**inputs, max_new_tokens=5, do_sample=False)
    other = AutoModelForMultimodalLM.from_pretrained(folder, dtype="float32", **trusted)(**inputs).logits
assert torch.equal(logits, other)
more = [auto.from_pretrained(folder, **trusted) for auto in (AutoConfig, AutoModel)]
names = [type(x).__module__.split(".")[0] for x in (model, processor, *more)]
np.save(sys.argv[3], logits.numpy())
print(json.dumps({"ids": inputs["input_ids"].tolist(), "said": said.tolist(), "from": names}))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """The Python of an environment that has what this one has, but for valley."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    python = folder / "bin" / "python"
    places = [p for p in sys.path if p.endswith("site-packages")]
    told = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    # A folder named in a .pth file is searched, its own .pth files (such as a checkout makes) are not read.
    (Path(told.stdout.strip()) / "others.pth").write_text("\n".join(places) + "\n")
    if subprocess.run([python, "-c", "import valley"], capture_output=True, check=False).returncode == 0:
        pytest.skip("valley is installed here as a copy, not as a checkout: it cannot be left out")
    return python


def test_a_checkpoint_brings_its_code(
    tiny_checkpoint: Path, tiny_model, tiny_processor, make_clip, tmp_path: Path, elsewhere: Path
) -> None:
    frames = make_clip(3)
    np.save(tmp_path / "frames.npy", frames)
    done = subprocess.run(
        [elsewhere, "-c", PROGRAM, str(tiny_checkpoint), "frames.npy", "logits.npy"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert set(told["from"]) == {"transformers_modules"}
    content = [{"type": "video", "video": frames}, {"type": "text", "text": "Which way?"}]
    inputs = tiny_processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True
    )
    assert told["ids"] == inputs["input_ids"].tolist()
    with torch.no_grad():
        logits = tiny_model(**inputs).logits
        said = tiny_model.generate(**inputs, max_new_tokens=5, do_sample=False)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), logits.numpy(), atol=1e-5)
    assert told["said"] == said.tolist()


@pytest.mark.parametrize("name", ["modeling_valley.py", "processing_valley.py", "configuration_valley.py"])
def test_the_code_lies_beside_the_weights(name: str, tiny_checkpoint: Path) -> None:
    assert (tiny_checkpoint / name).is_file()
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    assert config["auto_map"]["AutoConfig"] == "configuration_valley.ValleyConfig"
