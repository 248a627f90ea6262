"""Record what this code computes with a tiny checkpoint: `python tests/golden/make_own.py`.

Tests compare the recording everywhere, also where nothing published is at hand. Make it anew only when a
change of numbers is meant, and say so in the commit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from valley.model.composing_valley import compose
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.video.frames import Frames

OWN = Path(__file__).with_name("own")
POOLINGS: dict[str, dict[str, Any]] = {
    "mean": {},
    "importance": {},
    "transformer": {"num_heads": 2, "feed_forward_dim": 16, "max_positions": 16},
    "chunk": {"frames_per_chunk": 2},
}


def main() -> None:
    """Make the checkpoints and record them."""
    torch.use_deterministic_algorithms(mode=True)
    for pooling, options in POOLINGS.items():
        folder = OWN / pooling
        model, processor = _compose(pooling, options)
        model.to(torch.float16).save_pretrained(folder)
        processor.save_pretrained(folder)
        for code in folder.glob("*.py"):
            code.unlink()
        save_file(record(folder), folder / "recorded.safetensors")


def _compose(pooling: str, options: dict[str, Any]) -> tuple[ValleyForConditionalGeneration, ValleyProcessor]:
    bytes_only = Tokenizer(
        models.BPE(vocab={c: n for n, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    bytes_only.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_only)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
    tower = CLIPVisionModel(
        CLIPVisionConfig(**sizes, num_hidden_layers=2, image_size=32, patch_size=16, initializer_factor=5.0)
    )
    words = LlamaForCausalLM(
        LlamaConfig(
            **sizes, num_hidden_layers=2, vocab_size=256, max_position_embeddings=512, initializer_range=0.3
        )
    )
    model, processor = compose(
        tower, words, tokenizer, temporal_pooling=pooling, temporal_pooling_config=options, num_frames=4
    )
    for parameter in model.model.temporal_pooling.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # a new pooling starts as the mean, which would say little
    return model, processor


@torch.no_grad()
def record(folder: Path) -> dict[str, Tensor]:
    """Compute with a checkpoint: inputs, visual tokens, logits, loss, a greedy answer."""
    model = ValleyForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    processor = ValleyProcessor.from_pretrained(folder)
    rng = np.random.default_rng(0)
    clip = Frames(rng.integers(0, 255, (5, 40, 60, 3), np.uint8), np.array([0.0, 0.5, 1.0, 1.5, 2.5]))
    picture = rng.integers(0, 255, (30, 30, 3), np.uint8)
    content = [
        {"type": "video", "video": clip},
        {"type": "image", "image": picture},
        {"type": "text", "text": "Which way? 哪边？"},
    ]
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "To the right."}]
    inputs = processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    said = torch.as_tensor(inputs.pop("assistant_masks")).bool()
    labels = inputs["input_ids"].masked_fill(~said, -100)
    out = model(**inputs, labels=labels)
    asked = processor.apply_chat_template(
        messages[:1], tokenize=True, return_dict=True, add_generation_prompt=True
    )
    return {
        "input_ids": inputs["input_ids"],
        "labels": labels,
        "pixel_values": inputs["pixel_values"][..., ::4, ::4].contiguous(),
        "pixel_values_videos": inputs["pixel_values_videos"][..., ::4, ::4].contiguous(),
        "image_tokens": out.image_hidden_states[0].contiguous(),
        "video_tokens": out.video_hidden_states[0].contiguous(),
        "logits": out.logits[:, ::8].contiguous(),
        "loss": out.loss[None],
        "greedy": model.generate(**asked, max_new_tokens=12, do_sample=False),
    }


if __name__ == "__main__":
    main()
