"""Training beside its peers, in one run: packed, padded, LLaVA-OneVision; and an epoch with kept features.

    python benchmarks/train.py

Everything is random weights of the same sizes on the same conversations, a third of them long; what is
compared is seconds a step. The last line is for clips: an epoch that decodes and sees them, and one that
looks up what was seen. Prints ratios, because machines differ.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from valley.conversation import Conversation, Image, Text, Video, assistant, user, write_jsonl
from valley.model.composing_valley import compose
from valley.training.collator import Collator
from valley.training.config import make_config
from valley.training.labelling import encode
from valley.training.loss import make_assistant_loss
from valley.training.media import Sample
from valley.training.run import train
from valley.video.encoding import write_video
from valley.video.frames import Frames

TOWER = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": 64,
    "patch_size": 16,
}
WORDS = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
}
BATCH = 16
NUM_FRAMES = 8


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=12, help="measured steps of each way")
    asked = parser.parse_args()
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    model, processor = compose(
        CLIPVisionModel(CLIPVisionConfig(**TOWER)),
        LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **WORDS)),
        tokenizer,
        num_frames=NUM_FRAMES,
        vision_feature_layer=-1,
    )
    model.loss_function = make_assistant_loss(model)
    batches = [_samples(processor, seed) for seed in range(asked.steps)]
    pad = processor.tokenizer.pad_token_id
    collators = {"padded": Collator(pad), "packed": Collator(pad, packing=True)}
    collated = {name: [collate(rows) for rows in batches] for name, collate in collators.items()}
    useful = sum(len(row["input_ids"]) for rows in batches for row in rows)
    seconds = {name: _steps(model, made) for name, made in collated.items()}
    seconds["plain Trainer"] = _with_trainer(
        model, [row for rows in batches for row in rows], collators["padded"]
    )
    other = _onevision(len(processor.tokenizer))
    seconds["LLaVA-OneVision"] = _steps(other, [_as_onevision(rows, other) for rows in batches])
    for name, taken in seconds.items():
        print(f"{name:16} {useful / taken:8.0f} tokens/s of the same conversations")
    print(f"packed : plain Trainer, padded   {seconds['plain Trainer'] / seconds['packed']:.2f} x")
    print(f"packed : padded, same loop       {seconds['padded'] / seconds['packed']:.2f} x")
    print(f"packed : LLaVA-OneVision         {seconds['LLaVA-OneVision'] / seconds['packed']:.2f} x")
    first, second = _epochs(tokenizer)
    print(f"first epoch : second, features kept   {first / second:.2f} x")


def _tokenizer() -> PreTrainedTokenizerFast:
    """Make a tokenizer of bytes."""
    alphabet = {token: number for number, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bpe = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens(["<|endoftext|>"])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>")


def _samples(processor: Any, seed: int) -> list[dict[str, torch.Tensor]]:  # noqa: ANN401
    """Draw a batch: clips, pictures and words, a third of the answers long."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(BATCH):
        length = int(random.integers(400, 1200) if number % 3 == 0 else random.integers(10, 120))
        media: tuple[Any, ...] = ()
        parts: tuple[Any, ...] = ()
        if number % 4 < 2:
            pixels = random.integers(0, 256, (NUM_FRAMES, 64, 64, 3), dtype=np.uint8)
            media, parts = (Frames.from_arrays(pixels, np.arange(NUM_FRAMES) * 0.5),), (Video(""),)
        elif number % 4 == 2:
            media, parts = (random.integers(0, 256, (64, 64, 3), dtype=np.uint8),), (Image(""),)
        said = "".join(chr(97 + int(c)) for c in random.integers(0, 26, length))
        conversation = Conversation((user(*parts, Text("what is it?")), assistant(said)))
        rows.append(encode(processor, Sample(conversation, media)))
    return rows


def _steps(model: Any, batches: Sequence[dict[str, torch.Tensor]]) -> float:  # noqa: ANN401
    """Take the time of one optimizer step a batch, behind one that is not counted."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    model.train()

    def step(batch: dict[str, torch.Tensor]) -> None:
        model(**batch, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step(batches[0])
    return _seconds(lambda: [step(batch) for batch in batches])


def _with_trainer(model: Any, rows: Sequence[dict[str, torch.Tensor]], collate: Collator) -> float:  # noqa: ANN401
    """Do the same with transformers' Trainer as it is: one sample a row."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                max_steps=len(rows) // BATCH,
                per_device_train_batch_size=BATCH,
                train_sampling_strategy="sequential",
                remove_unused_columns=False,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=not torch.accelerator.is_available(),
                dataloader_pin_memory=False,
            ),
            train_dataset=rows,  # pyright: ignore[reportArgumentType]
            data_collator=collate,
        )
        return _seconds(trainer.train)


def _onevision(vocab_size: int) -> Any:  # noqa: ANN401
    text = AutoConfig.for_model("llama", vocab_size=vocab_size, **WORDS)
    vision = AutoConfig.for_model("clip_vision_model", **TOWER)
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=1,
        video_token_index=2,
        image_grid_pinpoints=[[64, 64]],
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
    )
    return LlavaOnevisionForConditionalGeneration(config)


def _as_onevision(rows: Sequence[dict[str, torch.Tensor]], model: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401
    """Write the same conversations as LLaVA-OneVision takes them: its own number of visual tokens, padded."""
    side = TOWER["image_size"] // TOWER["patch_size"]
    of_clip = NUM_FRAMES * (-(-side // 2)) ** 2 + 1
    of_picture = 2 * side * side + side  # the picture whole, the picture as one tile, and a new line a row
    sequences, labels, clips, pictures = [], [], [], []
    for row in rows:
        words = row["mm_token_type_ids"] == 0
        visual: list[int] = []
        if "pixel_values_videos" in row:
            clips.append(row["pixel_values_videos"][0])
            visual = [model.config.video_token_id] * of_clip
        elif "pixel_values" in row:
            pictures.append(row["pixel_values"].expand(2, -1, -1, -1))
            visual = [model.config.image_token_id] * of_picture
        kept = row["input_ids"][words].clamp(min=3)
        sequences.append(torch.cat([torch.tensor(visual, dtype=torch.long), kept]))
        labels.append(torch.cat([torch.full((len(visual),), -100), row["labels"][words]]))
    pad = torch.nn.utils.rnn.pad_sequence
    batch = {
        "input_ids": pad(sequences, batch_first=True, padding_value=0),
        "labels": pad(labels, batch_first=True, padding_value=-100),
        "attention_mask": pad([torch.ones_like(s) for s in sequences], batch_first=True),
    }
    if clips:
        batch["pixel_values_videos"] = torch.stack(clips)
    if pictures:
        batch["pixel_values"] = torch.stack(pictures)
        batch["image_sizes"] = torch.tensor([[64, 64]] * len(pictures))
    return batch


def _epochs(tokenizer: Any) -> tuple[float, float]:  # noqa: ANN401
    """Train two epochs on clips of 360p, one run each: the first fills the cache of features."""
    tower = {
        **TOWER,
        "hidden_size": 256,
        "intermediate_size": 1024,
        "image_size": 224,
        "num_hidden_layers": 8,
    }
    model, processor = compose(
        CLIPVisionModel(CLIPVisionConfig(**tower)),
        LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **WORDS)),
        tokenizer,
        num_frames=NUM_FRAMES,
    )
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        model.save_pretrained(folder / "base")
        processor.save_pretrained(folder / "base")
        random = np.random.default_rng(0)
        conversations = []
        for number in range(16):
            picture = random.integers(0, 256, (45, 80, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            clip = np.stack([np.roll(picture, 8 * i, axis=1) for i in range(60)])
            write_video(folder / f"{number}.mp4", clip, fps=15)
            asked = user(Video(f"{number}.mp4"), "Which way?")
            conversations.append(Conversation((asked, assistant("To the right.")), id=str(number)))
        write_jsonl(folder / "data.jsonl", conversations)

        def run(name: str) -> None:
            train(
                make_config(
                    {
                        "stage": "align",
                        "model": {"checkpoint": str(folder / "base")},
                        "data": {"path": str(folder / "data.jsonl")},
                        "output_dir": str(folder / name),
                        "index_dir": str(folder / "index"),
                        "feature_cache": {"use": "always", "folder": str(folder / "features")},
                        "report": False,
                        "trainer": {
                            "num_train_epochs": 1,
                            "per_device_train_batch_size": 4,
                            "report_to": "none",
                            "save_strategy": "no",
                        },
                    }
                )
            )

        return _seconds(lambda: run("first")), _seconds(lambda: run("second"))


def _seconds(work: Callable[[], Any]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


if __name__ == "__main__":
    main()
