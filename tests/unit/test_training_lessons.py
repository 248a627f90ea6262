"""Lessons: the embedded model's eyes and words are taught by one loop that survives being killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, CLIPVisionModel

from valley.errors import ConfigError
from valley.synthetic.generator import draw_scene
from valley.synthetic.world import COLORS
from valley.training.language_pretraining import (
    IGNORED,
    Dialogues,
    LanguageConfig,
    LanguageLesson,
    collate,
    make_tokenizer,
    train_language,
)
from valley.training.lessons import CHECKPOINT_NAME, LessonConfig, teach
from valley.training.progress import TrainingEvent
from valley.training.vision_pretraining import VisionConfig, VisionLesson, frame_labels, train_vision

WORDS = {
    "vocab_size": 400,
    "tokenizer_dialogues": 40,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
}
EYES = {"image_size": 32, "patch_size": 16, "hidden_size": 32, "num_layers": 1, "num_heads": 2}


def eyes(folder: Path, **changes: object) -> VisionConfig:
    fields = {"stage": "vision", "output_dir": folder, "max_steps": 4, "batch_size": 2, "learning_rate": 1e-3}
    return VisionConfig.model_validate(fields | EYES | {"save_every_steps": 2} | changes)


def words(folder: Path, **changes: object) -> LanguageConfig:
    fields = {
        "stage": "language",
        "output_dir": folder,
        "max_steps": 3,
        "batch_size": 2,
        "learning_rate": 1e-3,
    }
    return LanguageConfig.model_validate(fields | WORDS | changes)


class Guess(nn.Module):
    """One number that learns to be another; stops dead at a chosen call."""

    def __init__(self, die_at: int | None = None) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))
        self.calls, self.die_at = 0, die_at

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        self.calls += 1
        if self.calls == self.die_at:
            raise KeyboardInterrupt
        return {"far": (self.value - batch["x"]).square().mean()}


class Numbers(torch.utils.data.Dataset[Tensor]):
    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor(float(index % 7))


def stack(items: list[Tensor]) -> dict[str, Tensor]:
    return {"x": torch.stack(items)}


def test_a_killed_lesson_ends_with_the_same_weights(tmp_path: Path) -> None:
    def config(name: str) -> LessonConfig:
        (tmp_path / name).mkdir(exist_ok=True)
        return LessonConfig(
            output_dir=tmp_path / name, max_steps=12, batch_size=3, learning_rate=0.1, save_every_steps=4
        )

    whole, events = Guess(), []
    teach(whole, Numbers(), config("whole"), collate=stack, on_event=events.append)
    with pytest.raises(KeyboardInterrupt):
        teach(Guess(die_at=10), Numbers(), config("killed"), collate=stack)
    again = Guess()
    teach(again, Numbers(), config("killed"), collate=stack)
    assert again.calls == 4  # steps 9 to 12: the checkpoint was written after step 8
    torch.testing.assert_close(again.value, whole.value, rtol=0, atol=0)
    assert isinstance(events[-1], TrainingEvent)
    assert events[-1].step == events[-1].max_steps == 12


def test_the_tower_is_a_plain_clip_tower(tmp_path: Path) -> None:
    result = train_vision(eyes(tmp_path / "eyes"))
    assert result.num_steps == 4
    assert result.last_loss is not None
    tower = CLIPVisionModel.from_pretrained(tmp_path / "eyes")
    assert tower.config.image_size == 32
    assert (tmp_path / "eyes" / "preprocessor_config.json").is_file()
    assert not (tmp_path / "eyes" / CHECKPOINT_NAME).exists()
    with pytest.raises(ConfigError, match="already a finished run"):
        train_vision(eyes(tmp_path / "eyes"))
    train_vision(eyes(tmp_path / "eyes", max_steps=1), restart=True)


def test_what_a_frame_shows_is_labelled() -> None:
    for i in range(40):
        scene = draw_scene(np.random.default_rng(i))
        labels = frame_labels(scene, 0.0, grid=8)
        for slot, color in enumerate(COLORS):
            there = [o for o in scene.shots[0].objects if o.color == color and o.exists(0.0)]
            assert labels["slots"][slot, 0] == len(there)
            if there:
                np.testing.assert_allclose(labels["slots"][slot, 1:3], there[0].position(0.0), atol=1e-6)
                assert (labels["patch_colors"] == slot + 1).any() or there[0].radius < 0.12


def test_the_eyes_learn_presence() -> None:
    """Heads on the class token carry a gradient to every parameter that the read layer depends on."""
    lesson = VisionLesson(eyes(Path("unused")))
    batch = {
        "pixels": torch.randint(0, 255, (4, 32, 32, 3), dtype=torch.uint8),
        "slots": torch.rand(4, len(COLORS), 4).round(),
        "shapes": torch.zeros(4, len(COLORS), dtype=torch.long),
        "patch_colors": torch.zeros(4, 4, dtype=torch.long),
        "patch_shapes": torch.zeros(4, 4, dtype=torch.long),
    }
    losses = lesson(batch)
    torch.stack(list(losses.values())).sum().backward()
    untouched = {n for n, p in lesson.tower.named_parameters() if p.grad is None}
    assert all("post_layernorm" in name for name in untouched)


def test_the_language_model_is_a_plain_llama(tmp_path: Path) -> None:
    train_language(words(tmp_path / "words", num_layers=3))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "words")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "words")
    assert model.config.model_type == "llama"
    for text in ("Which way does the red circle move?", "红色的圆形向右移动。", "¿Qué ves? ñ", "🙂"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_every_han_character_is_a_token_of_its_own(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(words(tmp_path))
    assert len(tokenizer.encode("红色的圆形")) >= 5


def test_a_row_teaches_the_answers_only(tmp_path: Path) -> None:
    config = words(tmp_path)
    tokenizer = make_tokenizer(config)
    data = Dialogues(config, tokenizer)
    for index in range(30):
        row, drawn = data[index], data.stream.draw(index)
        said = row["labels"][row["labels"] != IGNORED]
        wanted = "".join(m.text + "<|end|>" for m in drawn.conversation.messages if m.role == "assistant")
        assert tokenizer.decode(said) == wanted
        assert (row["ids"] < 0).sum() == len(row["slots"]) == len(drawn.times_s)
        firsts = [m.text for m in drawn.conversation.messages if m.role == "assistant"]
        for start, text in zip(row["answer_starts"].tolist(), firsts, strict=True):
            assert tokenizer.decode(row["ids"][start]) == "<|assistant|>"
            assert text.startswith(tokenizer.decode(row["ids"][start + 1]).strip("\ufffd"))


def test_the_lesson_sees_every_frame_and_names_every_fact(tmp_path: Path) -> None:
    config = words(tmp_path, num_layers=3)
    tokenizer = make_tokenizer(config)
    data = Dialogues(config, tokenizer)
    lesson = LanguageLesson(config, tokenizer)
    losses = lesson(collate([data[i] for i in range(6)]))
    assert set(losses) == {"words", "events", "look_up"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for n, p in lesson.named_parameters() if "language_model" in n)
    assert lesson.see.weight.grad is not None
    assert float(lesson.see.weight.grad.abs().sum()) > 0
