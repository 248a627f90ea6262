"""A model of one's own as a server of this process, for commands that ask over HTTP."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from valley.cli.opening import open_model
from valley.errors import ConfigError

if TYPE_CHECKING:
    from valley.instruct.recipe import InstructSettings

HERE = "http://127.0.0.1/v1"
"""Stands for a server that a command starts itself."""


@contextmanager
def served_here(
    model: str, *, dtype: str | None = None, device: str | None = None
) -> Iterator[tuple[str, str]]:
    """Serve a model on a free port of this machine as long as the block lasts; give address and name.

    Raises:
        ConfigError: there is no such model.
        MissingExtraError: the web server is absent.
    """
    from valley.serving.app import create_app
    from valley.serving.limits import ServeSettings
    from valley.serving.media import MediaGate, MediaSettings
    from valley.serving.running import Running

    backend = open_model(model, dtype=dtype, device=device)
    settings = ServeSettings(port=0)
    with tempfile.TemporaryDirectory(prefix="valley-serve-") as spool:
        app = create_app(backend, settings, media=MediaGate(MediaSettings(), Path(spool)))
        running = Running(app, settings)
        thread = threading.Thread(target=running.run, name="valley-serve")
        thread.start()
        try:
            while app.state.service.state == "loading" and thread.is_alive():
                time.sleep(0.01)
            yield f"{running.address}/v1", backend.capabilities.model
        finally:
            running.stop()
            thread.join()


def model_here(model: str) -> str:
    """Give the absolute name of a model that is to run here.

    Raises:
        ConfigError: there is no such model, and no server was named that could have it.
    """
    from valley.inference.resolving import resolve

    try:
        return resolve(model).location
    except ConfigError as error:
        raise ConfigError(f"{error}; or name the server that has it with --base-url") from error


@contextmanager
def reachable(settings: InstructSettings, *, offline: bool) -> Iterator[InstructSettings]:
    """Serve a model that is to run here, as long as the block lasts."""
    writer = settings.writer
    if writer.base_url != HERE:
        yield settings
        return
    from valley.inference.resolving import resolve

    named = writer.model_copy(update={"model": resolve(writer.model).name})
    if offline:
        yield settings.model_copy(update={"writer": named})
        return
    with served_here(writer.model) as (address, name):
        reached = named.model_copy(update={"base_url": address, "model": name})
        yield settings.model_copy(update={"writer": reached})
