"""Tiny random checkpoints of other families of video models, built from their configs: no hub is asked.

`make_family("qwen3_vl", folder)` writes one. Its weights are so large that answers depend on what is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast

TEXT = [
    "Which way does the red circle move?",
    "To the right. The blue square stands still, and a green star appears.",
    "user assistant system Be short. What is this? And here? A square.",
    "¿Hacia dónde se mueve el círculo rojo? A la derecha. 红色的圆往哪边移动？ 向右。",
]

_LLM = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "initializer_range": 0.2,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 1,
}

# As the published templates do it: <|im_start|>role, parts in order, <|im_end|>.
_TEMPLATE = (
    "{{% for message in messages %}}<|im_start|>{{{{ message['role'] }}}}\n"
    "{{% for part in message['content'] %}}"
    "{{% if part['type'] == 'image' %}}{image}{{% elif part['type'] == 'video' %}}{video}"
    "{{% else %}}{{{{ part['text'] }}}}{{% endif %}}{{% endfor %}}<|im_end|>\n{{% endfor %}}"
    "{{% if add_generation_prompt %}}<|im_start|>assistant\n{{% endif %}}"
)


def tokenizer(*special: str, **named: str) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer; `named` special tokens become its attributes, as families expect."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>", *special, *named.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXT * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|endoftext|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>", *special],
        extra_special_tokens=named or None,
    )


def _id(words: PreTrainedTokenizerFast, token: str) -> int:
    return int(words.convert_tokens_to_ids(token))


def _qwen_parts(words: PreTrainedTokenizerFast) -> dict[str, int]:
    return {
        "image_token_id": _id(words, "<|image_pad|>"),
        "video_token_id": _id(words, "<|video_pad|>"),
        "vision_start_token_id": _id(words, "<|vision_start|>"),
        "vision_end_token_id": _id(words, "<|vision_end|>"),
    }


_QWEN_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_QWEN_TEMPLATE = _TEMPLATE.format(
    image="<|vision_start|><|image_pad|><|vision_end|>", video="<|vision_start|><|video_pad|><|vision_end|>"
)
_QWEN_SIZE = {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 64}


def qwen2_vl() -> tuple[Any, Any]:
    """Time by the spacing of rotary positions, in steps of two frames."""
    from transformers import Qwen2VLConfig, Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    words = tokenizer(*_QWEN_TOKENS)
    vision = {
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": 64,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 14,
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    text = {**_LLM, "vocab_size": len(words), "rope_parameters": rope}
    config = Qwen2VLConfig(text_config=text, vision_config=vision, **_qwen_parts(words))
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(size=_QWEN_SIZE),
        words,
        Qwen2VLVideoProcessor(size=_QWEN_SIZE),
        chat_template=_QWEN_TEMPLATE,
    )
    return config, processor


def qwen2_5_vl() -> tuple[Any, Any]:
    """Time by the spacing of rotary positions, in seconds."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    words = tokenizer(*_QWEN_TOKENS)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "out_hidden_size": 64,
        "intermediate_size": 64,
        "num_heads": 2,
        "patch_size": 14,
        "window_size": 56,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 4,
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    text = {**_LLM, "vocab_size": len(words), "rope_parameters": rope}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **_qwen_parts(words))
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=_QWEN_SIZE),
        words,
        Qwen2VLVideoProcessor(size=_QWEN_SIZE),
        chat_template=_QWEN_TEMPLATE,
    )
    return config, processor


def qwen3_vl() -> tuple[Any, Any]:
    """Time in words: <1.0 seconds> before every two frames."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLConfig, Qwen3VLProcessor, Qwen3VLVideoProcessor

    words = tokenizer(*_QWEN_TOKENS)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "out_hidden_size": 64,
        "intermediate_size": 64,
        "num_heads": 2,
        "patch_size": 16,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [2, 3, 3],
        "mrope_interleaved": True,
    }
    text = {**_LLM, "vocab_size": len(words), "rope_parameters": rope, "head_dim": 16}
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **_qwen_parts(words))
    size = {"shortest_edge": 32 * 32, "longest_edge": 32 * 32 * 64}
    template = _TEMPLATE.format(image="<|vision_start|><|image_pad|><|vision_end|>", video="<|video_pad|>")
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(size=size, patch_size=16),
        words,
        Qwen3VLVideoProcessor(size=size),
        chat_template=template,
    )
    return config, processor


def llava_onevision() -> tuple[Any, Any]:
    """No time at all; frames pooled to a quarter of their tokens."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
        Qwen2Config,
        SiglipVisionConfig,
    )

    words = tokenizer("<image>", "<video>")
    vision = SiglipVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
    )
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=Qwen2Config(vocab_size=len(words), **_LLM),
        image_token_id=_id(words, "<image>"),
        video_token_id=_id(words, "<video>"),
        image_grid_pinpoints=[[56, 56], [56, 112], [112, 56]],
        vision_aspect_ratio="anyres_max_2",
        tie_word_embeddings=False,
    )
    size = {"height": 56, "width": 56}
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=config.image_grid_pinpoints),
        words,
        LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_2",
        chat_template=_TEMPLATE.format(image="<image>\n", video="<video>\n"),
    )
    return config, processor


def llava_next_video() -> tuple[Any, Any]:
    """No time at all; CLIP, frames pooled by two."""
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaNextImageProcessor,
        LlavaNextVideoConfig,
        LlavaNextVideoProcessor,
        LlavaNextVideoVideoProcessor,
    )

    words = tokenizer("<image>", "<video>")
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        projection_dim=32,
    )
    config = LlavaNextVideoConfig(
        vision_config=vision,
        text_config=LlamaConfig(vocab_size=len(words), **_LLM),
        image_token_index=_id(words, "<image>"),
        video_token_index=_id(words, "<video>"),
        image_grid_pinpoints=[[56, 112], [112, 56]],
        image_seq_length=16,
        video_seq_length=4,
        tie_word_embeddings=False,
    )
    sizes = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
    processor = LlavaNextVideoProcessor(
        video_processor=LlavaNextVideoVideoProcessor(**sizes),
        image_processor=LlavaNextImageProcessor(image_grid_pinpoints=config.image_grid_pinpoints, **sizes),
        tokenizer=words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_TEMPLATE.format(image="<image>\n", video="<video>\n"),
    )
    return config, processor


def smolvlm() -> tuple[Any, Any]:
    """Time in words: Frame from 00:01, and the length of the clip; a clip is a list of pictures."""
    from transformers import (
        LlamaConfig,
        SmolVLMConfig,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    words = tokenizer(
        "<end_of_utterance>",
        *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)),
        image_token="<image>",
        fake_image_token="<fake_token_around_image>",
        global_image_token="<global-img>",
    )
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config=LlamaConfig(vocab_size=len(words), **_LLM).to_dict(),
        image_token_id=_id(words, "<image>"),
        scale_factor=2,
        pad_token_id=1,
        tie_word_embeddings=False,
    )
    sampling = {"fps": 1, "max_frames": 8, "video_size": {"longest_edge": 32}}
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(size={"longest_edge": 32}, max_image_size={"longest_edge": 32}),
        words,
        SmolVLMVideoProcessor(
            size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, video_sampling=sampling
        ),
        image_seq_len=4,
        chat_template=_TEMPLATE.format(image="<image>", video="<video>"),
    )
    return config, processor


def internvl() -> tuple[Any, Any]:
    """Frames by number: Frame1, Frame2; no times."""
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLProcessor,
        InternVLVideoProcessor,
        Qwen2Config,
    )

    words = tokenizer(
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = InternVLConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": [56, 56],
            "patch_size": [14, 14],
        },
        text_config=Qwen2Config(vocab_size=len(words), **_LLM),
        image_token_id=_id(words, "<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    size = {"height": 56, "width": 56}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        words,
        InternVLVideoProcessor(size=size, num_frames=6),
        image_seq_length=4,
        chat_template=_TEMPLATE.format(image="<IMG_CONTEXT>\n", video="<video>\n"),
    )
    return config, processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    maker.__name__: maker
    for maker in (qwen2_vl, qwen2_5_vl, qwen3_vl, llava_onevision, llava_next_video, smolvlm, internvl)
}


def make_family(name: str, folder: Path) -> Path:
    """Write a tiny checkpoint of a family, with its processor."""
    config, processor = FAMILIES[name]()
    torch.manual_seed(0)
    model: Any = AutoModelForImageTextToText.from_config(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # the towers' own beginnings are so small that no picture would change a word
        for part, parameter in model.named_parameters():
            if parameter.ndim > 1:
                is_text = "language_model" in part or "text_model" in part or part.startswith("lm_head")
                parameter.normal_(0, 0.12 if is_text else 0.4, generator=generator)
    model.generation_config.update(eos_token_id=0, pad_token_id=1, bos_token_id=None)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
