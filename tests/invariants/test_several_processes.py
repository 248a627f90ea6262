"""Two processes train like one, whatever each meets: words, a picture, a clip, a broken file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

MOST_S = 60
RECIPE = """
stage: instruct
model: {{checkpoint: {base}}}
data: {{path: {data}}}
media: {{on_bad_media: quarantine, max_bad_fraction: 0.5}}
learning_rates: {{language_model: 1e-3, multi_modal_projector: 1e-3, temporal_pooling: 1e-3}}
output_dir: {out}
trainer:
  max_steps: 20
  per_device_train_batch_size: 2
  logging_steps: 1
  adam_epsilon: 1e-2    # steps in proportion to gradients: rounding does not become a step of its own
  train_sampling_strategy: sequential
  lr_scheduler_type: constant
"""
KINDS = (
    [],
    [{"type": "image", "path": "photo.png"}],
    [{"type": "video", "path": "a.mp4"}],
    [{"type": "video", "path": "bad.mp4"}],
)


@pytest.fixture(scope="module")
def recipe(base: Path, clip_files: Path, tmp_path_factory) -> Path:
    """Every batch of two is of one kind, so that the processes never meet the same one."""
    folder = tmp_path_factory.mktemp("ranks")
    for name in ("a.mp4", "photo.png"):
        (folder / name).write_bytes((clip_files / name).read_bytes())
    (folder / "bad.mp4").write_bytes(b"no clip")
    lines = []
    for number in range(80):
        asked = [*KINDS[number // 2 % 4], {"type": "text", "text": f"Which way {number}?"}]
        said = [{"type": "text", "text": "To the right. " * (1 + number % 3)}]
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        lines.append(json.dumps({"id": str(number), "messages": messages}))
    (folder / "data.jsonl").write_text("\n".join(lines))
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(base=base, data=folder / "data.jsonl", out=folder / "out"))
    return path


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def train(recipe: Path, *words: str, num_processes: int) -> tuple[dict, list[float], float]:
    out = recipe.with_name(f"out-{num_processes}-{len(words)}")
    command = [sys.executable, "-m", "valley"]
    if num_processes > 1:
        several = ["--nproc-per-node", str(num_processes), "--master-port", str(free_port()), "-m", "valley"]
        command = [sys.executable, "-m", "torch.distributed.run", *several]
    started_s = time.monotonic()
    done = subprocess.run(
        [*command, "train", str(recipe), f"out={out}", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * MOST_S,
    )
    seconds = time.monotonic() - started_s
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len((out / "quarantine.jsonl").read_text().splitlines()) == 20
    return load_file(out / "model.safetensors"), losses, seconds


@pytest.fixture(scope="module")
def alone(recipe: Path):
    return train(recipe, "trainer.per_device_train_batch_size=4", num_processes=1)


@pytest.mark.parametrize("words", [(), ("trainer.fsdp=true",)], ids=["ddp", "fsdp2"])
def test_two_processes_do_what_one_does(words: tuple[str, ...], recipe: Path, alone) -> None:
    wanted, wanted_losses, _ = alone
    got, losses, seconds = train(recipe, *words, num_processes=2)
    assert len(losses) == 20
    assert losses == pytest.approx(wanted_losses, rel=1e-3)
    assert got.keys() == wanted.keys()
    for name, weight in got.items():
        torch.testing.assert_close(weight, wanted[name], rtol=1e-3, atol=2e-5, msg=name)
    assert seconds < MOST_S


@pytest.mark.slow
def test_ctrl_c_in_one_process_stops_all_after_the_same_step(recipe: Path) -> None:
    out = recipe.with_name("stopped")
    command = [sys.executable, "-m", "valley", "train", str(recipe), f"out={out}", "--json"]
    words = ["max_steps=100000", "save_steps=100000", "report=false", "trainer.report_to=none"]
    port = str(free_port())
    ranks = [
        subprocess.Popen(
            [*command, *words],
            env={**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        assert ranks[0].stdout is not None
        next(line for line in ranks[0].stdout if json.loads(line)["step"] >= 3)
        ranks[1].send_signal(signal.SIGINT)
        said = [rank.communicate(timeout=4 * MOST_S) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [130, 130], said
    (checkpoint,) = (out.parent / "stopped.unfinished" / "checkpoints").iterdir()
    step = json.loads((checkpoint / "trainer_state.json").read_text())["global_step"]
    assert step >= 3
    assert checkpoint.name == f"checkpoint-{step}"
    assert {f"rng_state_{rank}.pth" for rank in range(2)} <= {file.name for file in checkpoint.iterdir()}
    sentence = f"stopped after step {step} of 100000, which is saved; the same command goes on"
    assert [sentence in errors for _, errors in said] == [True, False]
