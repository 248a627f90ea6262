"""`valley gateway`: a local server in front of one that charges; nothing is paid for twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from valley.errors import ConfigError

if TYPE_CHECKING:
    from valley.instruct.gateway.budget import Price


def gateway(
    upstream: Annotated[str, typer.Option("--upstream", help="Base URL of the server that charges.")] = "",
    store: Annotated[Path, typer.Option("--store", help="The folder of requests and raw replies.")] = Path(
        "calls"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8090,
    price: Annotated[
        list[str] | None,
        typer.Option("--price", help="[MODEL=]PROMPT,REPLY in dollars for a million tokens; repeatable."),
    ] = None,
    max_usd: Annotated[
        str | None, typer.Option("--max-usd", help="Never spend more in the store's whole life.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="The same in tokens.")] = None,
    rpm: Annotated[
        float | None, typer.Option("--rpm", help="Requests a minute that the server allows.")
    ] = None,
    tpm: Annotated[float | None, typer.Option("--tpm", help="Tokens a minute that it allows.")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Calls at once.")] = 16,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds for one call.")] = 120.0,
    offline: Annotated[bool, typer.Option("--offline", help="Answer from the store alone.")] = False,
) -> None:
    """Run the gateway until Ctrl-C.

    Point any client of OpenAI's API at the base URL that is printed, with the token beside it as its key.
    Equal requests share a reply, for good; a header `X-Valley-Sample: 1` asks for another draw. The server's
    own key is read from VALLEY_API_KEY, else from OPENAI_API_KEY. `GET /stats` says what was asked and paid.
    """
    from valley.instruct.gateway.server import GatewaySettings, run

    if not upstream and not offline:
        raise ConfigError("want --upstream with the base URL of a server, or --offline")
    settings = GatewaySettings(
        store=store,
        upstream=upstream,
        api_key=os.environ.get("VALLEY_API_KEY") or os.environ.get("OPENAI_API_KEY", ""),
        prices=dict(map(_price, price or [])),
        max_usd=max_usd,
        max_tokens=max_tokens,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        concurrency=concurrency,
        timeout_s=timeout_s,
        offline=offline,
        port=port,
    )
    run(settings, on_ready=_say_ready)


def _say_ready(base_url: str, token: str) -> None:
    print(f"base URL  {base_url}\nkey       {token}\nstop it with Ctrl-C", flush=True)


def _price(words: str) -> tuple[str, Price]:
    from valley.instruct.gateway.budget import Price

    model, equals, numbers = words.rpartition("=")
    prompt, comma, reply = numbers.partition(",")
    if not comma:
        raise ConfigError(f"--price: want [MODEL=]PROMPT,REPLY, got {words!r}")
    return (model if equals else "*"), Price.of(prompt, reply)
