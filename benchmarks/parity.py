"""Compare converted checkpoints with what the published code computed; writes docs/parity.md.

    python benchmarks/parity.py GOLDEN CLIPS

GOLDEN holds what the published code computed on miniature checkpoints, CLIPS the clips it was shown. Every
set is converted twice: with `legacy`, which has to reproduce all that was recorded, quirks too, and without,
which has to reproduce every case that no quirk touches.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file
from torch import Tensor

from valley.model.convert_valley_weights import convert
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.model.published_labels import published_labels
from valley.model.published_layout import TRAINING_SYSTEM_PROMPTS, VIDEO_PIXELS
from valley.video.decoding import read_frames, read_image

PAGE = Path(__file__).parents[1] / "docs" / "parity.md"
SETS = ("v1_mean", "v2_importance", "v3_transformer", "chinese", "delta", "lora/final", "lora/steps")
CLIPS = {
    "video_A": "valley_a.mp4",
    "video_B": "valley_d.mp4",
    "image_A": "c790e7358b6f9de50ccfc78d2fba1b97.jpg",
    "image_B": "f4cefeeb3f10a2afb4bb077a415f9fb8.jpg",
}
UNTOUCHED = ("inf_video_A_en", "inf_video_B_zh", "inf_synth_a_en")
"""Cases that no quirk touches: the default has to reproduce them too."""
TOLERANCE = 1e-5
HALF = "web demo, recorded in half precision"
HALF_TOLERANCE = 5e-3
"""What was recorded in half precision is known to 2^-11 of each value; this is ten times as much."""
SURE = 0.1
"""Where the recorded choice of a token was closer than this, another machine may choose another one."""
FRAMES_TURNS = [
    {"from": "human", "value": "<video>\nDescribe the video concisely."},
    {"from": "gpt", "value": "It is a clip."},
]
"""What was said in the cases of other frame counts."""
TAG = re.compile(r"(<video>|<image>)")


@dataclass
class Worst:
    """The worst figure of every quantity, and how often it was compared."""

    errors: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def equal(self, quantity: str, got: Any, wanted: Any) -> None:  # noqa: ANN401
        """Compare what has to be identical: 0, or 1 where it is not."""
        same = torch.equal(got, wanted) if isinstance(got, Tensor) else got == wanted
        self._note(quantity, 0.0 if same else 1.0)

    def close(self, quantity: str, got: Tensor, wanted: Tensor) -> None:
        """Compare numbers: the largest difference over the largest value."""
        if got.shape != wanted.shape:
            raise AssertionError(f"{quantity}: want {tuple(wanted.shape)}, got {tuple(got.shape)}")
        error = (got.double() - wanted.double()).abs().max() / wanted.double().abs().max()
        self._note(quantity, float(error))

    def _note(self, quantity: str, error: float) -> None:
        self.errors[quantity] = max(error, self.errors.get(quantity, 0.0))
        self.counts[quantity] = self.counts.get(quantity, 0) + 1


@dataclass(frozen=True)
class Golden:
    """One set: recorded cases and tensors, and where its files are."""

    name: str
    folder: Path
    clips: Path

    @property
    def place(self) -> Path:
        """The set's folder; the two recordings of an adapter share one."""
        return self.folder / self.name.partition("/")[0]

    @property
    def stem(self) -> Path:
        """Path of the recording, without its suffix."""
        return self.place / "_".join(["golden", *self.name.split("/")[1:]])

    @property
    def record(self) -> Any:  # noqa: ANN401
        """What golden.json says."""
        return json.loads(self.stem.with_suffix(".json").read_text(encoding="utf-8"))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What golden.safetensors holds."""
        return load_file(self.stem.with_suffix(".safetensors"))

    def media(self, name: str) -> Path:
        """Find a recorded medium."""
        known = CLIPS.get(name.removeprefix("@").split(".")[0])
        if known is not None:
            return self.clips / known
        return self.folder / "common" / "media" / name.removeprefix("@")

    def converted(self, out: Path, *, legacy: bool) -> Path:
        """Convert the set's checkpoint."""
        tower = next(self.place.glob("vision_tower_config/*/*/config.json")).parent
        target = out / f"{self.name.replace('/', '-')}-{'legacy' if legacy else 'default'}"
        source, base, adapter = self.place / "checkpoint", None, None
        if (self.place / "base_llm").is_dir():
            base = self.place / "base_llm"
        elif (source / "adapter_config.json").is_file():
            adapter = source / "steps_6" if self.name.endswith("steps") else source
            source = self.folder / "v2_importance" / "checkpoint"
        convert(source, target, base=base, adapter=adapter, vision_tower=tower, legacy=legacy)
        return target


def main() -> None:
    """Compare every set and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("golden", type=Path, help="the recorded data")
    parser.add_argument("clips", type=Path, help="the clips that it was recorded on")
    asked = parser.parse_args()
    figures = {"pixels": compare_pixels(asked.golden, asked.clips)}
    with tempfile.TemporaryDirectory() as work:
        for name in SETS:
            for legacy in (True, False):
                label = f"{name}, {'legacy' if legacy else 'default'}"
                figures[label] = compare_set(
                    Golden(name, asked.golden, asked.clips), Path(work), legacy=legacy
                )
                print(label, figures[label].errors, flush=True)
    write_page(figures, PAGE)


def compare_pixels(golden: Path, clips: Path) -> Worst:
    """Compare frame numbers and pixels of all recorded runs, bit by bit."""
    from valley.model.pixel_settings import PixelSettings, rgb_array
    from valley.video.sampling import FrameSampling

    worst, common = Worst(), Golden("common", golden, clips)
    record = json.loads((golden / "common" / "golden.json").read_text(encoding="utf-8"))
    videos = PixelSettings.from_dict(VIDEO_PIXELS)
    for name, video in record["videos"].items():
        for run in video["runs"]:
            asked = run["load_video_kwargs"]
            wish = FrameSampling(num_frames=asked.get("fixed_frame_number", 8), rule="valley-2023")
            if "fps_number" in asked:
                wish = FrameSampling(fps=asked["fps_number"], rule="valley-2023-fps")
            frames = read_frames(common.media(name), wish)
            numbers = np.rint(frames.shown_at_s * video["avg_fps"]).astype(int).tolist()
            worst.equal("frame numbers", numbers, run["frame_indices"])
            pixels = np.ascontiguousarray(videos(frames.pixels).transpose(1, 0, 2, 3))
            worst.equal("video pixels", _sha256(pixels), run["sha256_float32"])
    kinds = {
        "clip": {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}},
        "chinese_clip": {"size": {"height": 224, "width": 224}},
    }
    for name, image in record["images"].items():
        array = rgb_array(read_image(common.media(name)))
        for kind, settings in kinds.items():
            pixels = PixelSettings.from_dict(settings)(array[None])
            worst.equal("image pixels", _sha256(pixels), image[kind]["sha256"])
    return worst


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


@torch.inference_mode()
def compare_set(golden: Golden, work: Path, *, legacy: bool) -> Worst:
    """Convert a set and compare every case that this mode has to reproduce."""
    folder = golden.converted(work, legacy=legacy)
    model = ValleyForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    processor = ValleyProcessor.from_pretrained(folder)
    tensors, worst = golden.tensors, Worst()
    for name, case in golden.record["cases"].items():
        recorded = _of_case(tensors, name)
        if case["kind"] == "inference" and (legacy or name in UNTOUCHED):
            inputs = _asked(golden, processor, case)
            _compare_case(worst, model, inputs, recorded)
            _compare_answer(worst, model, inputs, recorded, case["greedy_margins"])
        elif case["kind"] == "training" and "conversation_string" in case and legacy:
            inputs = _taught(golden, processor, case)
            worst.equal("labels", inputs["labels"], recorded["labels"].long())
            _compare_case(worst, model, inputs, recorded)
        elif case["kind"] == "frames" and legacy:
            sample = {"conv_mode": "v1", "record": {"video": case["media"], "conversations": FRAMES_TURNS}}
            inputs = _taught(golden, processor, sample, num_frames=case["frames"])
            _compare_case(worst, model, inputs, recorded)
            # A prompt for eight frames: its frame tokens stay unfilled.
            other = _of_case(tensors, f"{name}_prompt8")
            pixels = {n: t for n, t in inputs.items() if n not in ("input_ids", "labels")}
            _compare_case(worst, model, pixels | {"input_ids": other["input_ids"].long()}, other)
        elif case["kind"] == "worker" and "fp16_logits_last" in recorded and legacy:
            _compare_web(worst, model, _asked_on_the_web(golden, processor, case), recorded)
        elif case["kind"] == "batch" and "loss" in recorded and legacy:
            cases = golden.record["cases"]
            members = [_taught(golden, processor, cases[member]) for member in case["members"]]
            _compare_case(worst, model, _batched(members, processor), recorded)
    return worst


def _of_case(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}/"): t for k, t in tensors.items() if k.startswith(f"{name}/")}


def _asked(golden: Golden, processor: ValleyProcessor, case: Mapping[str, Any]) -> dict[str, Tensor]:
    """Write a recorded question as typed parts; the published code knew one video for all tags."""
    clip = str(golden.media(case["media"]))
    messages = [
        {"role": m["role"], "content": list(_parts(m["content"], [clip] * 9))} for m in case["messages"]
    ]
    inputs = processor.apply_chat_template(messages, tokenize=True, return_dict=True)
    return dict(inputs)


def _parts(content: str, media: list[str]) -> Iterator[dict[str, str]]:
    for piece in TAG.split(content):
        if TAG.fullmatch(piece):
            yield {"type": "video", "video": media.pop(0)}
        elif piece:
            yield {"type": "text", "text": piece}


def _asked_on_the_web(
    golden: Golden, processor: ValleyProcessor, case: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Write a question of the web demo; several pictures are one clip, at every tag."""
    media = case["media"]
    given = [str(golden.media(name)) for name in media.get("images", media.get("videos", ()))]
    content = [
        {"type": "image", "path": p["video"]} if "images" in media and p["type"] == "video" else p
        for p in _parts(case["turns"][0][1], given)
    ]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], chat_template="web", tokenize=True, return_dict=True
    )
    inputs = dict(inputs)
    if len(inputs.get("pixel_values", ())) > 1:
        inputs["pixel_values_videos"] = inputs.pop("pixel_values")[None]
        inputs["mm_token_type_ids"] = 2 * (inputs["mm_token_type_ids"] > 0).long()
    return inputs


def _compare_web(
    worst: Worst,
    model: ValleyForConditionalGeneration,
    inputs: dict[str, Tensor],
    recorded: Mapping[str, Tensor],
) -> None:
    worst.equal("token ids", inputs["input_ids"], recorded["input_ids"].long())
    frame_id = model.config.vi_frame_token_id
    model.config.vi_frame_token_id = None  # the demo's network had none
    worst.close(HALF, model(**inputs).logits[:, -1], recorded["fp16_logits_last"])
    model.config.vi_frame_token_id = frame_id


def _taught(
    golden: Golden, processor: ValleyProcessor, case: Mapping[str, Any], *, num_frames: int = 8
) -> dict[str, Tensor]:
    """Write a recorded training sample; several pictures of one record are the frames of one clip."""
    record = case["record"]
    turns = [(t["from"], t["value"]) for t in record["conversations"]]
    inputs: dict[str, Tensor] = {}
    shown = 0
    if "video" in record:
        clip = str(golden.media(record["video"]))
        inputs = dict(processor.video_processor([clip], return_tensors="pt", num_frames=num_frames))
        shown = int(inputs["video_frame_mask"].sum())
    elif "image" in record:
        files = record["image"] if isinstance(record["image"], list) else [record["image"]]
        pixels = processor.image_processor.pixels([read_image(golden.media(f)) for f in files])
        inputs = {"pixel_values_videos": torch.from_numpy(pixels)[None]}
        shown = len(files)
    expansion = processor.layout.expansion([0.0] * shown) if shown else ""
    turns = [(speaker, TAG.sub(expansion, said)) for speaker, said in turns]
    ids, labels = published_labels(
        processor.tokenizer, turns, system=TRAINING_SYSTEM_PROMPTS[case["conv_mode"]]
    )
    return inputs | {"input_ids": ids[None], "labels": labels[None]}


def _batched(members: list[dict[str, Tensor]], processor: ValleyProcessor) -> dict[str, Tensor]:
    """Put samples with one clip each into one batch, padded at the end."""
    longest = max(m["input_ids"].shape[1] for m in members)
    frames = max(m["pixel_values_videos"].shape[1] for m in members)
    fills = {"input_ids": processor.tokenizer.pad_token_id, "labels": -100}
    rows = {
        name: torch.cat([F.pad(m[name], (0, longest - m[name].shape[1]), value=fill) for m in members])
        for name, fill in fills.items()
    }
    clips = [m["pixel_values_videos"] for m in members]
    real = torch.tensor([[n < c.shape[1] for n in range(frames)] for c in clips])
    return rows | {
        "attention_mask": (rows["input_ids"] != fills["input_ids"]).long(),
        "pixel_values_videos": torch.cat([F.pad(c, (0,) * 7 + (frames - c.shape[1],)) for c in clips]),
        "video_frame_mask": real,
    }


def _compare_case(
    worst: Worst,
    model: ValleyForConditionalGeneration,
    inputs: dict[str, Tensor],
    recorded: Mapping[str, Tensor],
) -> None:
    worst.equal("token ids", inputs["input_ids"], recorded["input_ids"].long())
    seen: dict[str, Tensor] = {}
    network = model.model
    hooks = [
        network.vision_tower.register_forward_hook(
            lambda _m, _a, out: seen.update(tower=out.hidden_states[model.config.vision_feature_layer])
        ),
        network.multi_modal_projector.register_forward_hook(lambda _m, _a, out: seen.update(projected=out)),
        network.language_model.register_forward_pre_hook(
            lambda _m, _a, given: seen.update(embeds=given["inputs_embeds"]), with_kwargs=True
        ),
    ]
    out = model(**inputs)
    for hook in hooks:
        hook.remove()
    num_patches = model.config.num_patches
    if "tower" in seen:
        frames = len(recorded["projected_cls"])
        worst.close("tower", seen["tower"][:frames, ::32, ::16], recorded["vision_hidden_strided"])
        worst.close("projected", seen["projected"][:frames, 0], recorded["projected_cls"])
        start = int((inputs["input_ids"][0] == model.config.im_start_token_id).nonzero()[0]) + 1
        worst.close("pooled", seen["embeds"][0, start : start + num_patches], recorded["pooled"])
    if "inputs_embeds" in recorded:
        worst.close("embeddings", seen["embeds"], recorded["inputs_embeds"])
    if "inputs_embeds_strided" in recorded:
        worst.close("embeddings", seen["embeds"][:, ::7], recorded["inputs_embeds_strided"])
    # What is computed at padding is nothing: the two versions of the library number it differently.
    real = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).bool()
    for got, wanted, where in (
        (out.logits[:, -1], recorded["logits_last"], real[:, -1]),
        (out.logits[:, ::16, ::5], recorded["logits_strided"], real[:, ::16]),
        (out.logits.logsumexp(-1), recorded["logits_logsumexp"], real),
    ):
        worst.close("logits", got[where], wanted[where])
    if "loss" in recorded:
        worst.close("loss", out.loss[None], recorded["loss"])


def _compare_answer(
    worst: Worst,
    model: ValleyForConditionalGeneration,
    inputs: dict[str, Tensor],
    recorded: Mapping[str, Tensor],
    margins: list[float],
) -> None:
    sure = next((n for n, margin in enumerate(margins) if margin < SURE), len(margins))
    wanted = recorded["gen_ids"].long()[:, :sure]
    got = model.generate(**inputs, max_new_tokens=recorded["gen_ids"].shape[1], do_sample=False)
    start = inputs["input_ids"].shape[1]
    worst.equal("greedy ids", got[:, start : start + sure], wanted)


def write_page(figures: Mapping[str, Worst], path: Path) -> None:
    """Write the table."""
    columns = list(dict.fromkeys(q for worst in figures.values() for q in worst.errors))
    rows = [["set", *columns], ["---", *["---:"] * len(columns)]]
    for name, worst in figures.items():
        rows.append([name, *(_cell(worst, q) for q in columns)])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    text = path.read_text(encoding="utf-8")
    begin, end = "<!-- figures -->\n", "<!-- /figures -->"
    before, rest = text.split(begin)
    path.write_text(before + begin + "\n" + table + "\n\n" + end + rest.split(end)[1], encoding="utf-8")


def _cell(worst: Worst, quantity: str) -> str:
    if quantity not in worst.errors:
        return ""
    error, count = worst.errors[quantity], worst.counts[quantity]
    identical = quantity.endswith(("ids", "pixels", "labels", "numbers"))
    said = ("identical" if not error else "DIFFERENT") if identical else f"{error:.1e}"
    return f"{said} ({count})"


if __name__ == "__main__":
    main()
