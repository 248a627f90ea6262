"""Questions behind one look at a clip: each sees the clip and itself, and nothing that comes later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from valley.training.language_pretraining import (
    Dialogues,
    LanguageConfig,
    LanguageLesson,
    collate,
    make_tokenizer,
    packed_mask,
    packed_positions,
)


@pytest.fixture(scope="module")
def config() -> LanguageConfig:
    return LanguageConfig(
        stage="language",
        output_dir=Path("unused"),
        max_steps=10,
        batch_size=4,
        learning_rate=2e-3,
        tokenizer_dialogues=60,
        vocab_size=700,
        hidden_size=32,
        intermediate_size=64,
        num_heads=2,
        dialogue_share=0.3,
        english_until=0.0,
        rich_from=0.0,
    )


@pytest.fixture(scope="module")
def lesson_and_batch(config: LanguageConfig) -> tuple[LanguageLesson, dict[str, Any]]:
    torch.manual_seed(0)
    tokenizer = make_tokenizer(config)
    rows = Dialogues(config, tokenizer)
    return LanguageLesson(config, tokenizer).eval(), collate([rows[i] for i in range(6)])


def hidden(lesson: LanguageLesson, ids: Tensor, segments: Tensor) -> Tensor:
    embeds = lesson.language_model.get_input_embeddings()(ids.clamp(min=0))
    with torch.no_grad():
        return lesson.language_model.model(
            inputs_embeds=embeds,
            attention_mask=packed_mask(segments),
            position_ids=packed_positions(segments),
            use_cache=False,
        ).last_hidden_state


def test_no_token_sees_what_comes_later(lesson_and_batch: tuple[LanguageLesson, dict[str, Any]]) -> None:
    lesson, batch = lesson_and_batch
    before = hidden(lesson, batch["ids"], batch["segments"])
    for stop in (20, 50, 90):
        changed = batch["ids"].clone()
        changed[:, stop:] = 9
        after = hidden(lesson, changed, batch["segments"])
        assert torch.equal(after[:, :stop], before[:, :stop])
        assert not torch.equal(after[:, stop], before[:, stop])


def test_no_question_sees_another(lesson_and_batch: tuple[LanguageLesson, dict[str, Any]]) -> None:
    lesson, batch = lesson_and_batch
    segments = batch["segments"]
    before = hidden(lesson, batch["ids"], segments)
    after = hidden(lesson, torch.where(segments == 1, 9, batch["ids"]), segments)
    assert (segments == 2).any(), "no row of this batch has two questions"
    torch.testing.assert_close(after[segments == 2], before[segments == 2], rtol=0, atol=0)
    assert not torch.equal(after[segments == 1], before[segments == 1])


def test_every_question_sees_the_clip(lesson_and_batch: tuple[LanguageLesson, dict[str, Any]]) -> None:
    lesson, batch = lesson_and_batch
    segments = batch["segments"]
    before = hidden(lesson, batch["ids"], segments)
    changed = batch["ids"].clone()
    changed[:, 1] = 9
    after = hidden(lesson, changed, segments)
    asked = segments > 0
    assert (after[asked] != before[asked]).any(-1).all()


def test_every_question_follows_the_clip_directly() -> None:
    segments = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2, -1], [0, 1, 1, 1, 2, 3, 3, -1, -1]])
    positions = packed_positions(segments)
    assert positions[0, :8].tolist() == [0, 1, 2, 3, 4, 3, 4, 5]
    assert positions[1, :7].tolist() == [0, 1, 2, 3, 1, 1, 2]


def test_right_answers_are_counted_as_wholes(lesson_and_batch: tuple[LanguageLesson, dict[str, Any]]) -> None:
    lesson, batch = lesson_and_batch
    said = batch["labels"][:, 1:] != -100
    lesson.measures.clear()
    lesson._measure(torch.ones(int(said.sum()), dtype=torch.bool), said, batch)
    assert {score for scores in lesson.measures.values() for score in scores} == {1.0}
    assert sum(len(scores) for scores in lesson.measures.values()) == len(batch["tasks"])
    lesson.measures.clear()
    wrong_end = torch.ones(int(said.sum()), dtype=torch.bool)
    wrong_end[int(said[0].sum()) - 1] = False  # the last word of the first row's last answer
    lesson._measure(wrong_end, said, batch)
    wrong = sum(score == 0 for scores in lesson.measures.values() for score in scores)
    assert wrong == 1
