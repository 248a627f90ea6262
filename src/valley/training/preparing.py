"""Put model and data of a run together."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from valley.model.configuration_valley import ValleyConfig
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.training.adapters import adapt, count_moving, need_peft
from valley.training.assembly import load_or_compose
from valley.training.config import TrainConfig
from valley.training.dataset import Source, TrainingDataset, make_source
from valley.training.liger import need_liger, put_liger_in
from valley.training.loss import make_assistant_loss
from valley.training.media import MIN_MEDIA_FOR_FRACTION, MediaTally
from valley.training.progress import OnEvent, ignore_event
from valley.training.run_folder import QUARANTINE_NAME
from valley.training.seeing import with_features
from valley.training.stages import freeze_all_but
from valley.training.trainer_settings import need_boards
from valley.training.watching import BatchCounter


@dataclass
class Prepared:
    """All that a run needs before its first step.

    Attributes:
        model: the network itself.
        network: what is trained: the model, or the model with adapters around it.
        processor: its processor.
        sources: where samples come from.
        dataset: the samples, encoded.
        tally: counts media.
        lasting_config: the model's config as it is to be saved.
        moving: how many numbers of each part move.
        counter: counts tokens.
    """

    model: ValleyForConditionalGeneration
    network: Any
    processor: ValleyProcessor
    sources: list[Source]
    dataset: TrainingDataset
    tally: MediaTally
    lasting_config: ValleyConfig
    moving: dict[Any, int]
    counter: BatchCounter


def need_packages(config: TrainConfig) -> None:
    """Say what a recipe asks for and is not installed, before anything is read or written.

    Raises:
        ConfigError: a package is missing; MissingExtraError where it is an extra of ours.
    """
    if config.lora is not None:
        need_peft()
    need_liger(config)
    need_boards(config)


def prepare(config: TrainConfig, folder: Path, on_event: OnEvent = ignore_event) -> Prepared:
    """Put model and data together.

    Raises:
        ConfigError: parts, adapters or data do not fit.
        MissingExtraError: a package is missing.
    """
    need_packages(config)
    model, processor = load_or_compose(config.model)
    put_liger_in(model.model.language_model, config)
    if config.lora is None:
        network: Any = model
        moving = freeze_all_but(model, config.parts)
    else:
        quantised = config.model.quantize is not None
        network = adapt(model, config.lora, config.parts, quantised=quantised)
        moving = count_moving(network)
    model.loss_function = make_assistant_loss(model)
    lasting_config = copy.deepcopy(model.config)
    model.model.language_model.config.use_cache = False  # training must not fill a KV cache
    tally = MediaTally(config.media, folder / QUARANTINE_NAME)
    sources = [
        make_source(
            source,
            settings=config.media,
            default_num_frames=model.config.num_frames,
            tally=tally,
            index_dir=config.index_dir,
        )
        for source in config.data
    ]
    seen = with_features(config, sources, model, processor, on_event)
    dataset = TrainingDataset(
        [(source, settings.weight) for source, settings in zip(seen, config.data, strict=True)],
        processor,
        max_length=config.max_length,
        max_tokens=[settings.max_tokens for settings in config.data],
        seed=config.seed,
    )
    share = max(1, len(dataset) // PartialState().num_processes)
    tally.hopeless_after = min(MIN_MEDIA_FOR_FRACTION, share)
    counter = BatchCounter()
    counter.watch(model)
    return Prepared(model, network, processor, sources, dataset, tally, lasting_config, moving, counter)
