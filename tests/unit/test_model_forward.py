"""The network's forward pass: counts, loss, gradients, dtypes, and errors that tell the cure."""

from __future__ import annotations

import pytest
import torch

from valley.model.placeholders import IMAGE, VIDEO, fill_as_published


@pytest.fixture
def inputs(tiny_processor, make_clip):
    parts = [
        {"type": "image", "image": make_clip(1)[0]},
        {"type": "video", "video": make_clip(2)},
        {"type": "text", "text": "Which way?"},
    ]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "To the right."}]
    return dict(
        tiny_processor.apply_chat_template(
            messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
    )


def test_visual_tokens_are_exactly_what_the_placeholders_embed(tiny_model, inputs):
    inputs.pop("assistant_masks")
    seen = {}
    hook = tiny_model.model.language_model.register_forward_pre_hook(
        lambda _, __, kwargs: seen.update(kwargs), with_kwargs=True
    )
    with torch.no_grad():
        out = tiny_model(**inputs)
    hook.remove()
    types, embeds = inputs["mm_token_type_ids"], seen["inputs_embeds"]
    assert torch.equal(embeds[types == 1], torch.cat(out.image_hidden_states))
    assert torch.equal(embeds[types == 2], torch.cat(out.video_hidden_states))
    words = tiny_model.get_input_embeddings()(inputs["input_ids"])
    assert torch.equal(embeds[types == 0], words[types == 0])


def test_the_loss_is_transformers_own_and_counts_over_accumulated_batches(tiny_model, inputs):
    mask = inputs.pop("assistant_masks").bool()
    labels = inputs["input_ids"].masked_fill(~mask, -100)
    with torch.no_grad():
        out = tiny_model(**inputs, labels=labels)
        logits = out.logits[:, :-1].flatten(0, 1)
        wanted = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten())
        torch.testing.assert_close(out.loss, wanted)
        halved = tiny_model(**inputs, labels=labels, num_items_in_batch=torch.tensor(2 * int(mask.sum())))
    torch.testing.assert_close(halved.loss, wanted / 2)


def test_gradients_reach_every_part(compose_tiny, inputs):
    inputs.pop("assistant_masks")
    model, _ = compose_tiny(temporal_pooling="importance", projector_type="mlp2x_gelu")
    model.train()
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    parts = model.model
    assert parts.vision_tower.embeddings.patch_embedding.weight.grad.abs().sum() > 0
    assert parts.multi_modal_projector.linear_1.weight.grad.abs().sum() > 0
    assert parts.temporal_pooling.pooling_layer.weight.grad.abs().sum() > 0
    assert parts.language_model.embed_tokens.weight.grad.abs().sum() > 0


def test_bfloat16_stays_near_float32(compose_tiny, inputs):
    inputs.pop("assistant_masks")
    model, _ = compose_tiny()
    with torch.no_grad():
        exact = model(**inputs).logits
        rounded = model.bfloat16()(**inputs).logits
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).norm() / exact.norm() < 0.05


def test_only_the_wanted_logits_are_computed(tiny_model, inputs):
    inputs.pop("assistant_masks")
    with torch.no_grad():
        every = tiny_model(**inputs).logits
        torch.testing.assert_close(tiny_model(**inputs, logits_to_keep=1).logits, every[:, -1:])
        kept = tiny_model(**inputs, logits_to_keep=torch.tensor([3, 7])).logits
    torch.testing.assert_close(kept, every[:, [3, 7]])


def test_embeddings_may_be_given_instead_of_ids(tiny_model, inputs):
    inputs.pop("assistant_masks")
    with torch.no_grad():
        wanted = tiny_model(**inputs).logits
        ids = inputs.pop("input_ids")
        embeds = tiny_model.get_input_embeddings()(ids)
        got = tiny_model(**inputs, inputs_embeds=embeds).logits
    assert torch.equal(got, wanted)
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        tiny_model(input_ids=ids, inputs_embeds=embeds)
    with pytest.raises(ValueError, match="want input_ids or mm_token_type_ids"):
        tiny_model(inputs_embeds=embeds, pixel_values=inputs["pixel_values"])


def test_features_are_lists_with_one_tensor_a_medium(tiny_model, inputs):
    with torch.no_grad():
        images = tiny_model.get_image_features(inputs["pixel_values"], return_dict=True).pooler_output
        videos = tiny_model.get_video_features(inputs["pixel_values_videos"], return_dict=True).pooler_output
    assert [t.shape for t in images] == [(17, 64)]
    assert [t.shape for t in videos] == [(18, 64)]


def test_placeholders_and_features_are_counted(tiny_model, inputs):
    inputs.pop("assistant_masks")
    with pytest.raises(ValueError, match="34 image placeholders but 1 images give 17 visual tokens"):
        tiny_model(
            **{
                **inputs,
                "input_ids": inputs["input_ids"].repeat(2, 1),
                "mm_token_type_ids": inputs["mm_token_type_ids"].repeat(2, 1),
                "attention_mask": None,
            }
        )
    with pytest.raises(ValueError, match="18 video placeholders but 0 videos"):
        tiny_model(**{k: v for k, v in inputs.items() if "video" not in k})
    with pytest.raises(ValueError, match="want mm_token_type_ids"):
        tiny_model(**{k: v for k, v in inputs.items() if k != "mm_token_type_ids"})


def test_one_kind_of_media_needs_no_types(tiny_model, tiny_processor, make_clip):
    inputs = tiny_processor(text="<video> and <video>", videos=[make_clip(2), make_clip(3)])
    types = inputs.pop("mm_token_type_ids")
    with torch.no_grad():
        assert torch.equal(tiny_model(**inputs).logits, tiny_model(**inputs, mm_token_type_ids=types).logits)


def test_a_tower_that_gives_other_patches_is_refused(tiny_model):
    old = tiny_model.config.num_prefix_tokens
    tiny_model.config.num_prefix_tokens = 0
    try:
        with pytest.raises(ValueError, match="0 prefix and 16 patch tokens"):
            tiny_model.model.encode_frames(torch.zeros(1, 3, 32, 32))
    finally:
        tiny_model.config.num_prefix_tokens = old


def test_pixels_are_rounded_where_the_checkpoint_says_so(compose_tiny, tiny_model):
    rounded, _ = compose_tiny(pixel_dtype="float16")
    pixels = torch.rand(2, 3, 32, 32) + 1e-4
    torch.testing.assert_close(
        rounded.model.encode_frames(pixels), tiny_model.model.encode_frames(pixels.half().float())
    )
    assert not torch.equal(rounded.model.encode_frames(pixels), tiny_model.model.encode_frames(pixels))
    with pytest.raises(ValueError, match="pixel_dtype: want one of"):
        compose_tiny(pixel_dtype="float8")


START, PATCH, FRAME, WORD = 7, 8, 9, 1
IDS = {"im_start": START, "im_patch": PATCH, "vi_frame": FRAME}


def published(ids, *, videos=None, images=None, types=None):
    """Fill two-patch media, whose tokens are numbered from 10 or 20 on, as the code of 2023 did."""
    ids = torch.tensor(ids)
    filled = fill_as_published(
        torch.zeros(*ids.shape, 1),
        ids,
        None if types is None else torch.tensor(types),
        features={IMAGE: images, VIDEO: videos},
        num_patches=2,
        token_ids=IDS,
    )
    return filled[..., 0].tolist()


def numbered(first, num_frames):
    return torch.arange(first, first + 2 + num_frames).float()[:, None]


def test_as_published_every_tag_gets_the_first_medium_and_frame_tokens_stay_empty():
    two_tags = [[START, PATCH, PATCH, FRAME, FRAME, WORD, START, PATCH, PATCH, FRAME, FRAME]]
    want = [[0, 10, 11, 0, 0, 0, 0, 10, 11, 0, 0]]
    assert published(two_tags, videos=[numbered(10, 2), numbered(20, 2)]) == want
    assert published(two_tags, videos=[numbered(10, 2)]) == want


def test_as_published_frame_tokens_are_filled_where_their_number_fits():
    one_tag = [[START, PATCH, PATCH, FRAME, FRAME]]
    assert published(one_tag, videos=[numbered(10, 2)]) == [[0, 10, 11, 12, 13]]
    assert published(one_tag, videos=[numbered(10, 3)]) == [[0, 10, 11, 0, 0]]


def test_as_published_each_sample_has_its_medium():
    rows = [[WORD, WORD, WORD, WORD], [START, PATCH, PATCH, FRAME], [START, PATCH, PATCH, FRAME]]
    types = [[0] * 4, [0, VIDEO, VIDEO, VIDEO], [0, IMAGE, IMAGE, IMAGE]]
    got = published(rows, videos=[numbered(10, 1)], images=[numbered(20, 1)], types=types)
    assert got == [[0, 0, 0, 0], [0, 10, 11, 12], [0, 20, 21, 22]]
