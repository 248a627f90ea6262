"""Eight questions at once through the engine for any family of models, beside one after another, in one run.

The model is a LLaVA of random weights, made here, by default with a language model of 30 layers of 576, as in
SmolLM2-135M; it is asked in words alone. Rounds alternate, so that both see the same machine.

    python benchmarks/families.py [--hidden 576] [--layers 30] [--tokens 32] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from valley.conversation import Conversation, user
from valley.inference.backend import GenerationParams
from valley.inference.backends.image_text_to_text import ImageTextToTextBackend

ROWS = 8
TEMPLATE = "{% for m in messages %}{% for p in m['content'] %}{{ p['text'] }}{% endfor %}{% endfor %}"


def make_backend(hidden: int, layers: int) -> ImageTextToTextBackend:
    """Compose a LLaVA of random weights that never ends an answer by itself."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    letters = {c: n for n, c in enumerate(["<image>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    words = Tokenizer(models.BPE(vocab=letters, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, additional_special_tokens=["<image>"])
    vision = CLIPVisionConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32)
    text = LlamaConfig(
        vocab_size=len(letters),
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 192 or 1,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_index=0)
    ).eval()
    model.generation_config.update(eos_token_id=None, bos_token_id=None)
    processor = LlavaProcessor(CLIPImageProcessorPil(), tokenizer, patch_size=8, chat_template=TEMPLATE)
    return ImageTextToTextBackend(model, processor, name="random", max_batch_size=ROWS)


def measure(backend: Any, num_tokens: int, rounds: int) -> dict[str, float]:  # noqa: ANN401
    """Give tokens a second of both ways, medians over the rounds."""
    talks = [Conversation((user("What happens here, and when? " * (n + 1)),)) for n in range(ROWS)]

    def ask(talk: Conversation) -> int:
        *_, last = backend.stream(talk, GenerationParams(max_new_tokens=num_tokens))
        return last.finish.usage.completion

    rates: dict[str, list[float]] = {"one_by_one": [], "together": []}
    with ThreadPoolExecutor(ROWS) as pool:
        for number in range(rounds + 1):  # the first warms up
            for name, ask_all in (("one_by_one", map), ("together", pool.map)):
                started_s = time.perf_counter()
                count = sum(ask_all(ask, talks))
                if number:
                    rates[name].append(count / (time.perf_counter() - started_s))
    medians = {f"{name}_tokens_per_s": statistics.median(rate) for name, rate in rates.items()}
    return {**medians, "ratio": medians["together_tokens_per_s"] / medians["one_by_one_tokens_per_s"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("hidden", 576), ("layers", 30), ("tokens", 32), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = measure(make_backend(given.hidden, given.layers), given.tokens, given.rounds)
    print(json.dumps(result) if given.json else "\n".join(f"{k:28} {v:8.1f}" for k, v in result.items()))


if __name__ == "__main__":
    main()
