"""`valley ui`: the web page in front of any OpenAI-compatible server."""

from __future__ import annotations

import ipaddress
import os
from typing import Annotated

import typer

from valley.cli.opening import api_key
from valley.errors import ConfigError

_ANY = ("0.0.0.0", "::")


def ui(
    base_url: Annotated[
        str | None,
        typer.Option(
            "--base-url", help="The server to ask, such as http://localhost:8000/v1; else --model runs here."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Which of the server's models is chosen first; or, without one, what `valley chat` takes.",
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 7860,
    api_key_env: Annotated[
        str | None,
        typer.Option(
            "--api-key-env",
            help="The variable that holds the server's key; VALLEY_API_KEY, else OPENAI_API_KEY by default.",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", help="Another name by which browsers reach the page; repeatable."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let everybody who reaches --host ask, at the cost of the key.")
    ] = False,
) -> None:
    """Show the web page, and ask a server with it, until Ctrl-C.

    Any server that speaks OpenAI's API will do; one of `valley serve` has this page at its own address, too.
    The server's key stays here, and the page is for this machine alone unless you say otherwise. Without
    --base-url a model is served here, as `valley serve` does, which has more options.
    """
    if base_url is None:
        if api_key_env is not None:
            raise ConfigError("--api-key-env names the key of a server: give its --base-url too")
        from valley.cli.serve import serve

        serve(model, host=host, port=port, allowed_host=allowed_host, insecure=insecure)
        return
    if not _is_loopback(host) and not insecure:
        raise ConfigError(
            f"--host {host}: whoever reaches it could ask with your key; say --insecure if they may"
        )
    from valley.ui.app import proxy_app
    from valley.ui.guard import LOOPBACK
    from valley.ui.running import run

    extra = allowed_host or []
    hosts = None if host in _ANY and not extra else [*LOOPBACK, host, *extra]
    app = proxy_app(base_url, _key(api_key_env), model=model, hosts=hosts)
    run(app, host=host, port=port, on_ready=_say_ready)


def _key(variable: str | None) -> str:
    if variable is None:
        return api_key() or ""
    if not os.environ.get(variable):
        raise ConfigError(f"--api-key-env {variable}: the variable is not set")
    return os.environ[variable]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _say_ready(address: str) -> None:
    print(f"{address}\nstop it with Ctrl-C", flush=True)
