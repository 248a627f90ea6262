"""Find the gateway of a store, or start one that outlives whoever started it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from valley.errors import BackendError, ConfigError
from valley.instruct.gateway.budget import Price
from valley.instruct.gateway.server import FILE_NAME, GatewaySettings, run
from valley.locking import locked

START_WITHIN_S = 30.0
STOP_WITHIN_S = 180.0
"""A gateway that is stopped waits for the calls that are under way: they are paid for."""

LOG_NAME = "gateway.log"
STARTING_NAME = "starting.lock"

_STARTED: list[subprocess.Popen[bytes]] = []
"""Nobody waits for a gateway: it ends by itself, after its starter. Its handle is kept for as long."""


@dataclass(frozen=True)
class Address:
    """Where a gateway listens, and what it wants to hear."""

    base_url: str
    token: str

    @property
    def root(self) -> str:
        """The URL above the API."""
        return self.base_url.removesuffix("/v1")


def find(store: Path, *, fingerprint: str | None = None) -> Address | None:
    """Give the gateway that has a store, if one answers; with a fingerprint, only one of these settings."""
    try:
        found: dict[str, Any] = json.loads((store / FILE_NAME).read_text(encoding="utf-8"))
        address = Address(found["base_url"], found["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if fingerprint is not None and found.get("settings") != fingerprint:
        return None
    return address if ask(address, "GET", "/stats") is not None else None


def ask(address: Address, method: str, path: str, *, timeout_s: float = 10.0) -> dict[str, Any] | None:
    """Ask the gateway itself something; None where nobody answers."""
    import httpx

    headers = {"authorization": f"Bearer {address.token}"}
    try:
        response = httpx.request(
            method, address.root + path, headers=headers, timeout=timeout_s, trust_env=False
        )
        return response.json() if response.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None


def ensure(settings: GatewaySettings) -> Address:
    """Give the gateway of a store, started where there is none; one with other settings is replaced.

    Raises:
        BackendError: it does not start; the message has what it said.
    """
    until_s = time.monotonic() + START_WITHIN_S + STOP_WITHIN_S
    while True:
        found = find(settings.store, fingerprint=settings.fingerprint)
        if found is not None:
            return found
        try:  # of several that want one at once, one starts it
            with locked(settings.store / STARTING_NAME, taken="somebody else starts it"):
                return find(settings.store, fingerprint=settings.fingerprint) or _start(settings)
        except ConfigError as error:
            if time.monotonic() > until_s:
                raise BackendError(f"{settings.store}: no gateway: {error}") from error
            time.sleep(0.05)


def _start(settings: GatewaySettings) -> Address:
    if (other := find(settings.store)) is not None:
        stop(settings.store, other)
    log = settings.store / LOG_NAME
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "valley.instruct.gateway.starting"],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,  # it does not die with its starter, nor of the starter's Ctrl-C
        )
    _STARTED.append(process)
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(settings), default=str).encode())
    process.stdin.close()
    until_s = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until_s:
        if (found := find(settings.store, fingerprint=settings.fingerprint)) is not None:
            return found
        if process.poll() is not None and process.returncode != 0:
            break
        time.sleep(0.05)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise BackendError(f"the gateway does not start: {said[-1] if said else 'it said nothing'}; see {log}")


def stop(store: Path, address: Address) -> None:
    """Let the gateway of a store end, and wait until it has."""
    ask(address, "POST", "/stop")
    until_s = time.monotonic() + STOP_WITHIN_S
    while (store / FILE_NAME).exists() and time.monotonic() < until_s:
        time.sleep(0.05)
    _forget_ended()


def _forget_ended() -> None:
    _STARTED[:] = [process for process in _STARTED if process.poll() is None]


def _main() -> None:
    given: dict[str, Any] = json.load(sys.stdin)
    given["store"] = Path(given["store"])
    given["prices"] = {model: Price(**price) for model, price in given["prices"].items()}
    run(GatewaySettings(**given))


if __name__ == "__main__":
    _main()
