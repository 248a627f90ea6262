"""What a piece of a new prompt costs those who are being answered: its time beside one of their steps.

The engine computes at most `MAX_PREFILL_TOKENS` of new prompts between two steps of the rows that run: the
ratio says for how many steps' time their words may stop. Pieces of other sizes stand beside it.

    python benchmarks/prefill.py [--model valley-mini] [--llm] [--rows 8] [--context 300] [--json]

`--llm` puts the random Llama of 135 million parameters of `engine.py` in place of the model's own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from engine import open_model
from transformers import DynamicCache

from valley.inference.backends._engine import MAX_PREFILL_TOKENS


@torch.inference_mode()
def measure(model: Any, *, rows: int, context: int, sizes: list[int], rounds: int) -> dict[str, Any]:  # noqa: ANN401
    """Time a step of `rows` rows of `context` tokens and prompts of each size, in alternating rounds."""
    embed = model.get_input_embeddings()
    embeds = embed(torch.arange(rows * context, device=model.device).reshape(rows, context) % 1000)
    cache = DynamicCache(config=model.config.get_text_config())

    def run(embeds: torch.Tensor, past: DynamicCache | None = None) -> None:
        model(inputs_embeds=embeds, past_key_values=past, use_cache=True, logits_to_keep=1)

    def step() -> None:
        run(embeds[:, :1], cache)
        cache.crop(-1)

    def prompt(size: int) -> None:
        run(embed(torch.arange(size, device=model.device)[None] % 1000))

    found: dict[int, list[float]] = {size: [] for size in sizes}
    steps: list[float] = []
    run(embeds, cache)
    step()
    for _ in range(rounds):
        for size in sizes:
            steps.append(_seconds(step, model.device))
            found[size].append(_seconds(lambda size=size: prompt(size), model.device))
    step_s = statistics.median(steps)
    pieces = {size: statistics.median(times) for size, times in found.items()}
    return {
        "step_s": step_s,
        "pieces": {s: {"s": t, "steps": t / step_s, "ms_a_token": 1000 * t / s} for s, t in pieces.items()},
    }


def _seconds(act: Callable[[], None], device: torch.device) -> float:
    started_s = time.perf_counter()
    act()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started_s


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="valley-mini")
    parser.add_argument("--llm", action="store_true")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--context", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    backend = open_model(options.model, large_llm=options.llm)
    sizes = [MAX_PREFILL_TOKENS // 8, MAX_PREFILL_TOKENS // 2, MAX_PREFILL_TOKENS, 2 * MAX_PREFILL_TOKENS]
    told = measure(
        backend.model, rows=options.rows, context=options.context, sizes=sizes, rounds=options.rounds
    )
    name, threads = backend.capabilities.model, torch.get_num_threads()
    backend.close()
    if options.json:
        print(json.dumps({"model": name, "threads": threads, **told}, indent=2))
        return 0
    print(
        f"{name}, {threads} threads: a step of {options.rows} rows of {options.context} tokens takes "
        f"{1000 * told['step_s']:.1f} ms"
    )
    for size, row in told["pieces"].items():
        print(f"  {size:5} tokens of a prompt: {row['steps']:5.1f} steps, {row['ms_a_token']:.3f} ms a token")
    return 0


if __name__ == "__main__":
    sys.exit(main())
