"""With `frame_times` a prompt says when each frame of a clip is shown, and all is still counted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from valley import Image, Valley, Video
from valley.conversation import Conversation, assistant, user
from valley.errors import BackendError, ConfigError
from valley.inference.backends.transformers import TransformersBackend
from valley.inference.planning import make_plan
from valley.model.processing_valley import ValleyProcessor
from valley.model.visual_layout import VISUAL_TOKENS, VisualLayout
from valley.training.assembly import load_or_compose
from valley.training.config import ModelSettings, make_config
from valley.training.labelling import IGNORED_LABEL
from valley.training.labelling import encode as encode_sample
from valley.training.media import Sample
from valley.video.frames import Frames
from valley.video.sampling import FrameSampling

P = 16  # patches of the tiny tower
TIMED = "0.0s<vi_frame>0.6s<vi_frame>12.4s<vi_frame>"
TIMES = np.array([0.0, 0.6, 12.4])


@pytest.fixture(scope="module")
def timed(compose_tiny):
    """A model and its processor that tells times; shared."""
    return compose_tiny(frame_times=True)


@pytest.fixture
def frames(make_clip):
    return Frames.from_arrays(make_clip(3), TIMES)


def encode(processor, *parts, **kwargs):
    content = [{"type": "text", "text": p} if isinstance(p, str) else p for p in parts]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, return_dict=True, **kwargs
    )


def video(frames):
    return {"type": "video", "video": frames}


def layout(pooling="mean", options=None, *, frame_times=True):
    return VisualLayout(pooling, options or {}, 2, VISUAL_TOKENS, frame_times)


def test_each_frame_of_a_clip_is_preceded_by_its_time():
    assert layout().expansion([0.0, 0.6, 12.4]) == (
        f"<im_start><im_patch><im_patch><im_end><vi_start>{TIMED}<vi_end>"
    )
    assert layout().expansion([3.0]).endswith("<vi_start>3.0s<vi_frame><vi_end>")


def test_chunks_keep_their_own_times():
    assert layout("chunk", {"frames_per_chunk": 2}).expansion([0.0, 0.6, 12.4]) == (
        f"<im_start>0.0s <im_patch><im_patch>12.4s <im_patch><im_patch><im_end><vi_start>{TIMED}<vi_end>"
    )


def test_a_picture_has_no_time():
    picture = "<im_start><im_patch><im_patch><im_end><vi_start><vi_frame><vi_end>"
    assert layout().picture_expansion() == layout(frame_times=False).picture_expansion() == picture


def test_the_default_is_the_published_layout(tiny_processor, frames):
    assert not tiny_processor.frame_times
    text = tiny_processor.tokenizer.decode(encode(tiny_processor, video(frames))["input_ids"][0])
    published = f"<im_start>{'<im_patch>' * P}<im_end><vi_start>{'<vi_frame>' * 3}<vi_end>"
    assert text == f"<|user|>{published}<|end|>"


def test_words_are_no_placeholders(timed, frames, make_clip):
    _, processor = timed
    picture = {"type": "image", "image": make_clip(1)[0]}
    inputs = encode(processor, video(frames), picture, "What?")
    ids, types = inputs["input_ids"][0], inputs["mm_token_type_ids"][0]
    decode = processor.tokenizer.decode
    patches = "<im_patch>" * P
    assert decode(ids) == (
        f"<|user|><im_start>{patches}<im_end><vi_start>{TIMED}<vi_end>"
        f"<im_start>{patches}<im_end><vi_start><vi_frame><vi_end>What?<|end|>"
    )
    assert decode(ids[types == 2]) == patches + "<vi_frame>" * 3
    assert decode(ids[types == 1]) == patches + "<vi_frame>"
    (start, end), (_, last) = processor.media_spans(ids.tolist())
    assert decode(ids[start:end]).endswith(f"{TIMED}<vi_end>")
    assert decode(ids[last:]) == "What?<|end|>"


@pytest.mark.parametrize(
    ("pooling", "options"), [("mean", {}), ("chunk", {"frames_per_chunk": 3}), ("none", {})]
)
@pytest.mark.parametrize("frame_times", [True, False])
@pytest.mark.parametrize(("num_frames", "fps"), [(1, 1.0), (5, 25.0), (8, 0.4), (24, 3.0)])
def test_the_tokens_of_a_clip_are_counted(
    compose_tiny, make_clip, pooling, options, frame_times, num_frames, fps
):
    _, processor = compose_tiny(
        temporal_pooling=pooling, temporal_pooling_config=options, frame_times=frame_times
    )
    times = np.arange(num_frames) / fps
    inputs = encode(processor, "a", video(Frames.from_arrays(make_clip(num_frames), times)), "b")
    ids = inputs["input_ids"][0].tolist()
    [(start, end)] = processor.media_spans(ids)
    assert processor.num_clip_tokens(times) == end - start
    assert int((inputs["mm_token_type_ids"] == 2).sum()) == processor.num_visual_tokens(num_frames)
    said = processor.tokenizer.decode(ids).partition("<vi_start>")[2].partition("<vi_end>")[0]
    words = [f"{t:.1f}s" if frame_times else "" for t in times.astype(np.float32)]
    assert said.split("<vi_frame>") == [*words, ""]


def test_a_serving_engine_writes_the_same_words(timed, make_clip):
    """It has the times as float32, where 0.45 is rounded down; the prompt must say the same."""
    _, processor = timed
    clips = [Frames.from_arrays(make_clip(2), np.array([0.0, t])) for t in (0.45, 1.15)]
    clips.append(Frames.from_arrays(make_clip(1), np.array([7.0])))
    inputs = encode(processor, *map(video, clips))
    text = processor.tokenizer.decode(inputs["input_ids"][0])
    assert text == f"<|user|>{''.join(processor.replace_video_token(inputs, i) for i in range(3))}<|end|>"


def test_the_choice_is_saved(timed, frames, tmp_path):
    _, processor = timed
    processor.save_pretrained(tmp_path)
    again = ValleyProcessor.from_pretrained(tmp_path)
    assert again.frame_times is True
    assert torch.equal(
        encode(again, video(frames))["input_ids"], encode(processor, video(frames))["input_ids"]
    )
    path = tmp_path / "processor_config.json"
    settings = json.loads(path.read_text())
    assert settings.pop("frame_times") is True
    path.write_text(json.dumps(settings))  # as files were before there was a choice
    assert ValleyProcessor.from_pretrained(tmp_path).frame_times is False


@pytest.mark.parametrize("side", ["left", "right"])
def test_cutting_takes_no_time_words(timed, frames, side):
    _, processor = timed
    whole = encode(processor, "abcdefgh", video(frames), "ijklmnop")["input_ids"][0]
    processor.tokenizer.truncation_side = side
    try:
        cut = encode(
            processor,
            "abcdefgh",
            video(frames),
            "ijklmnop",
            processor_kwargs={"truncation": True, "max_length": len(whole) - 10},
        )
    finally:
        processor.tokenizer.truncation_side = "right"
    assert cut["input_ids"].shape[1] == len(whole) - 10
    assert f"<vi_start>{TIMED}<vi_end>" in processor.tokenizer.decode(cut["input_ids"][0])


def test_time_words_carry_no_labels(timed, frames):
    _, processor = timed
    conversation = Conversation((user(Video("a.mp4"), "When?"), assistant("At 0.6s.")))
    row = encode_sample(processor, Sample(conversation, (frames,)))
    assert TIMED in processor.tokenizer.decode(row["input_ids"])
    learned = row["input_ids"][row["labels"] != IGNORED_LABEL]
    assert processor.tokenizer.decode(learned) == "At 0.6s.<|end|>"


def test_visual_tokens_stand_at_their_own_places(timed, frames):
    """The same network, filled by hand at the placeholders, gives the same logits."""
    model, processor = timed
    inputs = encode(processor, video(frames), "When?")
    with torch.inference_mode():
        got = model(**inputs).logits
        media = {k: inputs[k] for k in ("pixel_values_videos", "video_frame_mask", "video_timestamps")}
        tokens = model.get_video_features(**media).pooler_output[0]
        embeds = model.get_input_embeddings()(inputs["input_ids"])
        embeds[inputs["mm_token_type_ids"] == 2] = tokens
        wanted = model(inputs_embeds=embeds, attention_mask=inputs["attention_mask"]).logits
        other = encode(
            processor, video(Frames.from_arrays(frames.pixels, TIMES + np.array([0, 1, 1]))), "When?"
        )
        later = model(**other).logits
    torch.testing.assert_close(got, wanted)
    assert got.shape == later.shape
    assert not torch.allclose(got[0, -1], later[0, -1])


def test_the_words_are_those_of_generate(timed, clip_files):
    model, processor = timed
    conversation = Conversation(
        (
            user(Video(str(clip_files / "a.mp4")), "What is here?"),
            assistant("A square."),
            user(Image(str(clip_files / "photo.png")), "And?"),
        )
    )
    inputs = processor.apply_chat_template(
        conversation, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    ids = model.generate(**inputs, do_sample=False, max_new_tokens=12)
    wanted = processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    got = Valley(TransformersBackend(model, processor)).answer(conversation, max_new_tokens=12).answer
    assert got == wanted.rstrip("\ufffd")


def test_reuse_changes_no_word(timed, clip_files):
    valley = Valley(TransformersBackend(*timed))
    chat = valley.chat(Video(str(clip_files / "a.mp4")), max_new_tokens=12)
    for question in ("Which way?", "When?", "What colour?"):
        wanted = Valley(TransformersBackend(*timed)).answer(
            Conversation((*chat.turns, user(*chat.pending, question))), max_new_tokens=12
        )
        assert "".join(chat.ask(question)) == wanted.answer
        chat.pending.append(Video(str(clip_files / "b.mp4"), 1.0))


@pytest.mark.parametrize("sampling", [None, FrameSampling(fps=4.0), FrameSampling(num_frames=3)])
def test_a_plan_counts_the_words(timed, clip_files, tmp_path, sampling):
    model, processor = timed
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    media = [Video(str(clip_files / "a.mp4")), Image(str(clip_files / "photo.png"))]
    plan = make_plan(str(tmp_path), media, question="When?", sampling=sampling)
    answer = Valley(TransformersBackend(model, processor)).answer(
        [*media, "When?"], sampling=sampling, max_new_tokens=1
    )
    assert (plan.prompt_tokens, plan.visual_tokens) == (answer.usage.prompt, answer.usage.visual)


def test_the_cure_counts_the_words(compose_tiny, clip_files, tmp_path):
    model, processor = compose_tiny(frame_times=True)
    model.config.text_config.max_position_embeddings = 120
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    clip = Video(str(clip_files / "a.mp4"))

    def plan(num_frames: int):
        sampling = FrameSampling(num_frames=num_frames)
        return make_plan(str(tmp_path), [clip], sampling=sampling, max_new_tokens=20)

    long = plan(24)
    fewer = int(long.cure.rpartition(" ")[2])
    assert not long.fits_context
    assert plan(fewer).fits_context
    assert not plan(fewer + 1).fits_context
    with pytest.raises(BackendError, match=r"try --num-frames \d+"):
        Valley(TransformersBackend(model, processor)).answer(
            [clip, "What?"], sampling=FrameSampling(num_frames=24), max_new_tokens=20
        )


def test_a_recipe_sets_it_where_a_model_is_composed(tiny_parts, tmp_path):
    tokenizer = tiny_parts.tokenizer()
    tiny_parts.tower().save_pretrained(tmp_path / "tower")
    for part in (tokenizer, tiny_parts.llm(len(tokenizer))):
        part.save_pretrained(tmp_path / "words")
    parts = ModelSettings(vision_tower=str(tmp_path / "tower"), language_model=str(tmp_path / "words"))
    assert load_or_compose(parts)[1].frame_times is False
    timed = parts.model_copy(update={"frame_times": True})
    assert load_or_compose(timed)[1].frame_times is True


def test_a_checkpoint_has_decided_already():
    fields = {"stage": "align", "model": {"checkpoint": "x", "frame_times": True}, "output_dir": "out"}
    data = {"synthetic": {"kind": "captions", "num_samples": 1}}
    with pytest.raises(ConfigError, match="checkpoint already decides frame_times"):
        make_config({**fields, "data": data})
