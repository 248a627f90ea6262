"""Convert the checkpoints of 2023 into today's format: whole ones, differences to a language model, adapters.

Weights stream shard by shard: what is held at once is one shard that is read and one that is written. Nothing
is decided by the name of a folder; what does not fit is an error that lists every weight.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, GenerationConfig

from .checkpoint_files import (
    AddedWeights,
    CheckpointFiles,
    OverlaidWeights,
    ShardWriter,
    StoredWeights,
    Weights,
)
from .configuration_valley import ValleyConfig
from .errors_valley import PartsError
from .modeling_valley import ValleyForConditionalGeneration
from .pixel_settings import PixelSettings
from .processing_valley import ValleyProcessor
from .published_adapter import AdaptedWeights, Adapter
from .published_layout import (
    SYSTEM_PROMPTS,
    TRAINING_SYSTEM_PROMPTS,
    VIDEO_PIXELS,
    PublishedSettings,
    language_of,
    make_config,
    our_name,
)
from .published_tokenizer import read_published_tokenizer
from .visual_layout import VISUAL_TOKENS

OnWeight = Callable[[int, int], None]
"""Told, behind each weight, how many are done and how many there are."""

_TEMPLATES = Path(__file__).with_name("published_templates")

DIALOGUE = {
    "question_first": True,
    "stop_strings": ["###"],
    "answer_prefixes": ["Assistant:", "Response:", "Valley:"],
}
"""How the published command line asked, and what it made of an answer (its `process_response`)."""


@dataclass(frozen=True)
class Converted:
    """What a conversion made.

    Attributes:
        folder: the checkpoint.
        config: its config.
        num_weights: how many weights it has.
        unread: published weights that nothing reads, such as computed buffers.
        note: what should be known of it; empty where there is nothing.
    """

    folder: Path
    config: ValleyConfig
    num_weights: int
    unread: tuple[str, ...]
    note: str = ""


def convert(
    source: str | Path,
    out: str | Path,
    *,
    base: str | Path | None = None,
    adapter: str | Path | None = None,
    keep_adapter: bool = False,
    vision_tower: str | Path | None = None,
    legacy: bool = False,
    on_weight: OnWeight = lambda done, total: None,
) -> Converted:
    """Convert one checkpoint of 2023.

    Args:
        source: its folder or hub id; with `base` it holds differences.
        out: the new folder; it appears when everything is written.
        base: the language model that a difference belongs to, a folder or hub id.
        adapter: a LoRA adapter to `source`, a folder or hub id, which is merged in; whole weights beside it
            (of the projector and the pooling that were trained along) replace those of `source`.
        keep_adapter: do not merge the adapter, but write it into the folder `adapter` of `out`, for PEFT.
        vision_tower: folder or hub id of the tower's config and pixel settings, where the hub id that the
            checkpoint names cannot be reached; the tower's weights are in the checkpoint.
        legacy: reproduce the published quirks, see docs/parity.md; recorded in the config.
        on_weight: told of progress.

    Raises:
        PartsError: a file is absent or damaged, `out` exists, or weights are missing or too many.
    """
    out = Path(out)
    if out.exists():
        raise PartsError(f"{out}: exists already; choose another folder, or remove it")
    checkpoint = CheckpointFiles(source)
    settings = PublishedSettings.from_json(checkpoint.json("config.json"), where=str(source))
    lora = None if adapter is None else Adapter(CheckpointFiles(adapter))
    weights, note = _weights(checkpoint, base=base, adapter=lora, keep_adapter=keep_adapter)
    names, unread = _names(weights.shapes(), where=str(source))
    shapes = {ours: weights.shapes()[published] for published, ours in names.items()}
    tower = CheckpointFiles(
        settings.tower if vision_tower is None else vision_tower, cure="give --vision-tower FOLDER"
    )
    vision_config = _tower_config(tower)
    tokenizer = read_published_tokenizer(
        checkpoint.folder_with("tokenizer.model", "special_tokens_map.json", "added_tokens.json"),
        max_length=int(settings.text.get("max_position_embeddings", 2048)),
    )
    known: dict[str, int] = tokenizer.get_vocab()
    absent = [token for token in VISUAL_TOKENS.values() if token not in known]
    if absent:
        raise PartsError(f"{source}: its tokenizer has no {', '.join(absent)}")
    token_ids = {f"{name}_token_id": known[token] for name, token in VISUAL_TOKENS.items()}
    config = make_config(settings, vision_config, shapes, token_ids, legacy=legacy)
    _refuse_other_shapes(config, shapes, where=str(source))
    processor = make_processor(config, tokenizer, tower.json("preprocessor_config.json"), vision_config)
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    writer = ShardWriter(part)
    for done, (published, tensor) in enumerate(weights.tensors(set(names)), 1):
        writer.add(names[published], tensor)
        on_weight(done, len(names))
    writer.finish()
    _save_settings(config, checkpoint, part)
    processor.save_pretrained(part)
    if lora is not None and keep_adapter:
        lora.save(part / "adapter", {n: names[n].removesuffix(".weight") for n in lora.pairs})
    part.replace(out)
    return Converted(out, config, len(names), unread, note)


def _weights(
    checkpoint: CheckpointFiles, *, base: str | Path | None, adapter: Adapter | None, keep_adapter: bool
) -> tuple[Weights, str]:
    """Put together what is converted, and what should be known of it."""
    weights = StoredWeights(checkpoint)
    if base is not None and adapter is not None:
        raise PartsError("want a difference or an adapter, got both: convert the difference first")
    if base is not None:
        return AddedWeights(weights, StoredWeights(CheckpointFiles(base))), ""
    if adapter is None:
        return weights, ""
    later, note = StoredWeights(adapter.files), ""
    whole: Weights = weights
    if later.exist():
        whole = OverlaidWeights(weights, later)
    else:
        note = (
            f"{adapter.files.source} holds the adapter alone: projector and pooling are those of the base, "
            "though the published code trained them along"
        )
    adapted = AdaptedWeights(whole, adapter)  # in any case: it refuses an adapter that does not fit
    return (whole if keep_adapter else adapted), note


def make_processor(
    config: ValleyConfig,
    tokenizer: Any,  # noqa: ANN401
    image_settings: Mapping[str, Any],
    vision_config: Any,  # noqa: ANN401
) -> ValleyProcessor:
    """Make the processor of a converted checkpoint: published frames, pixels, ids and prompts.

    Args:
        config: of the converted checkpoint.
        tokenizer: from `read_published_tokenizer`.
        image_settings: preprocessor_config.json of the tower.
        vision_config: config of the tower: it says in which language the system prompt is.
    """
    legacy = "true" if config.legacy else "false"
    answering = _template("answering", SYSTEM_PROMPTS[language_of(vision_config)]).replace("LEGACY", legacy)
    templates = {mode: _template("training", said) for mode, said in TRAINING_SYSTEM_PROMPTS.items()}
    templates["web"] = _template("web", TRAINING_SYSTEM_PROMPTS["multimodal_video"])
    pixels = PixelSettings.from_dict(image_settings)
    video = {**pixels.to_dict(), **VIDEO_PIXELS, "do_center_crop": True}
    return ValleyProcessor(
        tokenizer,
        image_settings=pixels.to_dict(),
        video_settings=PixelSettings.from_dict(video).to_dict(),
        sampling={"num_frames": 8, "rule": "valley-2023" if config.legacy else "frame-number"},
        pooling={
            "name": config.temporal_pooling,
            "options": config.temporal_pooling_config,
            "num_patches": config.num_patches,
        },
        chat_template={"default": answering, **templates},
        dialogue=DIALOGUE,
    )


def _template(name: str, system: str) -> str:
    text = (_TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    return text.replace("DEFAULT_SYSTEM", json.dumps(system, ensure_ascii=False))


def _tower_config(tower: CheckpointFiles) -> Any:  # noqa: ANN401
    settings = tower.json("config.json")
    try:
        return AutoConfig.for_model(**settings)
    except (KeyError, ValueError, TypeError) as error:
        raise PartsError(f"{tower.source}: no config of a vision tower ({error})") from error


def _names(shapes: Mapping[str, Any], *, where: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Map published names to ours; list those that nothing reads.

    Raises:
        PartsError: nothing is known of some names; all are listed.
    """
    names, unread, unknown = {}, [], []
    for published in shapes:
        try:
            ours = our_name(published)
        except KeyError:
            unknown.append(published)
            continue
        if ours is None:
            unread.append(published)
        else:
            names[published] = ours
    if unknown:
        raise PartsError(f"{where}: {len(unknown)} unexpected weights: {', '.join(sorted(unknown))}")
    return names, tuple(unread)


def _refuse_other_shapes(config: ValleyConfig, shapes: Mapping[str, tuple[int, ...]], *, where: str) -> None:
    """Compare the weights with the network that the config makes, without making it.

    Raises:
        PartsError: with every missing, unexpected and differently shaped weight.
    """
    model: Any
    with torch.device("meta"):
        model = ValleyForConditionalGeneration(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    missing, unexpected = sorted(wanted.keys() - shapes.keys()), sorted(shapes.keys() - wanted.keys())
    other = [
        f"{n}: want {wanted[n]}, got {shapes[n]}"
        for n in sorted(wanted.keys() & shapes.keys())
        if wanted[n] != tuple(shapes[n])
    ]
    faults = [
        f"{len(found)} {kind} weights: {'; '.join(found)}"
        for kind, found in (("missing", missing), ("unexpected", unexpected), ("differently shaped", other))
        if found
    ]
    if faults:
        raise PartsError(f"{where}: " + ". ".join(faults))


def _save_settings(config: ValleyConfig, checkpoint: CheckpointFiles, folder: Path) -> None:
    config.architectures = ["ValleyForConditionalGeneration"]
    config.save_pretrained(folder)
    settings = checkpoint.json("generation_config.json", absent={})
    kept = {n: settings[n] for n in ("bos_token_id", "eos_token_id", "pad_token_id") if n in settings}
    GenerationConfig(**kept).save_pretrained(folder)
