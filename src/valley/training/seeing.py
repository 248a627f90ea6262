"""Fill a feature cache before a run: every medium that is not kept goes through the frozen tower once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray

from valley.conversation import Image, Video
from valley.errors import MediaError, SamplingError
from valley.training.config import TrainConfig
from valley.training.dataset import ConversationFiles, Source
from valley.training.feature_cache import FeatureCache, tower_identity
from valley.training.media import read_medium
from valley.training.precision import wants_bf16
from valley.training.progress import OnEvent, TrainingEvent

# Decoded media that wait for the tower.
_AHEAD = 8


@torch.inference_mode()
def fill(
    cache: FeatureCache,
    missing: Sequence[Image | Video],
    model: Any,  # noqa: ANN401
    processor: Any,  # noqa: ANN401
    on_event: OnEvent,
    *,
    bf16: bool,
    rank: int = 0,
    num_ranks: int = 1,
) -> int:
    """Compute features; return how many media were seen.

    What cannot be read is left to the run, which counts it.

    Args:
        cache: where features go.
        missing: media to be seen, the same list in all processes; each takes its share.
        model: whose tower sees them.
        processor: makes their pixels.
        on_event: told of the progress.
        bf16: compute as the run does.
        rank: number of this process.
        num_ranks: how many there are.
    """
    if not missing:
        return 0
    cache.make_room(len(missing) * _bytes_of_one(cache, model))
    mine, seen = missing[rank::num_ranks], 0
    device = next(model.model.vision_tower.parameters()).device
    autocast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
    for number, (part, pixels, shown_at_s) in enumerate(_read(cache, mine, processor), 1):
        if pixels is not None:
            with autocast:
                features = model.model.tower_features(torch.from_numpy(pixels).to(device))
            cache.put(part, features, shown_at_s)
            seen += 1
        message = f"features of {number}/{len(mine)} media"
        on_event(TrainingEvent("step" if number < len(mine) else "logged", 0, 0, message=message))
    return seen


def _bytes_of_one(cache: FeatureCache, model: Any) -> int:  # noqa: ANN401
    """Bound the features of one medium, by the most frames that a clip may give."""
    tokens = 1 + model.config.num_patches
    frames = cache.media.num_frames or cache.num_frames
    size = 2 if cache.settings.dtype == "float16" else 4
    return frames * tokens * model.config.vision_config.hidden_size * size


def _read(
    cache: FeatureCache,
    parts: Sequence[Image | Video],
    processor: Any,  # noqa: ANN401
) -> Iterator[tuple[Image | Video, NDArray[np.float32] | None, NDArray[np.float64]]]:
    """Decode ahead of the tower; None for pixels where a medium cannot be read."""

    def pixels_of(part: Image | Video) -> tuple[NDArray[np.float32] | None, NDArray[np.float64]]:
        try:
            medium = read_medium(part, cache.media, cache.num_frames)
        except (MediaError, SamplingError):
            return None, np.zeros(0)
        if isinstance(medium, np.ndarray):
            return processor.image_processor.pixels([medium]), np.zeros(1)
        return processor.video_processor.settings(medium.pixels), medium.shown_at_s

    with ThreadPoolExecutor(2) as pool:
        for first in range(0, len(parts), _AHEAD):
            some = parts[first : first + _AHEAD]
            for part, (pixels, shown_at_s) in zip(some, pool.map(pixels_of, some), strict=True):
                yield part, pixels, shown_at_s


def with_features(
    config: TrainConfig,
    sources: Sequence[Source],
    model: Any,  # noqa: ANN401
    processor: Any,  # noqa: ANN401
    on_event: OnEvent,
) -> list[Source]:
    """Fill the feature cache where the recipe wants one; give sources that look media up in it.

    Raises:
        ConfigError: the features would not fit.
    """
    files = [source for source in sources if isinstance(source, ConversationFiles)]
    if not files or not _is_wanted(config, files, model):
        return list(sources)
    bf16 = wants_bf16(config.trainer.get("bf16", False))
    half = bf16 or bool(config.trainer.get("fp16"))
    settings = config.feature_cache
    if settings.dtype == "auto":
        settings = settings.model_copy(update={"dtype": "float16" if half else "float32"})
    cache = FeatureCache(settings, tower_identity(model, processor), config.media, model.config.num_frames)
    state = PartialState()
    missing = cache.missing(part for source in files for part in source.media())
    state.wait_for_everyone()  # nobody computes before all know what is missing: each takes its share of it
    tower, was_training = model.model.vision_tower, model.training
    home = next(tower.parameters()).device
    tower.to(state.device)
    model.eval()
    fill(
        cache,
        missing,
        model,
        processor,
        on_event,
        bf16=bf16,
        rank=state.process_index,
        num_ranks=state.num_processes,
    )
    model.train(was_training)
    tower.to(home)
    state.wait_for_everyone()
    return [
        replace(source, cache=cache) if isinstance(source, ConversationFiles) else source
        for source in sources
    ]


def _is_wanted(config: TrainConfig, files: Sequence[ConversationFiles], model: Any) -> bool:  # noqa: ANN401
    """Tell whether a cache is asked for, or worth its while: several looks at few media."""
    use, lora = config.feature_cache.use, config.lora
    moves = "vision_tower" in config.parts or (lora is not None and "vision_tower" in lora.parts)
    if use == "never" or moves:
        return False
    if use == "always":
        return True
    num_samples = sum(len(source) for source in files)
    frames = config.media.num_frames or model.config.num_frames
    of_one = frames * (1 + model.config.num_patches) * model.config.vision_config.hidden_size * 4
    return (
        _num_epochs(config, num_samples) >= 2 and num_samples * of_one <= config.feature_cache.auto_gb * 1e9
    )


def _num_epochs(config: TrainConfig, num_samples: int) -> float:
    told = config.trainer
    steps = told.get("max_steps", -1)
    if steps < 1:
        return float(told.get("num_train_epochs", 3))  # three is what the trainer does unless told
    batch = told.get("per_device_train_batch_size", 8) * told.get("gradient_accumulation_steps", 1)
    return steps * batch * PartialState().num_processes / max(1, num_samples)
