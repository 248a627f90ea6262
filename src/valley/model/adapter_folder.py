"""A folder with an adapter: what was trained, and which checkpoint it belongs to; saved, loaded and checked.

The adapter itself is PEFT's (`adapter_config.json`, `adapter_model.safetensors`), with whole modules that
were trained along inside. Beside it `base.json` names the checkpoint below, and what its weights hash to.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

from safetensors import safe_open

from .errors_valley import ConfigError

ADAPTER_CONFIG, ADAPTER_WEIGHTS, BASE_NAME = "adapter_config.json", "adapter_model.safetensors", "base.json"


def is_adapter(folder: str | Path) -> bool:
    """Tell whether a folder holds an adapter and no model of its own."""
    return (Path(folder) / ADAPTER_CONFIG).is_file() and not (Path(folder) / "config.json").is_file()


def weights_sha256(folder: str | Path) -> str:
    """Hash the weight files of a checkpoint, in the order of their names.

    Raises:
        ConfigError: the folder holds no safetensors files.
    """
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise ConfigError(f"{folder}: holds no safetensors files to hash")
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def note_base(folder: Path, base: str, *, sha256: str | None) -> None:
    """Write down which checkpoint an adapter belongs to."""
    part = folder / f"{BASE_NAME}.part"
    part.write_text(json.dumps({"base": base, "sha256": sha256}, indent=2) + "\n", encoding="utf-8")
    part.replace(folder / BASE_NAME)


def base_of(folder: str | Path, *, base: str | Path | None = None) -> str:
    """Find the checkpoint an adapter belongs to, and make sure that it is the one.

    Args:
        folder: of the adapter.
        base: where the checkpoint lies now, if elsewhere than when the adapter was trained.

    Raises:
        ConfigError: nothing says which it is, it is not there, or its weights are others.
    """
    said = _noted(folder)
    found = str(base or base_name(folder))
    if not found:
        raise ConfigError(f"{folder}: nothing says which checkpoint this adapter belongs to; name its base")
    if said.get("sha256") and Path(found).is_dir() and weights_sha256(found) != said["sha256"]:
        raise ConfigError(
            f"{folder}: was trained on other weights than {found} holds now; give the base it belongs to"
        )
    return found


def base_name(folder: str | Path) -> str:
    """Say which checkpoint an adapter names, without a look at it; an empty text where it names none."""
    config = json.loads((Path(folder) / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    return str(_noted(folder).get("base") or config.get("base_model_name_or_path") or "")


def _noted(folder: str | Path) -> dict[str, Any]:
    noted = Path(folder) / BASE_NAME
    return json.loads(noted.read_text(encoding="utf-8")) if noted.is_file() else {}


def load_adapted(folder: str | Path, model: Any, *, trainable: bool = False) -> Any:  # noqa: ANN401
    """Put an adapter on its base; a `PeftModel`.

    Args:
        folder: of the adapter.
        model: the base, see `base_of`.
        trainable: whether it is going to be trained further.

    Raises:
        ConfigError: weights of the adapter are missing or belong nowhere; all are listed.
    """
    from peft import PeftModel, get_peft_model_state_dict

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found missing adapter keys")  # an error, below
        adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    with safe_open(Path(folder) / ADAPTER_WEIGHTS, "pt") as file:
        given = set(file.keys())
    wanted = set(get_peft_model_state_dict(adapted))
    faults = [
        f"{what}: {', '.join(sorted(names))}"
        for what, names in (("missing", wanted - given), ("unexpected", given - wanted))
        if names
    ]
    if faults:
        raise ConfigError(f"{folder}: this adapter does not fit its base; {'; '.join(faults)}")
    return adapted


__all__ = ["base_of", "is_adapter", "load_adapted", "note_base", "weights_sha256"]
