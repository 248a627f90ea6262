"""Recipes: YAML files of named settings, `a.b=v` overrides, and a check that names each fault with its place.

What the settings mean is said by a schema of whoever reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from valley.errors import ConfigError

_Schema = TypeVar("_Schema", bound=BaseModel)


class StrictSettings(BaseModel):
    """Settings that do not change, and know all their names."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class _Loader(yaml.SafeLoader):
    """YAML that reads 2e-5 as a number (YAML 1.1 wants 2.0e-5 and hands the rest on as text)."""


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe's settings without checking them.

    Raises:
        ConfigError: the file is absent, or no YAML of named settings.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such recipe")
    try:
        words = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file, want a YAML recipe") from error
    fields = _parse(words, where=str(path))
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: want a recipe of named settings, got {type(fields).__name__}")
    return fields


def override(fields: dict[str, Any], words: str, *, aliases: Mapping[str, str] | None = None) -> None:
    """Change one setting of a recipe, such as ``trainer.max_steps=10`` or ``data.0.weight=2``.

    Args:
        fields: the settings; they are changed.
        words: the name and, behind the first "=", the value as YAML.
        aliases: short names of settings.

    Raises:
        ConfigError: there is no "=", or no such place.
    """
    name, equals, value = words.partition("=")
    if not equals or not name:
        raise ConfigError(f"want an override such as trainer.max_steps=10, got {words!r}")
    *folders, last = (aliases or {}).get(name, name).split(".")
    here: Any = fields
    for key in folders:
        here = _entry(here, key, words)
    if isinstance(here, list):
        here[_position(here, last, words)] = _parse(value, where=words)
    elif isinstance(here, dict):
        here[last] = _parse(value, where=words)
    else:
        raise ConfigError(f"{words}: {folders[-1]!r} holds a value, not named settings")


def checked(schema: type[_Schema], fields: Mapping[str, Any], *, where: str) -> _Schema:
    """Check settings against a schema.

    Raises:
        ConfigError: with every fault, each with its place.
    """
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        faults = [
            ".".join(str(k) for k in fault["loc"]) + ": " + fault["msg"].removeprefix("Value error, ")
            for fault in error.errors()
        ]
        raise ConfigError(f"{where}: " + "; ".join(f.removeprefix(": ") for f in faults)) from error


def _parse(text: str, *, where: str) -> Any:  # noqa: ANN401
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with one more number format
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML ({' '.join(str(error).split())})") from error


def _entry(here: Any, key: str, words: str) -> Any:  # noqa: ANN401
    if isinstance(here, list):
        return here[_position(here, key, words)]
    if isinstance(here, dict):
        return here.setdefault(key, {})
    raise ConfigError(f"{words}: nothing can be named {key!r} there")


def _position(here: list[Any], key: str, words: str) -> int:
    if not key.isdigit() or int(key) >= len(here):
        raise ConfigError(f"{words}: want a position from 0 to {len(here) - 1}, got {key!r}")
    return int(key)
