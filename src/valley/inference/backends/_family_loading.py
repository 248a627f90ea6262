"""Load any image-text-to-text model of transformers, and say in one sentence why one cannot be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from valley.errors import ConfigError, MissingExtraError
from valley.inference.backends._loading import choose_device, choose_dtype
from valley.inference.resolving import ModelPlace, resolve
from valley.model.quantising import QUANTISED
from valley.video.sampling import FrameSampling

# What the words of transformers call a library, and what pip does.
_PACKAGES = {"torchvision": "torchvision", "num2words": "num2words"}
_MISSING = re.compile(r"requires the (\S+) library|[Pp]ackage `(\w+)`|No module named '([\w.]+)'")

# Frames of a clip unless more are asked for. Some families say 768, in 1080p 5 GB of pixels; 64 are 400 MB.
_MOST_FRAMES = 64


@dataclass(frozen=True)
class LoadedFamily:
    """A model in memory, its processor, and where they came from."""

    place: ModelPlace
    model: Any
    processor: Any


def load_family(name_or_path: str, *, dtype: object = None, device: object = None) -> LoadedFamily:
    """Load model and processor.

    Raises:
        ConfigError: there is no such model, it is of another kind, or weights are missing.
        MissingExtraError: its processor needs a library that is not installed.
    """
    place = resolve(name_or_path)
    if str(dtype) in QUANTISED:
        raise ConfigError(f"{name_or_path}: only Valley's checkpoints are quantised here; leave out {dtype}")
    target = choose_device(device)
    model_type = _checked_type(place)
    processor = _processor(place, model_type)
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            place.location, dtype=choose_dtype(dtype, target), output_loading_info=True
        )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise _unloadable(place, model_type, error) from error
    model, info = loaded
    if missing := sorted(info["missing_keys"]):
        raise ConfigError(
            f"{name_or_path}: the checkpoint lacks {len(missing)} weights, such as {missing[0]}; "
            "was it saved whole?"
        )
    return LoadedFamily(place, model.to(target).eval(), processor)


def default_sampling(processor: Any) -> FrameSampling:  # noqa: ANN401
    """Give the frames that a model's video processor says it takes; ours where it does not say."""
    video = getattr(processor, "video_processor", None)
    fps, num_frames = getattr(video, "fps", None), getattr(video, "num_frames", None)
    if fps:
        most = getattr(video, "max_frames", None) or num_frames or _MOST_FRAMES
        return FrameSampling(num_frames=None, fps=float(fps), max_frames=min(int(most), _MOST_FRAMES))
    return FrameSampling(num_frames=min(int(num_frames), _MOST_FRAMES)) if num_frames else FrameSampling()


def _checked_type(place: ModelPlace) -> str:
    try:
        config: Any = AutoConfig.from_pretrained(place.location)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _unloadable(place, "", error) from error
    if type(config) not in AutoModelForImageTextToText._model_mapping:
        raise ConfigError(
            f"{place.location}: want a Valley checkpoint or an image-text-to-text model, got a model of type "
            f"{config.model_type!r}"
        )
    return config.model_type


def _processor(place: ModelPlace, model_type: str) -> Any:  # noqa: ANN401
    try:
        processor: Any = AutoProcessor.from_pretrained(place.location)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError) as error:
        raise _unloadable(place, model_type, error) from error
    lacking = [part for part in ("tokenizer", "image_processor") if getattr(processor, part, None) is None]
    if lacking:
        raise ConfigError(f"{place.location}: its processor has no {' and no '.join(lacking)}")
    if not processor.chat_template:
        raise ConfigError(
            f"{place.location}: a model of type {model_type!r} without a chat template, so it cannot be asked"
        )
    return processor


def _unloadable(place: ModelPlace, model_type: str, error: Exception) -> ConfigError | MissingExtraError:
    """Put what a library says about a model into one sentence."""
    found = _MISSING.search(str(error))
    library = next((name for name in found.groups() if name), "").lower() if found else ""
    wanted_by = f"{place.location}, a model of type {model_type!r}," if model_type else place.location
    if library in _PACKAGES:
        return MissingExtraError(wanted_by=wanted_by, package=_PACKAGES[library], extra="families")
    if library:
        return ConfigError(f"{wanted_by} needs {library}: pip install {library}")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ConfigError(f"{place.location}: {lines[0] if lines else type(error).__name__}")
