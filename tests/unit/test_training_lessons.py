"""Lessons: the embedded model's eyes and words are taught by one loop that survives being killed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, CLIPVisionModel, PreTrainedTokenizerFast

from valley.errors import ConfigError
from valley.synthetic.generator import draw_scene
from valley.synthetic.render import render_frames
from valley.synthetic.scene import Background, Event, Scene, SceneObject, Shot
from valley.synthetic.wording import verdict_of
from valley.synthetic.world import COLORS, LANGUAGES, SHAPES
from valley.training.assembly import load_or_compose
from valley.training.config import ModelSettings
from valley.training.frame_labels import (
    FRAME_WIDTH,
    OBJECT_WIDTH,
    PATCH_WIDTH,
    color_of_patch,
    frame_labels,
    object_numbers,
    patch_numbers,
)
from valley.training.handing_on import SEE_NAME, projector_of, save_see
from valley.training.labelling import encode
from valley.training.language_facts import (
    ANSWER_FACTS,
    HISTORY_FACTS,
    IGNORED,
    QUESTION_FACTS,
)
from valley.training.language_pretraining import LanguageLesson, begin_with, train_language
from valley.training.language_recipe import LanguageConfig, make_tokenizer
from valley.training.language_rows import Dialogues, collate, packed_mask, packed_positions
from valley.training.lessons import CHECKPOINT_NAME, LessonConfig, teach
from valley.training.media import Sample
from valley.training.progress import TrainingEvent
from valley.training.vision_pretraining import ScenePictures, VisionConfig, VisionLesson, train_vision
from valley.video.frames import Frames

WORDS = {
    "vocab_size": 400,
    "tokenizer_dialogues": 40,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "num_patches": 12,
    "temporal_pooling_config": {"num_heads": 2, "feed_forward_dim": 32, "max_positions": 16},
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


def frame_of(*things: SceneObject) -> Scene:
    ground = Background(kind="plain", colors=((32, 64, 96),))
    return Scene(shots=(Shot(duration_s=2.0, background=ground, objects=things),))


def test_what_a_frame_shows_is_labelled() -> None:
    spins = Event(kind="spins", start_s=0.0, end_s=2.0, turn_deg=60.0)
    scene = frame_of(
        SceneObject(shape="circle", color="green", radius=0.18, center=(0.25, 0.5)),
        SceneObject(shape="square", color="orange", radius=0.1, center=(0.8, 0.5), events=(spins,)),
    )
    labels = frame_labels(scene, 1.0, grid=8)
    green, orange = (list(COLORS).index(c) for c in ("green", "orange"))
    np.testing.assert_allclose(labels["slots"][green], [1, 0.25, 0.5, 0.18, 0, 0], atol=1e-6)
    # by then it has turned by 30 degrees, and a square looks the same four times in a full turn
    np.testing.assert_allclose(labels["slots"][orange], [1, 0.8, 0.5, 0.1, -1.5, 3**0.5 / 2], atol=1e-6)
    absent = [k for k in range(len(COLORS)) if k not in (green, orange)]
    assert not labels["slots"][absent].any()
    assert (labels["shapes"][absent] == -100).all()
    assert labels["shapes"][[green, orange]].tolist() == [SHAPES.index("circle"), SHAPES.index("square")]
    np.testing.assert_allclose(labels["background"], [0.5, 1.0, 1.5])
    assert labels["foreign"] == 0
    colors = labels["patch_colors"].reshape(8, 8)
    assert (colors[3:5, 1:3] == green + 1).all()
    assert colors[0].max() == 0
    assert ((labels["patch_shapes"] == -100) == (labels["patch_colors"] == 0)).all()


def test_labels_agree_with_what_is_drawn() -> None:
    """What is present has pixels; what is not has none, but for a part that the picture's edge cuts off."""
    checked = 0
    for index in range(40):
        scene = draw_scene(np.random.default_rng(index), level="rich").model_copy(update={"noise": 0.0})
        time_s = 0.6 * scene.duration_s
        labels = frame_labels(scene, time_s, grid=8)
        picture = render_frames(scene, [time_s], size_px=(64, 64)).pixels[0].astype(int)
        for color, (present, *_) in zip(COLORS, labels["slots"], strict=True):
            near = np.abs(picture - np.array(COLORS[color])).sum(-1) < 60
            at_edge = near[[0, -1]].any() or near[:, [0, -1]].any()
            assert near.any() == (present > 0) or (at_edge and not present), (index, color)
            checked += int(present)
    assert checked > 40


def test_what_is_hidden_is_absent_and_what_peeps_in_is_not() -> None:
    for x, is_there in ((-0.05, True), (-0.08, False), (1.05, True), (1.08, False)):
        scene = frame_of(SceneObject(shape="circle", color="red", radius=0.18, center=(x, 0.5)))
        assert frame_labels(scene, 0.0, grid=4)["slots"][0, 0] == is_there


def vision_batch(**changes: Tensor) -> dict[str, Tensor]:
    batch = {
        "pixels": torch.randint(0, 255, (4, 32, 32, 3), dtype=torch.uint8),
        "numbers": torch.rand(4, len(COLORS), OBJECT_WIDTH),
        "shapes": torch.zeros(4, len(COLORS), dtype=torch.long),
        "background": torch.rand(4, 3),
        "foreign": torch.tensor([0.0, 1.0, 0.0, 0.0]),
        "patch_colors": torch.zeros(4, 4, dtype=torch.long),
        "patch_shapes": torch.zeros(4, 4, dtype=torch.long),
    }
    return batch | changes


def test_what_is_absent_is_told_by_zeros() -> None:
    spins = Event(kind="spins", start_s=0.0, end_s=2.0, turn_deg=45.0)
    square = SceneObject(shape="square", color="orange", radius=0.18, center=(0.7, 0.4), events=(spins,))
    labels = frame_labels(frame_of(square), 2.0, grid=4)
    objects = object_numbers(labels["slots"], labels["shapes"])
    orange = list(COLORS).index("orange")
    assert not np.delete(objects, orange, 0).any()
    one_hot = [float(shape == "square") for shape in SHAPES]
    np.testing.assert_allclose(objects[orange], [1, 1.0, -0.5, 0.6, -2, 0, *one_hot], atol=1e-5)
    patches = patch_numbers(objects, labels["background"], 0.0)
    assert patches.shape == (len(COLORS), PATCH_WIDTH)
    assert (patches[:, -len(COLORS) :] == np.eye(len(COLORS))).all()
    assert set(color_of_patch(64).tolist()) == set(range(len(COLORS)))


def test_the_eyes_learn_presence() -> None:
    """Heads on the class token carry a gradient to every parameter that the read layer depends on."""
    lesson = VisionLesson(eyes(Path("unused")))
    losses = lesson(vision_batch())
    torch.stack(list(losses.values())).sum().backward()
    untouched = {n for n, p in lesson.tower.named_parameters() if p.grad is None}
    assert all("post_layernorm" in name for name in untouched)


def test_of_foreign_frames_nothing_is_learned_but_that_they_are_foreign() -> None:
    lesson = VisionLesson(eyes(Path("unused")))
    batch = vision_batch()
    other = {name: labels.clone() for name, labels in batch.items()}
    other["numbers"][1] = 1 - other["numbers"][1]
    other["shapes"][1] = -100
    other["background"][1] += 5
    other["patch_colors"][1] = 3
    losses, same = lesson(batch), lesson(other)
    for name, loss in losses.items():
        torch.testing.assert_close(loss, same[name])
    assert not torch.allclose(losses["foreign"], lesson(batch | {"foreign": torch.zeros(4)})["foreign"])


def test_a_vision_sample_is_a_pure_function_of_its_number() -> None:
    one, same = (ScenePictures(eyes(Path("unused"), foreign_share=0.5)) for _ in range(2))
    foreign = set()
    for index in range(12):
        assert all(torch.equal(one[index][name], values) for name, values in same[index].items())
        told = one[index]["foreign"]
        assert (told == told[0]).all()
        foreign.add(float(told[0]))
    assert foreign == {0.0, 1.0}


def test_the_language_model_is_a_plain_llama(tmp_path: Path) -> None:
    train_language(words(tmp_path / "words", num_layers=3, event_layer=1, look_up_layer=2))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "words")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "words")
    assert model.config.model_type == "llama"
    for text in ("Which way does the red circle move?", "红色的圆形向右移动。", "¿Qué ves? ñ", "🙂"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_every_han_character_is_a_token_of_its_own(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(words(tmp_path))
    assert len(tokenizer.encode("红色的圆形")) >= 5


def test_a_time_is_the_same_token_in_prompt_and_answer(tmp_path: Path) -> None:
    """Split into digits, "when" was not learned at all."""
    tokenizer = make_tokenizer(words(tmp_path, vocab_size=800))
    (time_token,) = tokenizer.encode("1.4")
    for text in ("At 1.4 s.", "在1.4秒。", "A los 1.4 s.", "1.4s"):
        assert tokenizer.encode(text).count(time_token) == 1, text
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_heads_must_find_their_layers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="among the 3 layers, got 2 and 4"):
        words(tmp_path, num_layers=3, event_layer=2, look_up_layer=3)


def answers_of(row: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Read the labelled stretches of a row, each with the token that ends its turn."""
    found = []
    for start in row["answer_starts"].tolist():
        rest = row["labels"][start + 1 :]
        stops = (rest == IGNORED).nonzero()
        found.append(tokenizer.decode(rest[: int(stops[0])] if len(stops) else rest))
    return found


def test_a_row_teaches_the_answers_only(tmp_path: Path) -> None:
    config = words(tmp_path, dialogue_share=1.0)
    tokenizer = make_tokenizer(config)
    data = Dialogues(config, tokenizer)
    for index in range(30):
        row, drawn = data[index], data.stream(index).draw(index)
        assert answers_of(row, tokenizer) == [q.answer + "<|end|>" for q in drawn.asked]
        assert len(row["frames"]) == len(row["patches"]) == len(drawn.times_s)
        assert (row["ids"] < 0).sum() == bool(drawn.times_s) * config.num_patches + len(drawn.times_s)
        assert row["tasks"] == [q.task for q in drawn.asked]
        assert len(row["facts"]) == len(row["answer_starts"]) == len(drawn.asked)
        assert ((row["labels"] == IGNORED) == (row["weights"] == 0)).all()
        assert set(row["segments"].tolist()) == {0, 1}


def test_questions_behind_one_look_do_not_see_each_other(tmp_path: Path) -> None:
    """What a row says of its second question is what it says where that stands alone behind the clip."""
    config = words(tmp_path, dialogue_share=0.0, num_layers=2, event_layer=1, look_up_layer=1)
    tokenizer = make_tokenizer(config)
    data = Dialogues(config, tokenizer)
    row = next(r for r in map(data.__getitem__, range(20)) if int(r["segments"].max()) >= 3)
    model = LanguageLesson(config, tokenizer).language_model.eval()

    def hidden(segments: Tensor, ids: Tensor) -> Tensor:
        return model.model(
            input_ids=ids.clamp(min=0)[None],
            attention_mask=packed_mask(segments[None]),
            position_ids=packed_positions(segments[None]),
        ).last_hidden_state[0]

    kept = (row["segments"] == 0) | (row["segments"] == 2)
    with torch.no_grad():
        packed = hidden(row["segments"], row["ids"])[row["segments"] == 2]
        alone = hidden(row["segments"][kept], row["ids"][kept])[row["segments"][kept] == 2]
        plain = model.model(input_ids=row["ids"][kept].clamp(min=0)[None]).last_hidden_state[0]
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-4)
    # and that is what the model does when it is asked one question, without mask or positions of ours
    torch.testing.assert_close(packed, plain[row["segments"][kept] == 2], rtol=1e-4, atol=1e-4)


def test_a_packed_mask_shows_the_clip_and_the_question_itself() -> None:
    segments = torch.tensor([[0, 0, 1, 1, 2, -1]])
    seen = (packed_mask(segments)[0, 0] == 0).int().tolist()
    assert seen == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 0, 1],
    ]
    assert packed_positions(segments)[0, :5].tolist() == [0, 1, 2, 3, 2]


def test_english_and_simple_scenes_come_first(tmp_path: Path) -> None:
    config = words(tmp_path, max_steps=100, batch_size=10, english_until=0.1, rich_from=0.4)
    data = Dialogues(config, make_tokenizer(config))
    first, middle, last = (data.stream(i) for i in (99, 399, 400))
    assert (first.languages, first.rich_share) == (("en",), 0.0)
    assert (middle.languages, middle.rich_share) == (LANGUAGES, 0.0)
    assert (last.languages, last.rich_share) == (LANGUAGES, config.rich_share)


def test_the_heads_are_told_what_is_true(tmp_path: Path) -> None:
    config = words(tmp_path)
    data = Dialogues(config, make_tokenizer(config))
    checked = 0
    for index in range(40):
        row = data[index]
        events = row["history"][:, :, 0]
        absent = events == HISTORY_FACTS["event"][None]
        assert (row["history"][absent][:, 1:] == IGNORED).all()
        there = (events != IGNORED) & ~absent
        opens, shots = row["frame_facts"][:, 2], row["frame_facts"][:, 1]
        if there.any():  # a clip of this world: every shot shows something, and begins at one frame
            num_shots = int(shots.max()) + 1
            assert there.any(0).tolist() == [number < num_shots for number in range(there.shape[1])]
            assert int((opens == 1).sum()) == num_shots
            assert sorted(shots.tolist()) == shots.tolist()
        checked += int(there.sum())
    assert checked > 40


def test_the_lesson_speaks_the_processors_prompt(tmp_path: Path) -> None:
    """What is learned from numbers is asked for later in the very same tokens."""
    train_vision(eyes(tmp_path / "eyes", max_steps=1, patch_size=8))
    config = words(tmp_path / "words", num_patches=16, dialogue_share=1.0, max_steps=1)
    train_language(config)
    model, processor = load_or_compose(
        ModelSettings(
            vision_tower=str(tmp_path / "eyes"),
            language_model=str(tmp_path / "words"),
            temporal_pooling="transformer",
            temporal_pooling_config=config.temporal_pooling_config,
            temporal_pooling_weights=tmp_path / "words",
            projector_from_lessons=True,
            vision_feature_layer=-1,
            frame_times=True,
        )
    )
    data = Dialogues(config, AutoTokenizer.from_pretrained(tmp_path / "words"))
    visual = model.config.placeholder_token_ids
    pictures = 0
    for index in range(40):
        row, stream = data[index], data.stream(index)
        drawn = stream.draw(index)
        media = ()
        if drawn.truth is not None:
            pixels = stream.pixels(drawn)
            media = (pixels[0] if drawn.is_picture else Frames(pixels, np.asarray(drawn.times_s)),)
        ids = encode(processor, Sample(stream.dialogue(drawn), media))["input_ids"]
        assert torch.where(torch.isin(ids, torch.tensor(visual)), -1, ids).tolist() == (
            row["ids"].clamp(min=-1).tolist()
        )
        pictures += drawn.is_picture
    assert pictures


def test_a_projector_begins_where_the_lessons_ended(tmp_path: Path) -> None:
    """On numbers that stand apart, the product of the maps is what the language lesson was shown."""
    width, dim = FRAME_WIDTH + PATCH_WIDTH, 7
    see_frame, see_patch = nn.Linear(FRAME_WIDTH, dim), nn.Linear(PATCH_WIDTH, dim)
    save_see(see_frame, see_patch, tmp_path)
    tower_read = {"weight": torch.eye(width), "bias": torch.zeros(width)}
    weight, bias = projector_of(tower_read, load_file(tmp_path / SEE_NAME))
    frame, patch = torch.rand(FRAME_WIDTH), torch.rand(PATCH_WIDTH)
    patch[-len(COLORS) :] = torch.eye(len(COLORS))[2]
    nothing = torch.zeros(width)
    torch.testing.assert_close(weight @ torch.cat([frame, nothing[FRAME_WIDTH:]]) + bias, see_frame(frame))
    torch.testing.assert_close(weight @ torch.cat([nothing[:FRAME_WIDTH], patch]) + bias, see_patch(patch))


def test_the_mean_can_be_taught_with_too(tmp_path: Path) -> None:
    """It has no weights; what is saved of it fits a composed model all the same."""
    train_vision(eyes(tmp_path / "eyes", max_steps=1))
    train_language(
        words(tmp_path / "words", max_steps=1, temporal_pooling="mean", temporal_pooling_config={})
    )
    model, _ = load_or_compose(
        ModelSettings(
            vision_tower=str(tmp_path / "eyes"),
            language_model=str(tmp_path / "words"),
            vision_feature_layer=-1,
            temporal_pooling_weights=tmp_path / "words",
        )
    )
    assert model.config.temporal_pooling == "mean"


def taught_parts(folder: Path) -> dict[str, Any]:
    """Teach both parts for a step; give the settings that put them together."""
    train_vision(eyes(folder / "eyes", max_steps=1))
    train_language(words(folder / "words", max_steps=1))
    return {
        "vision_tower": str(folder / "eyes"),
        "language_model": str(folder / "words"),
        "vision_feature_layer": -1,
    }


def test_a_taught_pooling_must_fit(tmp_path: Path) -> None:
    parts = {
        **taught_parts(tmp_path),
        "temporal_pooling": "transformer",
        "temporal_pooling_config": {"num_heads": 2, "feed_forward_dim": 64},
    }
    for folder, message in (("words", "these are not the weights"), ("eyes", "want a folder with")):
        settings = ModelSettings(**parts, temporal_pooling_weights=tmp_path / folder)
        with pytest.raises(ConfigError, match=message):
            load_or_compose(settings)
    with pytest.raises(ConfigError, match="projector_from_lessons: want a linear projector from 32 to 32"):
        load_or_compose(
            ModelSettings(
                vision_tower=str(tmp_path / "eyes"),
                language_model=str(tmp_path / "words"),
                vision_feature_layer=-1,
                projector_type="mlp2x_gelu",
                projector_from_lessons=True,
            )
        )


def test_the_lesson_sees_every_frame_and_names_every_fact(tmp_path: Path) -> None:
    config = words(tmp_path, num_layers=3, event_layer=1, look_up_layer=2)
    tokenizer = make_tokenizer(config)
    data = Dialogues(config, tokenizer)
    lesson = LanguageLesson(config, tokenizer)
    batch = collate([data[i] for i in range(6)])
    losses = lesson(batch)
    assert set(losses) == {"words", "pooled", "events", "frames", "look_up", "told", "answers"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for n, p in lesson.named_parameters() if "language_model" in n)
    for part in (lesson.see_frame, lesson.see_patch, lesson.temporal_pooling.encoder.layers[0].linear1):
        assert part.weight.grad is not None
        assert float(part.weight.grad.abs().sum()) > 0
    assert {task: len(seen) for task, seen in lesson.measures.items()} == Counter(batch["tasks"])
    assert {right for seen in lesson.measures.values() for right in seen} <= {0.0, 1.0}


def test_a_lesson_goes_on_from_a_finished_one(tmp_path: Path) -> None:
    first = words(tmp_path / "first", max_steps=1)
    train_language(first)
    further = words(tmp_path / "further", max_steps=1, seed=5, base=tmp_path / "first")
    tokenizer = make_tokenizer(further)
    assert tokenizer.get_vocab() == make_tokenizer(first).get_vocab()
    lesson = LanguageLesson(further, tokenizer)
    begin_with(lesson, tmp_path / "first")
    save_see(lesson.see_frame, lesson.see_patch, tmp_path)
    left, kept = load_file(tmp_path / "first" / SEE_NAME), load_file(tmp_path / SEE_NAME)
    assert all(torch.equal(left[name], kept[name]) for name in left)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "first")
    assert all(torch.equal(p, lesson.language_model.state_dict()[n]) for n, p in model.state_dict().items())
    assert train_language(further).num_steps == 1
    wider = words(tmp_path / "wider", hidden_size=64, base=tmp_path / "first")
    with pytest.raises(ConfigError, match="was made by another recipe"):
        train_language(wider)
    with pytest.raises(ConfigError, match="base: want a folder that"):
        train_language(words(tmp_path / "absent", base=tmp_path))


def test_heads_look_up_each_object_where_a_caption_comes_to_it(tmp_path: Path) -> None:
    config = words(tmp_path, rich_from=0.0, rich_share=0.5, english_until=0.0)
    tokenizer = make_tokenizer(config)
    data = Dialogues(config, tokenizer)
    colors = {
        "en": ("red", "green", "blue", "yellow", "purple", "orange"),
        "zh": ("红色", "绿色", "蓝色", "黄色", "紫色", "橙色"),
        "es": ("roj", "verde", "azul", "amarill", "morad", "naranja"),
    }
    checked = 0
    for index in range(60):
        row = data[index]
        for place, facts in zip(row["told_places"].tolist(), row["told"].tolist(), strict=True):
            said = tokenizer.decode(row["ids"][place + 1 : place + 30].clamp(min=0))
            number = facts[list(QUESTION_FACTS).index("color")]
            named = [
                min((at, k) for k, word in enumerate(known) if (at := said.find(word)) >= 0)
                for known in colors.values()
                if any(word in said for word in known)
            ]
            assert min(named)[1] == list(COLORS.values()).index(list(COLORS.values())[number]), said
            checked += 1
    assert checked > 100


def test_heads_are_told_what_an_answer_comes_to(tmp_path: Path) -> None:
    config = words(tmp_path, dialogue_share=1.0, english_until=1.0, max_steps=100)
    tokenizer = make_tokenizer(config)
    data = Dialogues(config, tokenizer)
    seen = Counter[str]()
    for index in range(150):
        row, drawn = data[index], data.stream(index).draw(index)
        for facts, asked, question in zip(row["answer_facts"], row["facts"], drawn.asked, strict=True):
            told = {n: k for n, k in zip(ANSWER_FACTS, facts.tolist(), strict=True) if k != IGNORED}
            seen.update(told)
            looked_up = dict(zip(QUESTION_FACTS, asked.tolist(), strict=True))
            match question.task:
                case "exist" | "happens" if drawn.truth is not None and not drawn.truth.foreign:
                    assert told == {"verdict": verdict_of(question.answer, drawn.language)}
                case "order" if told:
                    first, second = (looked_up[name] for name in ("one_frame", "other_frame"))
                    assert (first < second) == told["one_is_first"]
                case "count" if told:
                    assert ("one", "two", "three", "four")[told["number"]] in question.answer
                case "when" if told:
                    assert f"{told['tenths_s'] / 10:.1f}" in question.answer
                case "unanswerable" if told:
                    assert told == {"presupposes": int(question.about is not None)}
                case _:
                    assert not told
    assert all(seen[name] > 5 for name in ANSWER_FACTS), seen


def test_a_projector_of_2023_may_be_the_beginning(tmp_path: Path) -> None:
    parts = taught_parts(tmp_path)
    weights = {
        "model.mm_projector.weight": torch.rand(32, 32).half(),
        "model.mm_projector.bias": torch.rand(32).half(),
    }
    torch.save(weights, tmp_path / "mm_projector.bin")
    model, _ = load_or_compose(ModelSettings(**parts, projector_weights=tmp_path / "mm_projector.bin"))
    layer = model.model.multi_modal_projector.linear_1
    assert torch.equal(layer.weight, weights["model.mm_projector.weight"].float())
    assert torch.equal(layer.bias, weights["model.mm_projector.bias"].float())
    for tensors, message in (
        (
            weights | {"model.norm.weight": torch.ones(1)},
            "want mm_projector weights alone, got model.norm.weight",
        ),
        ({"model.mm_projector.weight": torch.ones(3, 3)}, "want a linear projector with"),
    ):
        torch.save(tensors, tmp_path / "other.bin")
        with pytest.raises(ConfigError, match=message):
            load_or_compose(ModelSettings(**parts, projector_weights=tmp_path / "other.bin"))
    with pytest.raises(ConfigError, match="there is no such file"):
        load_or_compose(ModelSettings(**parts, projector_weights=tmp_path / "absent.bin"))
