"""One way to open what a command is asked to ask: a model here, or one at a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from valley.inference.backend import Backend

DEFAULT_MODEL = "valley-mini"


def open_model(
    model: str | None = None,
    base_url: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    **engine_options: Any,  # noqa: ANN401
) -> Backend:
    """Open what `--model`, `--base-url`, `--dtype` and `--device` name.

    Without `model` this is the embedded one, or the only one that the server lists. `engine_options` are
    those of `valley.inference.opening.open_backend`.

    Raises:
        ConfigError: there is no such model, or `--dtype` or `--device` is given for a server.
        BackendError: the server does not answer.
    """
    from valley.inference.opening import open_backend

    if base_url is None:
        return open_backend(model or DEFAULT_MODEL, dtype=dtype, device=device, **engine_options)
    return open_backend(
        model, base_url=base_url, api_key=api_key(), dtype=dtype, device=device, **engine_options
    )


def api_key() -> str | None:
    """Give the key for a server: VALLEY_API_KEY, else OPENAI_API_KEY."""
    return os.environ.get("VALLEY_API_KEY") or os.environ.get("OPENAI_API_KEY") or None
