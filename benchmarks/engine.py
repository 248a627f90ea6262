"""What answering together is worth, in one run: our engine beside plain `model.generate`, as ratios.

Every row of the table is measured in alternating rounds, so that both sides see the same machine. The end
token is off, so that both make the same number of tokens. Both sides begin with decoded frames and a question
and end with words: template, tokens, scaling of frames and vision tower count for both.

    python benchmarks/engine.py [--model valley-mini] [--llm] [--streams 8] [--new-tokens 64] [--json]

`--llm` adds a random Llama of 135 million parameters (30 layers, width 576) in place of the model's own.
It exits with 1 where a ratio misses its target.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chat import make_clip

from valley.conversation import Conversation, Text, Video, user
from valley.inference.backend import Finish, GenerationParams
from valley.inference.backends.transformers import TransformersBackend
from valley.video.decoding import read_frames
from valley.video.encoding import write_video
from valley.video.sampling import FrameSampling

TOGETHER, SECOND, ALONE = 3.0, 3.0, 0.95
QUESTIONS = (
    "Which way does the object move?",
    "What colour is it?",
    "What shape is it?",
    "Does it stop before the end of the clip, and where?",
)


@dataclass(frozen=True)
class Setting:
    """What all measurements share."""

    backend: TransformersBackend
    clips: list[Path]
    num_new_tokens: int
    rounds: int

    @property
    def conversations(self) -> list[Conversation]:
        """Ask something about every clip."""
        asked = (QUESTIONS[n % len(QUESTIONS)] for n in range(len(self.clips)))
        return [Conversation((user(Video(str(c)), q),)) for c, q in zip(self.clips, asked, strict=True)]


def answer(setting: Setting, conversation: Conversation) -> Finish:
    """Answer one through the backend."""
    params = GenerationParams(max_new_tokens=setting.num_new_tokens)
    with closing(setting.backend.stream(conversation, params)) as pieces:
        finish = list(pieces)[-1].finish
    assert finish is not None
    assert finish.usage.completion == setting.num_new_tokens
    return finish


def together(setting: Setting) -> float:
    """Answer all at once, a thread each; give the seconds."""
    threads = [threading.Thread(target=answer, args=(setting, c)) for c in setting.conversations]
    started_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started_s


def one_by_one(setting: Setting) -> float:
    """Answer one after the other through processor and `generate`; give the seconds."""
    processor, model = setting.backend.processor, setting.backend.model
    frames = [read_frames(clip, FrameSampling(**processor.sampling)) for clip in setting.clips]
    started_s = time.perf_counter()
    for seen, conversation in zip(frames, setting.conversations, strict=True):
        question = conversation.messages[0].parts[1]
        assert isinstance(question, Text)
        content = [{"type": "video", "video": seen}, {"type": "text", "text": question.text}]
        inputs: Any = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
        )
        ids = model.generate(
            **inputs.to(model.device),
            do_sample=False,
            max_new_tokens=setting.num_new_tokens,
            min_new_tokens=setting.num_new_tokens,
        )
        processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :])
    return time.perf_counter() - started_s


def fresh(setting: Setting) -> None:
    """Forget all work but the decoded frames."""
    setting.backend.forget()
    for conversation in setting.conversations:
        setting.backend.look(conversation.media[0], GenerationParams())


def ratio(setting: Setting, plain: Callable[[], float], ours: Callable[[], float]) -> dict[str, float]:
    """Take turns; the first round warms up. Give both medians and the median ratio."""
    pairs = []
    for _ in range(setting.rounds + 1):
        fresh(setting)
        pairs.append((plain(), ours()))
    pairs = pairs[1:]
    return {
        "plain_s": statistics.median(p for p, _ in pairs),
        "ours_s": statistics.median(o for _, o in pairs),
        "ratio": statistics.median(p / o for p, o in pairs),
    }


def first_and_second(setting: Setting) -> dict[str, float]:
    """Time to the first token of the first question about a clip, and of another one."""
    clip = Video(str(setting.clips[0]))
    pairs = []
    for _ in range(4 * setting.rounds + 1):
        setting.backend.forget()
        asked = [Conversation((user(clip, question),)) for question in QUESTIONS[:2]]
        first, second = (answer(setting, c).timing_s.first_token for c in asked)
        pairs.append((first, second))
    pairs = pairs[1:]
    return {
        "first_s": statistics.median(f for f, _ in pairs),
        "second_s": statistics.median(s for _, s in pairs),
        "ratio": statistics.median(f / s for f, s in pairs),
    }


def measure(setting: Setting) -> dict[str, dict[str, float]]:
    """Make the rows of the table."""
    single = Setting(setting.backend, setting.clips[:1], setting.num_new_tokens, 3 * setting.rounds)
    return {
        "together": ratio(setting, lambda: one_by_one(setting), lambda: together(setting))
        | {
            "target": TOGETHER if len(setting.clips) >= 8 else 1.0,
            "tokens": len(setting.clips) * setting.num_new_tokens,
        },
        "second": first_and_second(setting) | {"target": SECOND},
        "alone": ratio(single, lambda: one_by_one(single), lambda: together(single)) | {"target": ALONE},
    }


def open_model(name: str, *, large_llm: bool) -> TransformersBackend:
    """Load a model whose answers never end by themselves; with another language model if asked for."""
    made = TransformersBackend.from_pretrained(name)
    model, processor = made.model, made.processor
    if large_llm:
        model = with_large_llm(made)
    model.generation_config.eos_token_id = None
    backend = TransformersBackend(model, processor, name=name + (" + 135M" if large_llm else ""))
    backend._stop_ids = frozenset()
    return backend


def with_large_llm(made: TransformersBackend) -> Any:  # noqa: ANN401
    """Put a random Llama of 135 million parameters behind the model's vision tower."""
    from transformers import CLIPVisionModel, LlamaConfig, LlamaForCausalLM

    from valley.model.composing_valley import compose

    tokenizer = made.processor.tokenizer
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    tower = CLIPVisionModel(made.model.config.vision_config)
    return compose(tower, LlamaForCausalLM(config), tokenizer)[0]


def make_clips(folder: Path, number: int) -> list[Path]:
    """Write clips that differ in place and speed of their square."""
    clips = []
    for index in range(number):
        path = folder / f"{index}.mp4"
        if index == 0:
            make_clip(path)
        else:
            pixels = np.full((48, 128, 128, 3), 60, np.uint8)
            for at, frame in enumerate(pixels):
                frame[8 * index : 8 * index + 32, 2 * at : 2 * at + 32] = (220, 40, 40)
            write_video(path, pixels, fps=12)
        clips.append(path)
    return clips


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="valley-mini")
    parser.add_argument("--llm", action="store_true")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = make_clips(Path(folder), options.streams)
        results = {}
        for large_llm in (False, True) if options.llm else (False,):
            backend = open_model(options.model, large_llm=large_llm)
            results[backend.capabilities.model] = measure(
                Setting(backend, clips, options.new_tokens, options.rounds)
            )
            backend.close()
    missed = [
        (m, n) for m, rows in results.items() for n, row in rows.items() if row["ratio"] < row["target"]
    ]
    print(json.dumps(results, indent=2) if options.json else table(results, options.streams))
    for model, name in missed:
        print(f"missed: {model}, {name}", file=sys.stderr)
    return 1 if missed else 0


def table(results: dict[str, dict[str, dict[str, float]]], num_streams: int) -> str:
    """Write the ratios in words."""
    words = {
        "together": f"{num_streams} streams together : one after another through generate",
        "second": "first token of the first question : of the second about the same clip",
        "alone": "one stream through generate : through the engine",
    }
    lines = [f"{torch.get_num_threads()} threads, torch {torch.__version__}"]
    for model, rows in results.items():
        lines.append(model)
        for name, row in rows.items():
            before, after = [f"{row[k]:.3f} s" for k in row if k.endswith("_s")]
            lines.append(
                f"  {words[name]:72} {row['ratio']:5.2f}   ({before} : {after}; to reach: {row['target']})"
            )
            if "tokens" in row:
                lines.append(
                    f"  {'':8}tokens a second {row['tokens'] / row['plain_s']:.0f} : "
                    f"{row['tokens'] / row['ours_s']:.0f}"
                )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
