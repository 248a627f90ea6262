"""How many parameters a checkpoint has, read from the headers of its safetensors files alone."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from valley.errors import ConfigError
from valley.inference.resolving import ModelPlace

_MAX_HEADER_BYTES = 100_000_000  # the limit that the format's own reader keeps
_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class ParameterCount:
    """Parameters, and the type in which most of them are stored.

    Attributes:
        num_parameters: of all parts.
        dtype: such as "float16".
        num_in_layers: of the language model's matrices, embeddings aside: what quantising makes small. 0
            where the names of the weights are not known.
    """

    num_parameters: int
    dtype: str
    num_in_layers: int = 0


def count_parameters(place: ModelPlace) -> ParameterCount:
    """Count the parameters of a checkpoint without reading one.

    Raises:
        ConfigError: there are no safetensors files, or one is damaged.
    """
    if place.folder is None:
        return _of_hub(place.location)
    files = sorted(place.folder.glob("*.safetensors"))
    if not files:
        raise ConfigError(
            f"{place.folder}: holds no safetensors files, so its size cannot be told beforehand"
        )
    headers = [read_header(file) for file in files]
    in_layers = sum(
        math.prod(tensor["shape"])
        for header in headers
        for name, tensor in header.items()
        if name.startswith("model.language_model.layers.") and len(tensor["shape"]) == 2
    )
    return replace(
        _count(tensor for header in headers for tensor in header.values()), num_in_layers=in_layers
    )


def fingerprint(place: ModelPlace) -> str:
    """Give a text that changes when a folder's weight files do (names, sizes, times), or the hub id."""
    if place.folder is None:
        return place.location
    stats = [
        (f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(place.folder.glob("*.safetensors"))
    ]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


def weights_of(place: ModelPlace) -> str:
    """Hash a folder's weight files by name and content; a hub id stands for itself."""
    if place.folder is None:
        return place.location
    digest = hashlib.sha256()
    for file in sorted(place.folder.glob("*.safetensors")):
        digest.update(f"{file.name}\0".encode())
        with file.open("rb") as opened:
            while block := opened.read(2**24):
                digest.update(block)
    return digest.hexdigest()


def read_header(path: Path) -> dict[str, dict[str, Any]]:
    """Read name, dtype and shape of every tensor in a safetensors file.

    Raises:
        ConfigError: the file is cut or no safetensors file.
    """
    with path.open("rb") as file:
        head = file.read(8)
        num_bytes = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 0 < num_bytes <= _MAX_HEADER_BYTES:
            raise ConfigError(f"{path}: no safetensors file; was it fetched whole (git lfs pull)?")
        text = file.read(num_bytes)
    try:
        header = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path}: its header is damaged; was it fetched whole?") from error
    header.pop("__metadata__", None)
    return header


def _count(tensors: Iterable[dict[str, Any]]) -> ParameterCount:
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor["dtype"]] += math.prod(tensor["shape"])
    return _counted(sizes)


def _of_hub(repo_id: str) -> ParameterCount:
    from huggingface_hub import get_safetensors_metadata
    from huggingface_hub.errors import HfHubHTTPError, NotASafetensorsRepoError

    try:
        counts = get_safetensors_metadata(repo_id).parameter_count
        return _counted(Counter({str(dtype): number for dtype, number in counts.items()}))
    except (HfHubHTTPError, NotASafetensorsRepoError, OSError) as error:
        raise ConfigError(f"{repo_id}: {str(error).splitlines()[0]}") from error


def _counted(sizes: Counter[str]) -> ParameterCount:
    commonest = sizes.most_common(1)[0][0] if sizes else "F32"
    return ParameterCount(sum(sizes.values()), _DTYPES.get(commonest, "float32"))
