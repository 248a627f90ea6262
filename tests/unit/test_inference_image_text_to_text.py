"""The engine for any family of models, as far as it goes without torchvision: a tiny LLaVA, for pictures.

Families that take video are tested by `make test-families`.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from valley.conversation import Conversation, Image, Video, user
from valley.errors import BackendError, ConfigError, MissingExtraError
from valley.inference.backend import GenerationParams
from valley.inference.backends._family_loading import default_sampling
from valley.inference.backends._family_prompting import clip_metadata
from valley.inference.backends._together import Row, Together, collate
from valley.inference.opening import open_backend
from valley.video.frames import Frames
from valley.video.sampling import FrameSampling

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def save_llava(folder: Path, tiny_parts: SimpleNamespace) -> Path:
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    # By its file: the name alone is another class where torchvision is installed.
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = tiny_parts.tokenizer()
    words.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tower, llm = tiny_parts.tower(), tiny_parts.llm(len(words))
    config = LlavaConfig(
        vision_config=tower.config,
        text_config=llm.config,
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
        tie_word_embeddings=False,
    )
    torch.manual_seed(3)
    model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.language_model.load_state_dict(llm.model.state_dict())
    model.lm_head.load_state_dict(llm.lm_head.state_dict())
    with torch.no_grad():
        for parameter in model.model.multi_modal_projector.parameters():
            parameter.normal_(0, 0.3)
    model.generation_config.update(eos_token_id=0, bos_token_id=None)
    model.save_pretrained(folder)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        pictures,
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_parts: SimpleNamespace) -> Path:
    return save_llava(tmp_path_factory.mktemp("tiny-llava"), tiny_parts)


@pytest.fixture(scope="module")
def backend(folder: Path) -> Any:
    opened = open_backend(str(folder), device="cpu")
    yield opened
    opened.close()


def ask(backend: Any, *parts: Any, **params: Any) -> tuple[str, Any]:
    pieces = list(backend.stream(Conversation((user(*parts),)), GenerationParams(**params)))
    return "".join(p.text for p in pieces), pieces[-1].finish


def test_a_model_of_pictures_answers_about_pictures(backend: Any, clip_files: Path) -> None:
    photo = Image(str(clip_files / "photo.png"))
    said, finish = ask(backend, photo, "What is this?", max_new_tokens=8)
    assert said
    assert finish.usage.visual == 16
    assert [m.kind for m in finish.media] == ["image"]
    assert said != ask(backend, "What is this?", max_new_tokens=8)[0]


def test_a_model_of_pictures_refuses_clips_by_name(backend: Any, clip_files: Path) -> None:
    assert backend.capabilities.media == ("image",)
    with pytest.raises(BackendError, match=r"tiny-llava.*takes no video"):
        ask(backend, Video(str(clip_files / "a.mp4")), "What is this?")


def test_a_family_that_was_not_tested_in_batches_answers_one_by_one(folder: Path, backend: Any) -> None:
    assert backend.capabilities.max_concurrency == 1
    assert (
        backend.from_pretrained(str(folder), device="cpu", max_batch_size=3).capabilities.max_concurrency == 3
    )


def test_frames_are_kept_within_the_bound(folder: Path, clip_files: Path) -> None:
    photo = Image(str(clip_files / "photo.png"))
    for cache_bytes, hits in ((2**20, 1), (0, 0)):
        backend = open_backend(str(folder), device="cpu", cache_bytes=cache_bytes)
        for _ in range(2):
            ask(backend, photo, "What?", max_new_tokens=1)
        assert backend.cache_stats().frames.hits == hits


def test_a_batch_of_none_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        open_backend(str(folder), device="cpu", max_batch_size=0)


@pytest.mark.parametrize("parts", [["a <image> b"], ["a <ima", "ge> b"]])
def test_a_typed_placeholder_is_words(backend: Any, clip_files: Path, parts: list[str]) -> None:
    photo = Image(str(clip_files / "photo.png"))
    plain, typed = (ask(backend, photo, *p, max_new_tokens=2)[1] for p in (["a b"], parts))
    assert typed.usage.visual == plain.usage.visual
    assert typed.usage.prompt > plain.usage.prompt
    assert ask(backend, "a <image> b", max_new_tokens=2)[1].usage.visual == 0


def test_an_older_transformers_refuses_a_typed_placeholder(backend: Any, monkeypatch: Any) -> None:
    from transformers import ProcessorMixin

    def older(self: Any, conversation: Any) -> None: ...

    monkeypatch.setattr(ProcessorMixin, "apply_chat_template", older)
    with pytest.raises(BackendError, match=r"spells one of the model's control tokens.*a newer transformers"):
        ask(backend, "a <image> b")


def test_quantising_is_for_valleys(folder: Path) -> None:
    with pytest.raises(ConfigError, match="only Valley's checkpoints are quantised"):
        open_backend(str(folder), dtype="int8")


def test_a_checkpoint_without_a_template_cannot_be_asked(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.name != "chat_template.jinja":
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(ConfigError, match="without a chat template"):
        open_backend(str(tmp_path))


def test_lost_weights_are_told(folder: Path, tmp_path: Path, caplog: Any) -> None:
    from safetensors.torch import load_file, save_file

    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    kept = load_file(folder / "model.safetensors")
    kept.pop("lm_head.weight", None) or kept.pop("language_model.lm_head.weight")
    (tmp_path / "model.safetensors").unlink()
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with caplog.at_level(logging.ERROR), pytest.raises(ConfigError, match="lacks 1 weights, such as lm_head"):
        open_backend(str(tmp_path))


def test_a_missing_library_is_named(tmp_path: Path, tiny_parts: SimpleNamespace) -> None:
    import importlib.util

    from transformers import Qwen2VLConfig

    if importlib.util.find_spec("torchvision") is not None:
        pytest.skip("torchvision is here")
    Qwen2VLConfig().save_pretrained(tmp_path)
    tiny_parts.tokenizer().save_pretrained(tmp_path)
    parts = (
        {"image_processor_type": "Qwen2VLImageProcessor"},
        {"video_processor_type": "Qwen2VLVideoProcessor"},
    )
    settings = {
        "image_processor": parts[0],
        "video_processor": parts[1],
        "processor_class": "Qwen2VLProcessor",
    }
    (tmp_path / "processor_config.json").write_text(json.dumps(settings))
    with pytest.raises(
        MissingExtraError, match=r"'qwen2_vl', needs torchvision: pip install 'valley-vl\[families\]'"
    ):
        open_backend(str(tmp_path))


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, FrameSampling()),
        ({"num_frames": 12}, FrameSampling(num_frames=12)),
        ({"fps": 2, "max_frames": 768}, FrameSampling(num_frames=None, fps=2.0, max_frames=64)),
        ({"fps": 1, "num_frames": 50}, FrameSampling(num_frames=None, fps=1.0, max_frames=50)),
    ],
)
def test_the_frames_are_those_the_video_processor_names(settings: dict, wanted: FrameSampling) -> None:
    assert default_sampling(SimpleNamespace(video_processor=SimpleNamespace(**settings))) == wanted


@pytest.mark.parametrize("times_s", [[0.0], [3.0, 3.0], [0.0, 0.04, 1.0], [50.0, 50.5, 51.0, 52.0]])
def test_a_frames_number_by_the_rate_is_its_time(times_s: list[float]) -> None:
    frames = Frames(np.zeros((len(times_s), 8, 8, 3), np.uint8), np.array(times_s))
    told = clip_metadata(frames, duration_s=60.0)
    assert [number / told["fps"] for number in told["frames_indices"]] == times_s
    span_s = times_s[-1] - times_s[0]
    apart_s = span_s / (len(times_s) - 1) if span_s else 60.0 / len(times_s)
    assert len(times_s) / told["total_num_frames"] * told["fps"] == pytest.approx(1 / apart_s, rel=2e-3)


def test_rows_are_padded_on_the_left() -> None:
    def row(length: int, first: float) -> dict[str, torch.Tensor]:
        ids = torch.arange(1, length + 1)[None]
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "pixel_values": torch.full((2, 3), first),
        }

    batch = collate([row(2, 0.0), row(4, 1.0)], pad_id=9)
    assert batch["input_ids"].tolist() == [[9, 9, 1, 2], [1, 2, 3, 4]]
    assert batch["attention_mask"].tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    assert batch["pixel_values"][:, 0].tolist() == [0.0, 0.0, 1.0, 1.0]


class Counting:
    """A model that says 1, 2, 3 ... whatever it is asked; a prompt with 13 breaks it, 14 fills the memory."""

    dtype, device = torch.float32, torch.device("cpu")

    def __init__(self) -> None:
        from transformers import GenerationConfig

        self.generation_config = GenerationConfig()
        self.sizes: list[int] = []

    def generate(
        self, input_ids: Any, generation_config: Any, logits_processor: Any, stopping_criteria: Any, **_: Any
    ) -> None:
        self.sizes.append(len(input_ids))
        if (input_ids == 13).any():
            raise ValueError("13")
        if (input_ids == 14).any():
            raise torch.OutOfMemoryError
        for step in range(generation_config.max_new_tokens):
            scores = torch.zeros(len(input_ids), 50)
            scores[:, step + 1] = 1.0
            logits_processor[0](input_ids, scores)
            if bool(stopping_criteria[0](input_ids, None).all()):
                return
            time.sleep(0.001)


class Numbers:
    """A tokenizer whose words are the ids."""

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, **_: object) -> str:
        del skip_special_tokens
        return "".join(f"{i} " for i in token_ids)


def row_of(prompt: list[int], room: int = 3) -> Row:
    from valley.inference.backends._next_token import NextToken
    from valley.inference.detokenizing import Detokenizer

    inputs = {
        "input_ids": torch.tensor([prompt]),
        "attention_mask": torch.ones(1, len(prompt), dtype=torch.long),
    }
    return Row(inputs, NextToken(GenerationParams()), Detokenizer(Numbers()), room)


def said(row: Row) -> list[Any]:
    pieces: list[Any] = []
    while isinstance(piece := row.said.get(timeout=30), str):
        pieces.append(piece)
    return [*pieces, piece]


def test_what_waits_is_answered_together_and_each_row_ends_by_itself() -> None:
    model = Counting()
    together = Together(model, pad_id=0, stop_ids=frozenset({7}), max_batch_size=8)
    rows = [row_of([5] * (n + 1), room=n + 1) for n in range(6)] + [row_of([5], room=20)]
    for _ in rows:
        together.announce()
    for row in rows:
        together.submit(row)
    assert ["".join(said(row)[:-1]).split() for row in rows] == [
        [str(i) for i in range(1, min(n + 2, 7))] for n in range(6)
    ] + [[str(i) for i in range(1, 7)]]
    assert [row.reason for row in rows] == ["length"] * 6 + ["stop"]
    assert model.sizes == [7]


def test_one_bad_row_fails_alone() -> None:
    together = Together(Counting(), pad_id=0, stop_ids=frozenset(), max_batch_size=8)
    rows = [row_of([n]) for n in (11, 12, 13, 14, 15)]
    for _ in rows:
        together.announce()
    for row in rows:
        together.submit(row)
    ends = [said(row)[-1] for row in rows]
    assert [type(end) for end in ends] == [
        type(None),
        type(None),
        ValueError,
        torch.OutOfMemoryError,
        type(None),
    ]


def test_out_of_memory_is_a_sentence_with_a_cure(folder: Path, clip_files: Path, monkeypatch: Any) -> None:
    backend = open_backend(str(folder), device="cpu")

    def full(**_: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(backend.model, "generate", full)
    with pytest.raises(BackendError, match=r"out of memory on cpu with \d+ prompt tokens, 16 of them visual"):
        ask(backend, Image(str(clip_files / "photo.png")), "What?")


def test_no_thread_is_left_when_nothing_is_asked(backend: Any) -> None:
    ask(backend, "Hello", max_new_tokens=2)
    until = time.monotonic() + 30
    while any(t.name == "valley-batches" for t in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_closed_stream_stops_the_work(folder: Path) -> None:
    backend = open_backend(str(folder), device="cpu")
    stream = backend.stream(Conversation((user("Hello"),)), GenerationParams(max_new_tokens=2000))
    next(stream)
    stream.close()
    started_s = time.monotonic()
    ask(backend, "Hello", max_new_tokens=1)
    assert time.monotonic() - started_s < 20  # two thousand tokens would take longer
