"""A miniature checkpoint in the layout of 2023, made from nothing; for tests of its conversion."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from valley.model.temporal_pooling import build_temporal_pooling

ADDED = ("<vi_frame>", "<vi_start>", "<vi_end>", "<im_patch>", "<im_start>", "<im_end>")
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 224,
    "patch_size": 56,
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
}
WORDS = "Describe this video concisely. What happens to the red circle? It moves to the right.\n"
NAMES = (
    (r"language_model\.model\.(.*)", r"model.\1"),
    (r"language_model\.(lm_head.*)", r"\1"),
    (r"tower\.(.*)", r"model.vision_tower.vision_model.\1"),
    (r"projector\.(.*)", r"model.mm_projector.\1"),
    (r"pooling\.pooling_layer\.(.*)", r"model.pooling_layer.\1"),
    (r"pooling\.encoder\.(.*)", r"model.transformer_delta_encoder.\1"),
    (r"pooling\.position_matrix", "model.position_matrix"),
)


def train_pieces(**settings: Any) -> bytes:
    """Train a SentencePiece model on a few sentences."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        **{
            "sentence_iterator": iter([WORDS] * 4),
            "model_writer": written,
            "vocab_size": 320,
            "model_type": "bpe",
            "byte_fallback": True,
            "minloglevel": 2,
            **settings,
        }
    )
    return written.getvalue()


PIECES = train_pieces()
NUM_PIECES = 320


def weights(
    pooling: str = "mean", *, seed: int = 0, vocab_size: int = NUM_PIECES + len(ADDED)
) -> dict[str, Tensor]:
    """Draw weights with the names that the code of 2023 gave them."""
    torch.manual_seed(seed)
    parts: dict[str, Any] = {
        "language_model": LlamaForCausalLM(LlamaConfig(vocab_size=vocab_size, **TEXT)),
        "tower": CLIPVisionModel(CLIPVisionConfig(**TOWER)),
        "projector": torch.nn.Linear(TOWER["hidden_size"], TEXT["hidden_size"]),
        "pooling": build_temporal_pooling(
            pooling,
            {"feed_forward_dim": 24, "max_positions": 10} if pooling == "transformer" else {},
            dim=TEXT["hidden_size"],
            num_patches=16,
        ),
    }
    found = {}
    for part, module in parts.items():
        for name, tensor in module.state_dict().items():
            ours = f"{part}.{name}"
            pattern, published = next(pair for pair in NAMES if re.fullmatch(pair[0], ours))
            found[re.sub(pattern, published, ours)] = tensor.half()
    found["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    return found


def write(folder: Path, tensors: dict[str, Tensor], **changes: Any) -> Path:
    """Write a checkpoint; `changes` go into config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    pooling = {
        "use_patch_importance_pooling": "model.pooling_layer.weight" in tensors,
        "use_delta_transformer": "model.position_matrix" in tensors,
    }
    config = {
        **TEXT,
        "model_type": "valley",
        "mm_vision_tower": "nobody/tower",
        "mm_hidden_size": TOWER["hidden_size"],
        "mm_vision_select_layer": -2,
        "torch_dtype": "float16",
        "rms_norm_eps": 1e-6,
        "vocab_size": NUM_PIECES + len(ADDED),
        **pooling,
        **changes,
    }
    _json(folder / "config.json", config)
    _json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    _json(folder / "added_tokens.json", {token: NUM_PIECES + n for n, token in enumerate(ADDED)})
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    _json(folder / "special_tokens_map.json", special)
    (folder / "tokenizer.model").write_bytes(PIECES)
    torch.save(tensors, folder / "pytorch_model.bin")
    return folder


def write_tower(folder: Path) -> Path:
    """Write what the hub id of a tower stands for: its config and its pixel settings."""
    folder.mkdir(parents=True, exist_ok=True)
    _json(folder / "config.json", {"model_type": "clip", "vision_config": TOWER})
    pixels = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, "resample": 3}
    _json(folder / "preprocessor_config.json", pixels)
    return folder


def write_adapter(folder: Path, **changes: Any) -> dict[str, Tensor]:
    """Write a LoRA adapter to one matrix; return its halves A and B."""
    folder.mkdir(exist_ok=True)
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "modules_to_save": None}
    _json(folder / "adapter_config.json", settings | changes)
    torch.manual_seed(3)
    name = "model.layers.0.self_attn.q_proj"
    halves = {"A": torch.randn(2, 32), "B": torch.randn(32, 2)}
    state = {f"base_model.model.{name}.lora_{half}.weight": t for half, t in halves.items()}
    torch.save(state, folder / "adapter_model.bin")
    return halves


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
