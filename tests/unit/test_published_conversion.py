"""Checkpoints of 2023 become today's: whole, sharded, as differences, with adapters; nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from valley.cli import run
from valley.errors import ConfigError
from valley.model.checkpoint_files import ShardWriter
from valley.model.convert_valley_weights import convert
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor

pytest.importorskip("sentencepiece", reason="the extra 'convert' is not installed")
import published


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    return published.write_tower(tmp_path / "tower")


def make(tmp_path: Path, pooling: str = "mean", **changes: Any) -> Path:
    return published.write(tmp_path / "source", published.weights(pooling), **changes)


@pytest.mark.parametrize("pooling", ["mean", "importance", "transformer"])
def test_every_weight_arrives(pooling: str, tmp_path: Path, tower: Path) -> None:
    source = make(tmp_path, pooling)
    seen: list[tuple[int, int]] = []
    made = convert(source, tmp_path / "out", vision_tower=tower, on_weight=lambda *s: seen.append(s))
    model = ValleyForConditionalGeneration.from_pretrained(made.folder, dtype=torch.float32)
    given = torch.load(source / "pytorch_model.bin", weights_only=True)
    ours = model.state_dict()
    assert made.config.temporal_pooling == pooling
    assert made.num_weights == len(ours) == len(given) - 1
    assert made.unread == ("model.layers.0.self_attn.rotary_emb.inv_freq",)
    assert seen[-1] == (len(ours), len(ours))
    assert sorted(float(t.double().sum()) for t in ours.values()) == sorted(
        float(t.double().sum()) for n, t in given.items() if "inv_freq" not in n
    )
    assert torch.equal(
        ours["model.multi_modal_projector.linear_1.weight"], given["model.mm_projector.weight"].float()
    )
    assert model.config.pixel_dtype == "float16"
    assert model.config.vision_feature_layer == -2
    assert not (tmp_path / "out.part").exists()


def test_shards_and_safetensors_give_the_same(tmp_path: Path, tower: Path) -> None:
    source = make(tmp_path)
    convert(source, tmp_path / "one", vision_tower=tower)
    tensors = torch.load(source / "pytorch_model.bin", weights_only=True)
    names = sorted(tensors)
    places = {name: f"pytorch_model-{1 + i % 2:05d}-of-00002.bin" for i, name in enumerate(names)}
    for shard in set(places.values()):
        torch.save({n: tensors[n] for n in names if places[n] == shard}, source / shard)
    (source / "pytorch_model.bin").unlink()
    (source / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    convert(source, tmp_path / "two", vision_tower=tower)
    save_file({n: t.contiguous() for n, t in tensors.items()}, source / "model.safetensors")
    convert(source, tmp_path / "three", vision_tower=tower)
    first, *others = (load_file(tmp_path / n / "model.safetensors") for n in ("one", "two", "three"))
    for other in others:
        assert first.keys() == other.keys()
        assert all(torch.equal(first[name], other[name]) for name in first)


def test_what_does_not_fit_is_listed_whole(tmp_path: Path, tower: Path) -> None:
    tensors = published.weights()
    del tensors["model.norm.weight"], tensors["model.mm_projector.bias"]
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:5]
    source = published.write(tmp_path / "source", tensors)
    with pytest.raises(ConfigError) as caught:
        convert(source, tmp_path / "out", vision_tower=tower)
    told = str(caught.value)
    assert (
        "2 missing weights: model.language_model.norm.weight; model.multi_modal_projector.linear_1.bias"
        in told
    )
    assert "lm_head.weight: want (326, 32), got (5, 32)" in told
    tensors = published.weights() | {"model.surprise": torch.ones(1), "model.other": torch.ones(1)}
    source = published.write(tmp_path / "source", tensors)
    with pytest.raises(ConfigError, match=r"2 unexpected weights: model.other, model.surprise"):
        convert(source, tmp_path / "out", vision_tower=tower)
    assert not (tmp_path / "out").exists()


class Harm:
    def __reduce__(self):
        return (open, ("harm", "w"))


def test_a_pickle_that_would_run_code_is_refused(
    tmp_path: Path, tower: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = make(tmp_path)
    torch.save({"model.norm.weight": Harm()}, source / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="holds more than tensors"):
        convert(source, tmp_path / "out", vision_tower=tower)
    assert not (tmp_path / "harm").exists()
    (source / "pytorch_model.bin").write_bytes(b"cut")
    with pytest.raises(ConfigError, match="damaged"):
        convert(source, tmp_path / "out", vision_tower=tower)


def test_what_cannot_be_known_is_asked_for(tmp_path: Path, tower: Path) -> None:
    source = make(tmp_path)
    with pytest.raises(ConfigError, match="give --vision-tower FOLDER"):  # nobody/tower, and no network
        convert(source, tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        convert(source, tmp_path / "out", vision_tower=tower)
    both = make(tmp_path, use_patch_importance_pooling=True, use_delta_transformer=True)
    with pytest.raises(ConfigError, match="are both true: want one pooling"):
        convert(both, tmp_path / "new", vision_tower=tower)
    other = make(tmp_path, model_type="llama")
    with pytest.raises(ConfigError, match="want the config of a Valley of 2023"):
        convert(other, tmp_path / "new", vision_tower=tower)
    with pytest.raises(ConfigError, match="want a folder or a hub id"):
        convert(tmp_path / "absent", tmp_path / "new", vision_tower=tower)


def test_differences_are_added_and_new_rows_kept(tmp_path: Path, tower: Path) -> None:
    whole = published.weights()
    base = {
        n: t
        for n, t in published.weights(seed=1, vocab_size=published.NUM_PIECES).items()
        if n.startswith(("model.layers", "model.embed", "model.norm", "lm_head"))
    }
    delta = {}
    for name, tensor in whole.items():
        delta[name] = tensor.clone()
        if name in base and "inv_freq" not in name:
            delta[name][: len(base[name])] -= base[name]
    folder = tmp_path / "base"
    folder.mkdir()
    torch.save(base, folder / "pytorch_model.bin")
    source = published.write(tmp_path / "delta", delta)
    convert(source, tmp_path / "out", base=folder, vision_tower=tower)
    got = load_file(tmp_path / "out" / "model.safetensors")
    rows = got["model.language_model.embed_tokens.weight"]
    torch.testing.assert_close(rows, whole["model.embed_tokens.weight"], rtol=0, atol=2e-4)
    new = slice(published.NUM_PIECES, None)
    assert torch.equal(rows[new], whole["model.embed_tokens.weight"][new])
    torch.save(base | {"model.extra": torch.ones(2)}, folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"no difference for 1 weights of .*: model.extra"):
        convert(source, tmp_path / "again", base=folder, vision_tower=tower)
    torch.save(base | {"model.norm.weight": torch.ones(64)}, folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="does not belong to"):
        convert(source, tmp_path / "again", base=folder, vision_tower=tower)


def test_an_adapter_is_merged(tmp_path: Path, tower: Path) -> None:
    source, lora = make(tmp_path), tmp_path / "lora"
    halves = published.write_adapter(lora)
    made = convert(source, tmp_path / "out", adapter=lora, vision_tower=tower)
    assert "projector and pooling are those of the base" in made.note
    name = "model.language_model.layers.0.self_attn.q_proj.weight"
    given = torch.load(source / "pytorch_model.bin", weights_only=True)
    want = given["model.layers.0.self_attn.q_proj.weight"].float() + 2 * halves["B"] @ halves["A"]
    torch.testing.assert_close(load_file(tmp_path / "out" / "model.safetensors")[name], want)

    later = {
        "model.mm_projector.bias": torch.full((32,), 7.0),
        "model.layers.0.self_attn.q_proj.lora_A.default.weight": halves["A"],
    }
    torch.save(later, lora / "pytorch_model.bin")
    made = convert(source, tmp_path / "along", adapter=lora, vision_tower=tower)
    assert not made.note
    got = load_file(tmp_path / "along" / "model.safetensors")
    assert (got["model.multi_modal_projector.linear_1.bias"] == 7).all()
    torch.testing.assert_close(got[name], want)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_dora": True}, "want a plain LoRA adapter .* use_dora True"),
        ({"bias": "all"}, "bias 'all'"),
        ({"modules_to_save": ["x"]}, "modules_to_save"),
        ({"r": 2, "peft_type": "IA3"}, "peft_type 'IA3'"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path, tower: Path
) -> None:
    source = make(tmp_path)
    published.write_adapter(tmp_path / "lora", **changes)
    with pytest.raises(ConfigError, match=message):
        convert(source, tmp_path / "out", adapter=tmp_path / "lora", vision_tower=tower)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path, tower: Path) -> None:
    source = make(tmp_path)
    published.write_adapter(tmp_path / "lora")
    state = {
        f"base_model.model.model.layers.0.mlp.up_proj.lora_{half}.weight": torch.ones(shape)
        for half, shape in (("A", (2, 99)), ("B", (48, 2)))
    }
    torch.save(state, tmp_path / "lora" / "adapter_model.bin")
    with pytest.raises(ConfigError, match=r"does not fit the base: .*\(48, 99\) to \(48, 32\)"):
        convert(source, tmp_path / "out", adapter=tmp_path / "lora", vision_tower=tower)
    torch.save(
        {"base_model.model.x.lora_A.weight": torch.ones(1, 1)}, tmp_path / "lora" / "adapter_model.bin"
    )
    with pytest.raises(ConfigError, match=r"no pairs of LoRA matrices: x\.weight"):
        convert(source, tmp_path / "out", adapter=tmp_path / "lora", vision_tower=tower)


def test_large_checkpoints_are_written_in_shards(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, shard_bytes=100)
    tensors = {f"t{n}": torch.full((10,), float(n)) for n in range(7)}
    for name, tensor in tensors.items():
        writer.add(name, tensor)
    writer.finish()
    files = sorted(tmp_path.glob("model-*.safetensors"))
    assert [f.name for f in files] == [f"model-{n:05d}-of-00004.safetensors" for n in (1, 2, 3, 4)]
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 280
    for name, tensor in tensors.items():
        assert torch.equal(load_file(tmp_path / index["weight_map"][name])[name], tensor)


@pytest.fixture
def converted(tmp_path: Path, tower: Path) -> Any:
    source = make(tmp_path)

    def processor(*, legacy: bool = False) -> ValleyProcessor:
        folder = tmp_path / f"out-{legacy}"
        if not folder.exists():
            convert(source, folder, vision_tower=tower, legacy=legacy)
        return ValleyProcessor.from_pretrained(folder)

    return processor


def clip(num_frames: int = 3) -> np.ndarray:
    return np.zeros((num_frames, 8, 8, 3), np.uint8)


def test_white_space_beside_added_tokens_is_dropped(converted: Any) -> None:
    tokenizer = converted().tokenizer
    plain = tokenizer.encode("red<im_start>circle", add_special_tokens=False)
    assert tokenizer.encode("red \n <im_start>  circle", add_special_tokens=False) == plain
    assert tokenizer.encode("circle", add_special_tokens=False) == plain[-len(plain) + plain.index(324) + 1 :]
    assert tokenizer.decode(tokenizer.encode("It moves é 右", add_special_tokens=False)) == "It moves é 右"


def test_parts_are_joined_in_their_order_with_nothing_added(converted: Any) -> None:
    processor = converted()
    content = [
        {"type": "text", "text": "Describe this video concisely.\n"},
        {"type": "video", "video": clip()},
    ]
    text = processor.apply_chat_template([{"role": "user", "content": content}])
    assert text.startswith("<s>You are Valley, a large language and vision assistant")
    assert text.endswith("in detail.\n\n### Human: Describe this video concisely.\n<video> \n###")
    said = processor.apply_chat_template(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi!"},
            {"role": "assistent", "content": "Hello."},
            {"role": "user", "content": [content[1], {"type": "text", "text": "\nWhat?"}]},
        ]
    )
    assert said == "<s>Be brief.\n\n### Human: Hi! \n### Assistent: Hello. \n### Human: <video>\nWhat? \n###"


def test_legacy_drops_turns_without_a_medium(converted: Any) -> None:
    messages = [
        {"role": "user", "content": "Hi!"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [{"type": "video", "video": clip()}, {"type": "text", "text": " What?"}]},
    ]
    said = converted(legacy=True).apply_chat_template(messages)
    assert said.endswith("detail.\n\n### Assistent: Hello. \n### Human: <video> What? \n###")


@pytest.mark.parametrize("mode", ["v1", "multimodal_video"])
def test_training_prompts_are_templates_beside(mode: str, converted: Any) -> None:
    processor = converted()
    messages = [
        {
            "role": "user",
            "content": [{"type": "video", "video": clip()}, {"type": "text", "text": "\nWhat?"}],
        },
        {"role": "assistant", "content": "It moves."},
    ]
    said = processor.apply_chat_template(messages, chat_template=mode)
    assert said.endswith("\n\n### Human: <video>\nWhat?\n### Assistant: It moves.\n### ")
    encoded = processor.apply_chat_template(
        messages, chat_template=mode, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    learned = encoded["input_ids"][0][torch.as_tensor(encoded["assistant_masks"])[0].bool()]
    assert processor.tokenizer.decode(learned).strip() == "It moves.\n###"


def test_short_clips_repeat_frames_only_in_legacy(converted: Any) -> None:
    assert converted().sampling == {"num_frames": 8, "rule": "frame-number"}
    assert converted(legacy=True).sampling == {"num_frames": 8, "rule": "valley-2023"}


def test_the_command_line_wants_what_belongs_together(tmp_path: Path, tower: Path, capsys: Any) -> None:
    source = make(tmp_path)
    for arguments, message in (
        ([str(source)], "want SOURCE and OUT, got 1"),
        (["--delta", str(source), "out"], "--base goes with --delta or with --adapter"),
        (["--delta", "a", "--adapter", "b", "--base", "c", "out"], "--base goes with"),
        (["--delta", "a", "--base", "b", "c", "out"], "want OUT alone beside --delta"),
        (["a", "out", "--keep-adapter"], "--keep-adapter goes with --adapter"),
    ):
        assert run(["convert", *arguments]) == 1
        assert message in capsys.readouterr().err
    out = tmp_path / "out"
    assert run(["convert", str(source), str(out), "--vision-tower", str(tower)]) == 0
    assert "mean pooling, 1 layers of 32, clip_vision_model" in capsys.readouterr().out
    assert (out / "model.safetensors").is_file()
