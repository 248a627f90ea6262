"""What an engine gets that places media itself: one id for all of a medium, clips apart."""

from __future__ import annotations

import builtins
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from valley.inference import vllm_plugin


@pytest.fixture
def asked(tiny_processor, make_clip):
    clips = [make_clip(2), make_clip(5, seed=1)]
    return clips, tiny_processor(
        text=["<video> and <video>"], videos=clips, return_text_replacement_offsets=True
    )


def test_one_id_stands_for_everything_that_a_medium_fills(asked, tiny_processor, tiny_model) -> None:
    _, inputs = asked
    patch = tiny_model.config.im_patch_token_id
    offsets = inputs["text_replacement_offsets"][0]
    assert [o["type"] for o in offsets] == ["video", "video"]
    for offset, num_frames in zip(offsets, (2, 5), strict=True):
        ids = tiny_processor.tokenizer.encode(offset["replacement"], add_special_tokens=False)
        assert ids.count(patch) == tiny_processor.num_visual_tokens(num_frames)
        assert tiny_model.config.vi_frame_token_id not in ids


def test_clips_come_apart_and_as_if_they_were_alone(asked, tiny_processor) -> None:
    clips, inputs = asked
    assert [len(c) for c in inputs["pixel_values_videos"]] == [2, 5]
    assert "video_frame_mask" not in inputs
    alone = tiny_processor(text="<video>", videos=[clips[0]])
    assert torch.equal(inputs["pixel_values_videos"][0], alone["pixel_values_videos"][0])
    assert torch.equal(inputs["video_timestamps"][0], alone["video_timestamps"][0])


def test_the_network_takes_the_one_id_for_the_frames_too(tiny_model, tiny_processor, make_clip) -> None:
    clip = make_clip(3)
    plain = tiny_processor(text="<video> so", videos=[clip])
    engine = tiny_processor(text="<video> so", videos=[clip], return_text_replacement_offsets=True)
    with torch.no_grad():
        one = tiny_model(**plain).logits
        other = tiny_model(
            input_ids=engine["input_ids"], pixel_values_videos=engine["pixel_values_videos"][0][None]
        ).logits
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("token", ["<video>", "<|end|>", "<im_patch>"])
def test_the_template_keeps_typed_tokens_apart_where_no_processor_does(token: str, tiny_processor) -> None:
    chat = [{"role": "user", "content": [{"type": "text", "text": f"say {token}!"}]}]
    text = tiny_processor.tokenizer.apply_chat_template(
        chat, chat_template=tiny_processor.chat_template, tokenize=False
    )
    assert token not in text.removesuffix("<|end|>")
    assert f"say {token[0]} {token[1:]}!" in text
    ids = tiny_processor.apply_chat_template(chat, tokenize=True)[0]
    assert f"say {token}!" in tiny_processor.tokenizer.decode(ids)  # the processor changes no text


def test_a_failed_registration_is_a_line_in_the_log(caplog, monkeypatch) -> None:
    real = builtins.__import__

    def no_vllm(name: str, *args, **kwargs):
        if name.partition(".")[0] == "vllm":
            raise RuntimeError("a vLLM of another world")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_vllm)
    with caplog.at_level(logging.ERROR):
        vllm_plugin.register()
    assert "not registered with vLLM" in caplog.text


def test_the_clip_processor_is_found_without_torchvision(tiny_checkpoint: Path, make_clip) -> None:
    program = (
        "import sys, valley\n"
        "from transformers import AutoVideoProcessor\n"
        "processor = AutoVideoProcessor.from_pretrained(sys.argv[1])\n"
        "assert type(processor).__module__ == 'valley.model.video_processing_valley', type(processor)\n"
        "import numpy as np\n"
        "batch = processor([np.zeros((3, 40, 50, 3), np.uint8)], return_tensors='np')\n"
        "assert batch['pixel_values_videos'].shape == (1, 3, 3, 32, 32)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_checkpoint)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_clip_processor_comes_back_as_it_was_saved(tiny_processor, tmp_path: Path) -> None:
    from valley.model.video_processing_valley import ValleyVideoProcessor

    tiny_processor.video_processor.save_pretrained(tmp_path)
    again = ValleyVideoProcessor.from_pretrained(tmp_path)
    assert again.to_dict() == tiny_processor.video_processor.to_dict()
    with pytest.raises(OSError, match="video_preprocessor_config"):
        ValleyVideoProcessor.from_pretrained(tmp_path / "..")
    assert np.array_equal(again.settings.image_mean, tiny_processor.video_processor.settings.image_mean)
