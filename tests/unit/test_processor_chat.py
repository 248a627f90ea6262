"""The processor's inputs: counts, shapes, times, forms of media, saving, and errors that tell the cure."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from valley.conversation import Conversation, Text, Video, assistant, user
from valley.errors import MediaError
from valley.model.errors_valley import PromptError
from valley.model.pixel_settings import PixelSettings, rgb_array
from valley.model.processing_valley import ValleyProcessor
from valley.video.frames import Frames

P = 16  # patches of the tiny tower


def encode(processor, messages, **kwargs):
    return processor.apply_chat_template(messages, tokenize=True, return_dict=True, **kwargs)


def ask(part):
    return [{"role": "user", "content": [part, {"type": "text", "text": "What?"}]}]


def test_inputs_have_the_names_and_shapes_of_hugging_face(tiny_processor, make_clip):
    parts = [
        {"type": "image", "image": make_clip(1)[0]},
        {"type": "video", "video": make_clip(3)},
        {"type": "video", "video": make_clip(5)},
    ]
    inputs = encode(tiny_processor, [{"role": "user", "content": parts}])
    assert inputs["pixel_values"].shape == (1, 3, 32, 32)
    assert inputs["pixel_values_videos"].shape == (2, 5, 3, 32, 32)
    assert inputs["video_frame_mask"].sum(1).tolist() == [3, 5]
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == inputs["mm_token_type_ids"].shape
    types = inputs["mm_token_type_ids"]
    assert [int((types == kind).sum()) for kind in (1, 2)] == [P + 1, 2 * P + 8]
    assert set(inputs) <= set(tiny_processor.model_input_names)


@pytest.mark.parametrize(
    ("pooling", "options", "num_frames", "wanted"),
    [("mean", {}, 8, P + 8), ("none", {}, 3, 3 * P + 3), ("chunk", {"frames_per_chunk": 2}, 5, 3 * P + 5)],
)
def test_tokens_are_counted_before_anything_is_read(
    compose_tiny, make_clip, pooling, options, num_frames, wanted
):
    _, processor = compose_tiny(temporal_pooling=pooling, temporal_pooling_config=options)
    assert processor.num_visual_tokens(num_frames) == wanted
    inputs = encode(processor, ask({"type": "video", "video": make_clip(num_frames)}))
    assert int((inputs["mm_token_type_ids"] == 2).sum()) == wanted
    sizes = processor._get_num_multimodal_tokens(image_sizes=[(9, 9)], video_sizes=[(num_frames, 9, 9)])
    assert sizes.num_video_tokens == [wanted]
    assert sizes.num_image_tokens == [P + 1]


def test_chunks_say_their_times_in_words(compose_tiny, make_clip):
    _, processor = compose_tiny(temporal_pooling="chunk", temporal_pooling_config={"frames_per_chunk": 2})
    frames = Frames.from_arrays(make_clip(3), np.array([0.0, 1.25, 12.0]))
    text = processor.tokenizer.decode(
        encode(processor, ask({"type": "video", "video": frames}))["input_ids"][0]
    )
    assert f"<im_start>0.0s {'<im_patch>' * P}12.0s {'<im_patch>' * P}<im_end>" in text
    one = encode(processor, ask({"type": "video", "video": frames.pixels[:2]}))
    assert "<im_start><im_patch>" in processor.tokenizer.decode(one["input_ids"][0])


def test_frames_keep_their_true_times(tiny_processor, make_clip):
    frames = Frames.from_arrays(make_clip(3), np.array([0.0, 0.5, 7.25]))
    inputs = encode(
        tiny_processor, ask({"type": "video", "video": frames}), processor_kwargs={"return_metadata": True}
    )
    assert inputs["video_timestamps"][0].tolist() == [0.0, 0.5, 7.25]
    assert inputs["video_metadata"][0]["timestamps_s"] == [0.0, 0.5, 7.25]


def test_metadata_gives_times_to_frames_that_have_none(tiny_processor, make_clip):
    inputs = tiny_processor(
        text="<video>", videos=[make_clip(3)], video_metadata=[{"fps": 10.0, "frames_indices": [0, 5, 20]}]
    )
    torch.testing.assert_close(inputs["video_timestamps"][0], torch.tensor([0.0, 0.5, 2.0]))


@pytest.mark.parametrize("kwargs", [{"num_frames": 2}, {"fps": 0.5}])
def test_frames_in_memory_are_sampled_on_request(tiny_processor, make_clip, kwargs):
    inputs = encode(tiny_processor, ask({"type": "video", "video": make_clip(4)}), processor_kwargs=kwargs)
    assert inputs["pixel_values_videos"].shape[1] == 2


def test_a_video_file_is_decoded_and_sampled(tiny_processor, make_clip, tmp_path):
    from valley.video.encoding import write_video

    path = tmp_path / "clip.mp4"
    write_video(path, make_clip(10, 64, 64), fps=5)
    part = {"type": "video", "path": str(path), "start_s": 0.5, "end_s": 1.5}
    inputs = encode(tiny_processor, ask(part), processor_kwargs={"num_frames": 3})
    times = inputs["video_timestamps"][0]
    assert len(times) == 3
    assert times[0] >= 0.5
    assert times[-1] <= 1.5
    whole = encode(tiny_processor, ask({"type": "video", "video": str(path)}))
    assert whole["pixel_values_videos"].shape[1] == 8
    with pytest.raises(MediaError, match=r"no_such\.mp4"):
        encode(tiny_processor, ask({"type": "video", "path": str(tmp_path / "no_such.mp4")}))


def test_subtitles_go_into_the_prompt_as_text(tiny_processor, make_clip, tmp_path):
    from valley.video.encoding import write_video

    path = tmp_path / "clip.mp4"
    write_video(path, make_clip(10, 64, 64), fps=5)
    path.with_suffix(".srt").write_text("1\n00:00:00,500 --> 00:00:01,000\nHello there\n")
    part = {"type": "video", "path": str(path), "subtitles": "auto"}
    ids = encode(tiny_processor, ask(part))["input_ids"][0]
    assert "] Hello there" in tiny_processor.tokenizer.decode(ids)


def test_a_conversation_record_is_its_messages(tiny_processor, make_clip, tmp_path):
    from valley.video.encoding import write_video

    path = tmp_path / "clip.mp4"
    write_video(path, make_clip(4, 64, 64), fps=5)
    record = Conversation((user(Video(str(path)), Text("What?")), assistant("Noise.")))
    messages = [*ask({"type": "video", "path": str(path)}), {"role": "assistant", "content": "Noise."}]
    assert torch.equal(
        encode(tiny_processor, record)["input_ids"], encode(tiny_processor, messages)["input_ids"]
    )


def test_pictures_come_as_files_arrays_and_pillow_images(tiny_processor, make_clip, tmp_path):
    array = make_clip(1)[0]
    Image.fromarray(array).save(tmp_path / "picture.png")
    forms = [
        {"type": "image", "image": array},
        {"type": "image", "image": Image.fromarray(array)},
        {"type": "image", "path": str(tmp_path / "picture.png")},
        {"type": "image_url", "image_url": {"url": f"file://{tmp_path / 'picture.png'}"}},
    ]
    pixels = [encode(tiny_processor, ask(form))["pixel_values"] for form in forms]
    assert all(torch.equal(p, pixels[0]) for p in pixels)


@pytest.mark.parametrize("nested", [False, True])
def test_a_prompt_written_by_hand_is_filled_in_order(tiny_processor, make_clip, nested):
    videos = [make_clip(2), [Image.fromarray(f) for f in make_clip(3)]]
    inputs = tiny_processor(
        text=["a <video> b", "c <video><image>"],
        images=[[], [make_clip(1)[0]]] if nested else make_clip(1)[0],
        videos=[[v] for v in videos] if nested else videos,
    )
    assert inputs["video_frame_mask"].sum(1).tolist() == [2, 3]
    assert (inputs["mm_token_type_ids"] == 2).sum(1).tolist() == [P + 2, P + 3]
    assert (inputs["mm_token_type_ids"] == 1).sum(1).tolist() == [0, P + 1]


def test_media_spans_enclose_each_medium(tiny_processor, make_clip):
    ids = tiny_processor(text="a <video> b <image>", videos=[make_clip(2)], images=[make_clip(1)[0]])[
        "input_ids"
    ][0]
    spans = tiny_processor.media_spans(ids.tolist())
    assert [end - start for start, end in spans] == [P + 2 + 4, P + 1 + 4]


def test_the_template_opens_the_assistants_turn(tiny_processor):
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    text = tiny_processor.apply_chat_template(messages, add_generation_prompt=True)
    assert text == "<|system|>s<|end|><|user|>u<|end|><|assistant|>"
    assert (
        tiny_processor.apply_chat_template([messages, messages]) == [text.removesuffix("<|assistant|>")] * 2
    )


def test_the_assistants_words_are_marked_in_every_turn(tiny_processor, make_clip):
    messages = [
        *ask({"type": "video", "video": make_clip(2)}),
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "Two."},
    ]
    inputs = encode(tiny_processor, messages, return_assistant_tokens_mask=True)
    said = inputs["input_ids"][0][inputs["assistant_masks"][0].bool()]
    assert tiny_processor.tokenizer.decode(said) == "One.<|end|>Two.<|end|>"


def test_rows_are_padded_on_either_side_and_to_multiples(tiny_processor):
    chats = [[{"role": "user", "content": "a"}], [{"role": "user", "content": "a longer one"}]]
    left = encode(tiny_processor, chats, processor_kwargs={"pad_to_multiple_of": 8})
    right = encode(tiny_processor, chats, processor_kwargs={"pad_to_multiple_of": 8, "padding_side": "right"})
    assert left["input_ids"].shape[1] % 8 == 0
    assert left["attention_mask"][0, 0] == 0
    assert right["attention_mask"][0, 0] == 1
    lists = encode(tiny_processor, chats, return_tensors=None, processor_kwargs={"padding": False})
    assert [len(row) for row in lists["input_ids"]] == left["attention_mask"].sum(1).tolist()
    with pytest.raises(PromptError, match="without padding"):
        encode(tiny_processor, chats, processor_kwargs={"padding": False})


def test_saved_and_loaded_it_gives_the_same_inputs(tiny_processor, tiny_checkpoint, make_clip):
    messages = ask({"type": "video", "video": make_clip(3, 40, 60)})
    wanted = encode(tiny_processor, messages)
    for cls in (ValleyProcessor, AutoProcessor):
        loaded = cls.from_pretrained(tiny_checkpoint)
        got = encode(loaded, messages)
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)
        assert loaded.to_dict() == tiny_processor.to_dict()
    for_vllm = json.loads((tiny_checkpoint / "video_preprocessor_config.json").read_text())
    assert for_vllm["video_processor_type"] == "ValleyVideoProcessor"
    assert for_vllm["num_frames"] == 8
    saved = json.loads((tiny_checkpoint / "processor_config.json").read_text())
    assert {"image_processor", "video_processor", "processor_class"} <= set(saved)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"content": "x"}], "'role' and 'content'"),
        ([{"role": "user", "content": [{"text": "x"}]}], "a part with a 'type'"),
        ([{"role": "user", "content": [{"type": "text"}]}], "text part with a 'text'"),
        ([{"role": "user", "content": [{"type": "video"}]}], "exactly one of video, path, url"),
        (
            [{"role": "user", "content": [{"type": "video", "url": "https://x.org/a.mp4"}]}],
            "download it first",
        ),
        ([{"role": "user", "content": [{"type": "video", "video": [1, 2]}]}], "want a clip"),
        ("just words", "want messages or a Conversation"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(tiny_processor, messages, said):
    with pytest.raises(PromptError, match=said):
        encode(tiny_processor, messages)


def test_media_and_placeholders_must_agree(tiny_processor, make_clip):
    with pytest.raises(PromptError, match="has 2 <video> but 1 videos"):
        tiny_processor(text="<video><video>", videos=[make_clip(2)])
    with pytest.raises(PromptError, match="has 1 <image> but 0 images"):
        tiny_processor(text="<image>")


def test_unknown_options_name_the_nearest(tiny_processor):
    with pytest.raises(PromptError, match="'num_frame'; did you mean 'num_frames'"):
        tiny_processor(text="x", num_frame=3)


@pytest.mark.parametrize(("rounding", "corner_px"), [("down", 1), ("even", 2)])
def test_a_crop_between_two_pixels_is_rounded(rounding, corner_px):
    frame = np.zeros((1, 11, 8, 3), np.uint8)
    frame[0, corner_px] = 255  # the row that becomes the first
    settings = PixelSettings(
        size={"height": 11, "width": 8},
        crop_size={"height": 8, "width": 8},
        image_mean=(0.0,) * 3,
        image_std=(1.0,) * 3,
        crop_rounding=rounding,
    )
    assert settings(frame)[0, 0].mean(1).tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert PixelSettings.from_dict(settings.to_dict()) == settings


def test_pictures_are_resized_across_and_then_down():
    """As the Pillow of 2023 did, which later ones do only where it is cheaper."""
    picture = np.random.default_rng(0).integers(0, 255, (331, 219, 3), dtype=np.uint8)
    settings = PixelSettings(size={"height": 224, "width": 224}, image_mean=(0.0,) * 3, image_std=(1.0,) * 3)
    across = Image.fromarray(picture).resize((224, 331), Image.Resampling.BICUBIC)
    wanted = np.asarray(across.resize((224, 224), Image.Resampling.BICUBIC))
    got = np.rint(settings(picture[None])[0].transpose(1, 2, 0) * 255)
    assert (got == wanted).all()


def test_pixels_are_resized_cropped_and_normalised():
    settings = PixelSettings(
        size={"shortest_edge": 4},
        crop_size={"height": 4, "width": 4},
        image_mean=(0.5,) * 3,
        image_std=(0.5,) * 3,
    )
    frames = np.zeros((2, 4, 8, 3), dtype=np.uint8)
    frames[:, :, 2:6] = 255
    assert (settings(frames) == 1.0).all()
    assert settings(np.zeros((1, 8, 20, 3), dtype=np.uint8)).shape == (1, 3, 4, 4)
    assert PixelSettings.from_dict(settings.to_dict()) == settings
    squashed = PixelSettings(size={"height": 4, "width": 4})
    assert squashed(frames).shape == (2, 3, 4, 4)
    old = PixelSettings.from_dict(
        {"size": 224, "crop_size": 224, "feature_extractor_type": "CLIPFeatureExtractor"}
    )
    assert (old.size, old.crop_size) == ({"shortest_edge": 224}, {"height": 224, "width": 224})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": {"longest_edge": 4}}, "'shortest_edge', or"),
        ({"size": {"shortest_edge": 4}}, "give a crop_size"),
        ({"size": {"shortest_edge": 4}, "crop_size": {"height": 8, "width": 8}}, "exceeds"),
        ({"size": {"height": 4, "width": 4}, "do_normalize": False}, "do_normalize"),
    ],
)
def test_pixel_settings_that_contradict_themselves_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        PixelSettings.from_dict(settings)


def test_alpha_is_laid_over_white_and_floats_are_refused():
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    assert (rgb_array(clear) == 255).all()
    with pytest.raises(ValueError, match="want a picture as u8"):
        rgb_array(np.zeros((2, 2, 3)))
