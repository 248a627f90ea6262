"""Run the page until Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from valley.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

GRACE_S = 3
"""Answers that are still coming are cut off after so long."""


def run(app: ASGIApp, *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve an application.

    Args:
        app: what is served.
        host: an address of this machine.
        port: 0 takes a free one.
        on_ready: is told the page's address.

    Raises:
        ConfigError: the address is not free, or not of this machine.
        MissingExtraError: the web server is absent.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(wanted_by="the page", package="uvicorn", extra="ui") from error
    with _listen(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="on", timeout_graceful_shutdown=GRACE_S
        )
        on_ready(f"http://{name}:{listener.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(f"{host}:{port}: cannot listen there ({error}); take another --port") from error
