"""From what a user calls a model to an engine with it: a Valley checkpoint, any video model, or a server."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from valley.errors import ConfigError
from valley.inference.backend import BACKENDS, Backend
from valley.inference.resolving import ModelPlace, resolve
from valley.model.adapter_folder import base_name, is_adapter

VALLEY_ENGINE = "transformers"
ANY_MODEL_ENGINE = "image_text_to_text"
SERVER_ENGINE = "openai"


def open_backend(
    model: str | None = "valley-mini",
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    engine: str | None = None,
    dtype: object = None,
    device: object = None,
    **engine_options: Any,  # noqa: ANN401
) -> Backend:
    """Open a model by its name.

    Args:
        model: an embedded name, a folder, or a hub id; with `base_url`, its name at the server, where None
            takes the only model that the server lists.
        base_url: of an OpenAI-compatible server, such as http://localhost:8000/v1.
        api_key: for the server.
        engine: a name of `valley.inference.backends`; None takes the one that fits the model.
        dtype: of the weights; see `Valley.from_pretrained`. A server has its own.
        device: for the weights; likewise.
        engine_options: further options of the engine that will answer, such as `max_batch_size`.

    Raises:
        ConfigError: there is no such model, or an option does not go with a server or this engine.
        BackendError: the server does not answer.
        UnknownNameError: there is no such engine.
    """
    if base_url is not None:
        if dtype is not None or device is not None:
            raise ConfigError(
                "a server has its own dtype and device: leave them out, or leave out the address"
            )
        connect = BACKENDS.get(engine or SERVER_ENGINE).connect
        _refuse_unknown(connect, engine_options, f"the server at {base_url}")
        return connect(base_url, model=model, api_key=api_key, **engine_options)
    if model is None:
        raise ConfigError("want a model: an embedded name, a folder, or a hub id")
    chosen = _engine(engine or engine_for(resolve(model)), model)
    _refuse_unknown(chosen, engine_options, model)
    return chosen.from_pretrained(model, dtype=dtype, device=device, **engine_options)


def _engine(name: str, model: str) -> Any:  # noqa: ANN401
    """Import an engine; a torchvision that was built for another torch stops transformers from loading."""
    try:
        return BACKENDS.get(name)
    except (ImportError, RuntimeError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if "torchvision" not in str(cause):
            raise
        raise ConfigError(
            f"{model}: torchvision does not load ({cause}): install the build that fits this torch, both "
            "from one place, or remove it"
        ) from error


def _refuse_unknown(made_by: Callable[..., object], options: Mapping[str, object], name: str) -> None:
    """Refuse options that an engine does not have."""
    unknown = options.keys() - inspect.signature(made_by).parameters.keys()
    if unknown:
        raise ConfigError(f"{name}: its engine has no option {', '.join(sorted(unknown))}; leave it out")


def engine_for(place: ModelPlace) -> str:
    """Say which engine runs a model, by the kind that its config names.

    Raises:
        ConfigError: nothing says of what kind it is, or it is an adapter of another kind than Valley's.
    """
    if place.folder is None or not is_adapter(place.folder):
        return VALLEY_ENGINE if _model_type(place) == "valley" else ANY_MODEL_ENGINE
    base = base_name(place.folder)
    kind = _model_type(resolve(base)) if base else "valley"
    if kind != "valley":
        raise ConfigError(
            f"{place.folder}: an adapter of {base}, a model of type {kind!r}, and only Valley's are put in "
            "here: merge it into its model (PEFT's merge_and_unload), and open that"
        )
    return VALLEY_ENGINE


def _model_type(place: ModelPlace) -> str:
    from transformers import PretrainedConfig

    try:
        fields: dict[str, Any] = PretrainedConfig.get_config_dict(place.location)[0]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{place.location}: {str(error).splitlines()[0]}") from error
    return str(fields.get("model_type", ""))
