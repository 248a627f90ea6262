"""kill -9 in the middle of a run costs nothing: started again it ends where an uninterrupted one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from valley.conversation import Conversation, Image, assistant, user, write_jsonl

RECIPE = """
stage: instruct
model: {{checkpoint: {base}}}
data: {{path: {data}}}
index_dir: {work}/index
feature_cache: {{folder: {work}/features, use: always}}
report: false
output_dir: {work}/out
trainer: {{max_steps: 8, per_device_train_batch_size: 2, logging_steps: 1, save_steps: 2, report_to: none}}
"""


@pytest.fixture
def recipe(base: Path, clip_files: Path, tmp_path: Path) -> Path:
    asked = user(Image(str(clip_files / "photo.png")), "What is it?")
    chats = [Conversation((asked, assistant("A square. " * (n % 4 + 1))), id=str(n)) for n in range(16)]
    write_jsonl(tmp_path / "data.jsonl", chats)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(base=base, data=tmp_path / "data.jsonl", work=tmp_path))
    return path


def start(recipe: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "valley", "train", str(recipe), *words, "--json"]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


# Nothing is known of rendered samples before they are made; of files, one line at a time is read.
RENDERED = (
    "data={synthetic: {kind: instructions, num_samples: 12, languages: [en], num_frames: 4, size_px: 32}}"
)
SLOW = {
    "rendered": (RENDERED, "trainer.dataloader_num_workers=1"),
    "rendered-lora": (RENDERED, "lora={rank: 4}"),
    "grouped": ("group_by_length=true", "feature_cache.use=never"),
}


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="whole"),
        pytest.param(("lora={rank: 4}",), id="lora"),
        *(pytest.param(words, id=name, marks=pytest.mark.slow) for name, words in SLOW.items()),
    ],
)
def test_a_killed_run_ends_where_another_does(words: tuple[str, ...], recipe: Path) -> None:
    out, name = recipe.parent / "out", "adapter_model" if "lora={rank: 4}" in words else "model"
    with start(recipe, *words, f"out={recipe.parent / 'through'}") as through:
        _, errors = through.communicate()
    assert through.returncode == 0, errors[-2000:]
    with start(recipe, *words) as killed:
        assert killed.stdout is not None
        for line in killed.stdout:
            if json.loads(line)["step"] >= 5:  # step 4 is saved, step 5 is not
                killed.kill()
                break
        killed.stdout.read()
    assert killed.returncode == -9
    assert not out.exists()
    with start(recipe, *words) as again:
        said, errors = again.communicate()
    assert again.returncode == 0, errors[-2000:]
    assert json.loads(said.splitlines()[0])["step"] == 4
    wanted = load_file(recipe.parent / "through" / f"{name}.safetensors")
    got = load_file(out / f"{name}.safetensors")
    assert got.keys() == wanted.keys()
    assert all(torch.equal(got[key], wanted[key]) for key in got)
    losses = [
        [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (recipe.parent / "through", out)
    ]
    assert losses[0] == losses[1]


LARGE = """
import json, sys
from valley.training.config import read_config
from valley.training.run import train
train(read_config(sys.argv[1], sys.argv[2:]))
held = next(line for line in open("/proc/self/status") if line.startswith("RssAnon"))
print(json.dumps(int(held.split()[1])))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_data(recipe: Path) -> None:
    held_kb = {}
    for number in (1_000, 100_000):
        chats = (
            Conversation((user(f"question {n} " * 20), assistant("answer " * 60)), id=str(n))
            for n in range(number)
        )
        write_jsonl(recipe.parent / f"{number}.jsonl", chats)
        words = [f"data.path={recipe.parent / f'{number}.jsonl'}", f"out={recipe.parent / f'out{number}'}"]
        done = subprocess.run(
            [sys.executable, "-c", LARGE, str(recipe), *words, "feature_cache={use: never}"],
            capture_output=True,
            text=True,
            check=True,
        )
        held_kb[number] = int(done.stdout.splitlines()[-1])
    assert held_kb[100_000] < 1.1 * held_kb[1_000]


FULL = """
import resource, sys
from valley.cli import run
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))  # as if the disk had no more
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.exit(run(["train", *sys.argv[2:]]))
"""


def test_a_full_disk_is_one_sentence_and_costs_nothing(recipe: Path) -> None:
    command = [sys.executable, "-c", FULL, "300000", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the disk is full; there is no whole checkpoint yet" in done.stderr
    with start(recipe) as again:
        _, errors = again.communicate()
    assert again.returncode == 0, errors[-2000:]
    assert (recipe.parent / "out" / "model.safetensors").is_file()
