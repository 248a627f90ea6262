"""From a model's name to where its files are: embedded in the package, a folder, or the Hugging Face hub."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from valley.errors import ConfigError

# What the package carries, and in which folder of src/valley/assets.
EMBEDDED = {"valley-mini": "valley-mini"}

_ASSETS = Path(__file__).parents[1] / "assets"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class ModelPlace:
    """Where a model's files are.

    Attributes:
        name: how answers are signed: the embedded name, the folder's name, or the hub id.
        location: what `from_pretrained` of transformers takes: a folder or a hub id.
        folder: the same where it is a folder.
    """

    name: str
    location: str
    folder: Path | None


def resolve(name_or_path: str) -> ModelPlace:
    """Find a model by embedded name, then as a folder, then as a hub id. Asks no network.

    Raises:
        ConfigError: it is none of them, or the folder holds no checkpoint.
    """
    if name_or_path in EMBEDDED:
        return _folder(
            _ASSETS / EMBEDDED[name_or_path], name_or_path, cure="reinstall valley-vl, or run make mini"
        )
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return _folder(path, path.resolve().name, cure="a checkpoint folder holds config.json")
    if _HUB_ID.fullmatch(name_or_path):
        return ModelPlace(name_or_path, name_or_path, None)
    near = difflib.get_close_matches(name_or_path, EMBEDDED, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"{name_or_path}: no such model{hint}; want {', '.join(EMBEDDED)}, a folder, "
        "or a hub id such as owner/name"
    )


def _folder(path: Path, name: str, *, cure: str) -> ModelPlace:
    if not (path / "config.json").is_file() and not (path / "adapter_config.json").is_file():
        raise ConfigError(f"{path}: holds no model (no config.json); {cure}")
    return ModelPlace(name, str(path), path)
