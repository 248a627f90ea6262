"""Weights of published checkpoints, shard by shard: read, added to, overlaid, and written.

What is held at once is one shard that is read (mapped into memory) and one that is written.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers.utils.hub import cached_file

from .errors_valley import PartsError

SHARD_BYTES = 2 * 2**30
"""A written file of weights is at most about this large."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


@runtime_checkable
class Weights(Protocol):
    """Weights by their published names."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Give name and shape of every weight."""
        ...

    def tensors(self, wanted: set[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield the wanted weights, shard by shard."""
        ...


class CheckpointFiles:
    """The files of a checkpoint, in a folder or on the hub."""

    def __init__(self, source: str | Path, *, cure: str = "") -> None:
        self.source = source
        self._cure = f"; {cure}" if cure else ""
        self._folder = Path(source) if Path(source).is_dir() else None
        if self._folder is None and not _HUB_ID.fullmatch(str(source)):
            raise PartsError(f"{source}: want a folder or a hub id such as owner/name{self._cure}")

    def find(self, name: str) -> Path | None:
        """Give a file, fetched from the hub where need be; None where there is none.

        Raises:
            PartsError: the hub cannot be reached.
        """
        if self._folder is not None:
            path = self._folder / name
            return path if path.is_file() else None
        try:
            found = cached_file(str(self.source), name, _raise_exceptions_for_missing_entries=False)
        except (OSError, HfHubHTTPError) as error:
            first = str(error).splitlines()[0]
            raise PartsError(f"{self.source}: {first}{self._cure}") from error
        return None if found is None else Path(found)

    def path(self, name: str) -> Path:
        """Give a file that has to be there."""
        found = self.find(name)
        if found is None:
            raise PartsError(f"{self.source}: has no {name}{self._cure}")
        return found

    def json(self, name: str, *, absent: Any = None) -> Any:  # noqa: ANN401
        """Read a file of JSON; PartsError where it is none, or absent without a substitute."""
        if absent is not None and self.find(name) is None:
            return absent
        path = self.path(name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise PartsError(f"{path}: no JSON ({error})") from error

    def folder_with(self, *names: str) -> Path:
        """Give a folder that has these files, as far as they exist."""
        found = [self.find(name) for name in names]
        return self.path(names[0]).parent if found[0] is None else found[0].parent


class StoredWeights:
    """The weights of a checkpoint, in one file or in shards, of either format."""

    def __init__(self, files: CheckpointFiles) -> None:
        self.files = files
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._shard_of: dict[str, str] = {}
        self._open: tuple[str, Mapping[str, Tensor]] | None = None

    def shards(self) -> list[str]:
        """Name the files that hold weights."""
        for name in _WEIGHT_FILES:
            if self.files.find(f"{name}.index.json") is not None:
                return sorted(set(self.files.json(f"{name}.index.json")["weight_map"].values()))
            if self.files.find(name) is not None:
                return [name]
        raise PartsError(f"{self.files.source}: has no weights (one of {', '.join(_WEIGHT_FILES)})")

    def exist(self) -> bool:
        """Tell whether there are any."""
        names = [n for name in _WEIGHT_FILES for n in (name, f"{name}.index.json")]
        return any(self.files.find(name) is not None for name in names)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Give name and shape of every weight."""
        if self._shapes is None:
            self._shapes = {}
            for shard in self.shards():
                tensors = self._read(shard)
                self._shapes |= {name: tuple(t.shape) for name, t in tensors.items()}
                self._shard_of |= dict.fromkeys(tensors, shard)
        return self._shapes

    def tensors(self, wanted: set[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield the wanted weights, shard by shard."""
        for shard in self.shards():
            for name, tensor in self._read(shard).items():
                if name in wanted:
                    yield name, tensor

    def tensor(self, name: str) -> Tensor:
        """Give one weight; neighbours in a shard are read once."""
        return self._read(self._shard_of[name])[name]

    def _read(self, shard: str) -> Mapping[str, Tensor]:
        if self._open is None or self._open[0] != shard:
            self._open = None
            self._open = (shard, read_tensors(self.files.path(shard)))
        return self._open[1]


class AddedWeights:
    """Differences added to a language model's weights; rows that it lacks stay as they are."""

    def __init__(self, delta: StoredWeights, base: StoredWeights) -> None:
        self.delta, self.base = delta, base
        absent = {n for n in base.shapes() if n not in delta.shapes()}
        if absent:
            raise PartsError(
                f"{delta.files.source}: no difference for {len(absent)} weights of {base.files.source}: "
                + ", ".join(sorted(absent))
            )
        other = [
            f"{name}: {delta.shapes()[name]} to {shape}"
            for name, shape in base.shapes().items()
            if delta.shapes()[name][1:] != shape[1:] or delta.shapes()[name][0] < shape[0]
        ]
        if other:
            raise PartsError(
                f"{delta.files.source}: does not belong to {base.files.source}: {'; '.join(other)}"
            )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Give name and shape of every weight."""
        return self.delta.shapes()

    def tensors(self, wanted: set[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield the sums."""
        known = self.base.shapes()
        for name, difference in self.delta.tensors(wanted):
            if name not in known:
                yield name, difference
                continue
            total = difference.to(torch.float32, copy=True)  # the mapped file stays as it is
            total[: known[name][0]] += self.base.tensor(name).float()
            yield name, total.to(difference.dtype)


class OverlaidWeights:
    """A checkpoint some of whose weights are replaced by those of a later one."""

    def __init__(self, below: StoredWeights, above: StoredWeights) -> None:
        self.below, self.above = below, above

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Give name and shape of every weight; those of adapters are no weights."""
        later = {name: shape for name, shape in self.above.shapes().items() if ".lora_" not in name}
        return self.below.shapes() | later

    def tensors(self, wanted: set[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield the later ones where there are some."""
        later = wanted & self.above.shapes().keys()
        yield from self.above.tensors(later)
        yield from self.below.tensors(wanted - later)


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """Map the tensors of a file into memory; a pickle may hold nothing but tensors.

    Raises:
        PartsError: it is damaged, or would have to run code.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # the format before 2020 cannot be mapped
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PartsError(f"{path}: damaged, or holds more than tensors ({first})") from error
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise PartsError(f"{path}: want weights by name, got {type(state).__name__}")
    return state


class ShardWriter:
    """Writes weights into safetensors files of bounded size, and their index."""

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder, self._shard_bytes = folder, shard_bytes
        self._held: dict[str, Tensor] = {}
        self._held_bytes = self._total_bytes = 0
        self._written: list[list[str]] = []

    def add(self, name: str, tensor: Tensor) -> None:
        """Take one weight; write what is held where it would become too much."""
        size = tensor.numel() * tensor.element_size()
        if self._held and self._held_bytes + size > self._shard_bytes:
            self._flush()
        self._held[name] = tensor.contiguous()
        self._held_bytes += size
        self._total_bytes += size

    def _flush(self) -> None:
        path = self._folder / f"model-{len(self._written) + 1:05d}.safetensors"
        save_file(self._held, path, metadata={"format": "pt"})
        self._written.append(list(self._held))
        self._held, self._held_bytes = {}, 0

    def finish(self) -> None:
        """Write the rest, name the files as transformers does, and index them where there are several."""
        self._flush()
        count = len(self._written)
        places = {}
        for number, names in enumerate(self._written, 1):
            final = "model.safetensors" if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"
            (self._folder / f"model-{number:05d}.safetensors").replace(self._folder / final)
            places |= dict.fromkeys(names, final)
        if count > 1:
            index = {"metadata": {"total_size": self._total_bytes}, "weight_map": places}
            path = self._folder / "model.safetensors.index.json"
            path.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
