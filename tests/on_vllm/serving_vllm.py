"""Tiny checkpoints of every pooling, and vLLM's server in front of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from valley.model.composing_valley import compose

POOLINGS: dict[str, dict[str, int]] = {
    "mean": {},
    "importance": {},
    "transformer": {"num_heads": 4, "feed_forward_dim": 64, "max_positions": 16},
    "chunk": {"frames_per_chunk": 3},
    "none": {},
}
CONTEXT = 8192  # a prompt of `valley instruct` is 2,000 of the tiny tokenizer's tokens
_START_S = 400  # an engine's start on a busy machine
_SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
}
_OPTIONS = {
    "--dtype": "float32",
    "--max-model-len": str(CONTEXT),
    "--max-num-seqs": "16",
    "--max-num-batched-tokens": "1024",
    "--limit-mm-per-prompt": '{"image": 2, "video": 2}',
    "--media-io-kwargs": '{"video": {"max_duration": 60}}',
}


def make_checkpoint(parts: Any, pooling: str, folder: Path) -> tuple[Any, Any, Path]:
    """Compose a model of the fixture `tiny_parts`; give it with its processor and folder."""
    tokenizer = parts.tokenizer()
    torch.manual_seed(2)
    # vLLM's attention on a CPU takes heads of 32 and more.
    words = parts.llm(
        len(tokenizer), num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=CONTEXT
    )
    model, processor = compose(
        parts.tower(),
        words,
        tokenizer,
        temporal_pooling=pooling,
        temporal_pooling_config=POOLINGS[pooling],
        frame_times=pooling in ("mean", "chunk"),
    )
    with torch.no_grad():  # learned poolings begin as the mean: make each its own
        for parameter in model.model.temporal_pooling.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor, folder


@contextmanager
def serving(checkpoint: Path, log: Path) -> Iterator[str]:
    """Serve a checkpoint with the plug-in, as "m"; give the address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    flags = ["--enforce-eager", "--trust-request-mm-kwargs", *(w for pair in _OPTIONS.items() for w in pair)]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint)]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--served-model-name", "m", "--host", "127.0.0.1", "--port", str(port), *flags],
            env={**os.environ, **_SETTINGS},
            stdout=out,
            stderr=out,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(f"{address}/health", process, log)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_S
    while not _answers(address):
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < until, log.read_text()[-3000:]
        time.sleep(0.5)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except OSError:
        return False
    return True
