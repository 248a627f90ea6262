"""Load a Valley checkpoint, and refuse in one sentence what is none."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig

from valley.errors import ConfigError, MissingExtraError
from valley.inference.resolving import ModelPlace, resolve
from valley.model.adapter_folder import base_of, is_adapter, load_adapted
from valley.model.configuration_valley import ValleyConfig
from valley.model.modeling_valley import ValleyForConditionalGeneration
from valley.model.processing_valley import ValleyProcessor
from valley.model.quantising import QUANTISED, quantisation

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory, and where it came from: a folder or hub id, and that of an adapter."""

    name: str
    model: ValleyForConditionalGeneration
    processor: ValleyProcessor
    places: tuple[ModelPlace, ...] = ()


def load(name_or_path: str, *, dtype: object = None, device: object = None) -> Loaded:
    """Load model and processor.

    Raises:
        ConfigError: there is no such model, it is of another kind, or weights are missing.
    """
    place, adapter = _below(resolve(name_or_path))
    target = choose_device(device)
    try:
        _, processor = read_parts(place)
        loaded: Any = ValleyForConditionalGeneration.from_pretrained(
            place.location,
            dtype=choose_dtype(dtype, target),
            output_loading_info=True,
            **quantisation(dtype, target),
        )
        model, info = loaded
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigError(f"{name_or_path}: {_first_sentence(error)}") from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise ConfigError(
            f"{name_or_path}: the checkpoint lacks {len(missing)} weights, such as {missing[0]}; "
            "was it saved whole?"
        )
    model = model if dtype in QUANTISED else model.to(target)
    if adapter is not None:
        model = _adapted(adapter, model, quantised=dtype in QUANTISED)
    name = place.name if adapter is None else adapter.name
    places = (place,) if adapter is None else (place, ModelPlace(name, str(adapter), adapter))
    return Loaded(name, model, processor, places)


def _below(place: ModelPlace) -> tuple[ModelPlace, Path | None]:
    """Find the checkpoint to load: the place itself, or what the adapter there belongs to."""
    if place.folder is None or not is_adapter(place.folder):
        return place, None
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError(wanted_by=f"{place.folder}, an adapter,", package="peft", extra="lora")
    return resolve(base_of(place.folder)), place.folder


def _adapted(folder: Path, model: Any, *, quantised: bool) -> Any:  # noqa: ANN401
    """Put an adapter into the weights; into quantised ones it is not merged, which would lose bits of it."""
    adapted = load_adapted(folder, model)
    return adapted.get_base_model() if quantised else adapted.merge_and_unload()


def read_parts(place: ModelPlace) -> tuple[ValleyConfig, ValleyProcessor]:
    """Read everything of a checkpoint but its weights.

    Raises:
        ConfigError: there is none, or it is a model of another kind.
    """
    try:
        config: Any = AutoConfig.from_pretrained(place.location)
        if isinstance(config, ValleyConfig):
            return config, ValleyProcessor.from_pretrained(place.location)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{place.location}: {_first_sentence(error)}") from error
    raise ConfigError(
        f"{place.location}: want a Valley checkpoint, got a model of type {config.model_type!r}"
    )


def context_length(config: ValleyConfig) -> int | None:
    """Say how many tokens a model takes; None where its config does not say."""
    return config.text_config.to_dict().get("max_position_embeddings")


def choose_device(device: object) -> torch.device:
    """Take the accelerator where there is one and nothing else is asked for.

    Raises:
        ConfigError: torch knows no such device, or this machine has none.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device is None:
        return accelerator or torch.device("cpu")
    try:
        wanted = torch.device(str(device))
    except RuntimeError as error:
        raise ConfigError(f"device {str(device)!r}: want cpu, cuda, cuda:0 or mps") from error
    kind = "none" if accelerator is None else accelerator.type
    number = wanted.index or 0
    if wanted.type != "cpu" and (wanted.type != kind or number >= torch.accelerator.device_count()):
        raise ConfigError(f"device {str(device)!r}: there is none here; leave it out, or want cpu")
    return wanted


def choose_dtype(dtype: object, device: torch.device) -> str:
    """Take the stored type on an accelerator; a CPU computes half precision slowly, so float32 there.

    Where the language model is quantised, this is the type of all the rest.

    Raises:
        ConfigError: it is no type for weights.
    """
    if dtype is None:
        return "float32" if device.type == "cpu" else "auto"
    name = str(dtype).removeprefix("torch.")
    if name in QUANTISED:
        return "bfloat16"
    if name not in ("auto", *DTYPES):
        raise ConfigError(f"dtype {name!r}: want one of {', '.join((*DTYPES, *QUANTISED))}")
    return name


def _first_sentence(error: Exception) -> str:
    """Keep what a library says first; its advice on tokens and caches is long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
