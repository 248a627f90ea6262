"""A plan counts what the processor and the weights really take, and loads no weight."""

import json
import struct

import pytest
import torch

from valley.conversation import Image, Video
from valley.errors import ConfigError
from valley.inference.backends.transformers import TransformersBackend
from valley.inference.planning import kv_cache_bytes, make_plan
from valley.inference.resolving import resolve
from valley.inference.valley import Valley
from valley.inference.weights import count_parameters, fingerprint, read_header
from valley.video.sampling import FrameSampling


@pytest.mark.parametrize(
    ("pooling", "options"), [("mean", {}), ("chunk", {"frames_per_chunk": 3}), ("none", {})]
)
def test_planned_tokens_are_the_processors(clip_files, compose_tiny, tmp_path, pooling, options):
    model, processor = compose_tiny(temporal_pooling=pooling, temporal_pooling_config=options)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    media = [
        Video(str(clip_files / "a.mp4")),
        Image(str(clip_files / "photo.png")),
        Video(str(clip_files / "b.mp4"), 1.0),
    ]
    for sampling in (None, FrameSampling(fps=4.0), FrameSampling(num_frames=3)):
        plan = make_plan(str(tmp_path), media, question="what?", sampling=sampling)
        answer = Valley(TransformersBackend(model, processor)).answer(
            [*media, "what?"], sampling=sampling, max_new_tokens=1
        )
        assert (plan.prompt_tokens, plan.visual_tokens) == (answer.usage.prompt, answer.usage.visual)
        assert [m.timestamps_s for m in plan.media] == [m.timestamps_s for m in answer.media]
        assert sum(m.visual_tokens for m in plan.media) == plan.visual_tokens


def test_no_weight_is_read(clip_files, tiny_checkpoint, tmp_path):
    """The weights' bytes may be absent: the headers are enough."""
    folder = tmp_path / "hollow"
    folder.mkdir()
    for file in tiny_checkpoint.iterdir():
        data = file.read_bytes()
        if file.suffix == ".safetensors":
            data = data[: 8 + struct.unpack("<Q", data[:8])[0]]
        (folder / file.name).write_bytes(data)
    plan = make_plan(str(folder), [Video(str(clip_files / "a.mp4"))])
    assert plan.weights_bytes > 0


def test_memory_is_counted(tiny_model, tiny_checkpoint):
    counted = count_parameters(resolve(str(tiny_checkpoint)))
    assert counted.num_parameters == sum(t.numel() for t in tiny_model.state_dict().values())
    assert counted.dtype == "float32"
    out = tiny_model(input_ids=torch.ones(1, 10, dtype=torch.long), use_cache=True)
    held = sum(t.nbytes for layer in out.past_key_values.layers for t in (layer.keys, layer.values))
    assert kv_cache_bytes(tiny_model.config, 10, 4) == held


def test_half_precision_takes_half(tiny_checkpoint):
    full, half = (make_plan(str(tiny_checkpoint), [], dtype=d, device="cpu") for d in ("float32", "bfloat16"))
    assert full.kv_cache_bytes == 2 * half.kv_cache_bytes
    assert full.weights_bytes == 2 * half.weights_bytes


def test_what_does_not_fit_is_told_with_a_cure_that_works(clip_files, tiny_checkpoint, tmp_path):
    for file in tiny_checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 60
    (tmp_path / "config.json").write_text(json.dumps(config))
    video = Video(str(clip_files / "a.mp4"))
    plan = make_plan(str(tmp_path), [video], sampling=FrameSampling(num_frames=24), max_new_tokens=20)
    assert not plan.fits_context
    assert plan.cure.startswith("try --num-frames ")
    fewer = int(plan.cure.rpartition(" ")[2])
    for frames, fits in ((fewer, True), (fewer + 1, False)):
        again = make_plan(
            str(tmp_path), [video], sampling=FrameSampling(num_frames=frames), max_new_tokens=20
        )
        assert again.fits_context is fits


def test_damaged_headers(tmp_path):
    path = tmp_path / "model.safetensors"
    for data in (b"", b"version https://git-lfs.github.com/spec/v1\n", struct.pack("<Q", 5) + b"{nope"):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=r"model\.safetensors"):
            read_header(path)


def test_the_fingerprint_changes_with_the_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"a")
    before = fingerprint(resolve(str(tmp_path)))
    (tmp_path / "model.safetensors").write_bytes(b"ab")
    assert fingerprint(resolve(str(tmp_path))) != before
