"""What a server says of itself and its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from valley.errors import BackendError, ConfigError, SamplingError
from valley.inference.backends._server import Server
from valley.inference.backends._server_errors import RefusedError
from valley.video.sampling import FrameSampling

Kind: TypeAlias = Literal["valley", "vllm", "other"]


@dataclass(frozen=True)
class Listed:
    """What a server says of the model it is asked for.

    Attributes:
        model: its name.
        kind: of the server: `valley serve` lists capabilities, vLLM the length of the context.
        fields: as listed.
    """

    model: str
    kind: Kind
    fields: Mapping[str, Any]


def find_model(server: Server, model: str | None) -> Listed:
    """Find the model in the server's list."""
    try:
        value = server.get("models")
    except RefusedError as error:
        if error.status not in (404, 405, 501) or model is None:
            raise
        value = {}
    given = value.get("data") if isinstance(value, dict) else None
    cards = {str(c["id"]): c for c in given or () if isinstance(c, dict) and "id" in c}
    if model is None and len(cards) != 1:
        names = ", ".join(sorted(cards)[:20]) or "none"
        raise ConfigError(f"{server.url} lists these models: {names}; say which (--model)")
    name = model or next(iter(cards))
    fields_ = cards.get(name, {})
    # Adapters beside a model, and models of one server, are of one kind.
    shown = [fields_, *cards.values()]
    if any(isinstance(c.get("capabilities"), dict) and "media" in c["capabilities"] for c in shown):
        return Listed(name, "valley", fields_)
    return Listed(name, "vllm" if any("max_model_len" in c for c in shown) else "other", fields_)


def identity_of(server: Server, listed: Listed) -> dict[str, Any] | None:
    """Ask `valley serve` who answers there, for which it reads its weights; None where it does not say."""
    if listed.kind != "valley":
        return None
    try:
        value = server.get(f"models/{quote(listed.model)}")
    except RefusedError:
        return None
    told = value.get("identity") if isinstance(value, dict) else None
    return told if isinstance(told, dict) else None


def version_of(server: Server) -> str:
    try:
        value = server.get(server.url.removesuffix("/v1") + "/version")
    except BackendError:
        return ""
    return str(value.get("version", "")) if isinstance(value, dict) else ""


def sampling_of(told: object) -> FrameSampling:
    """Read how the server samples; its own words, so that what does not fit is passed over."""
    known = {f.name for f in fields(FrameSampling)}
    if not isinstance(told, dict):
        return FrameSampling()
    try:
        return FrameSampling(**{k: v for k, v in told.items() if k in known and v is not None})
    except (SamplingError, TypeError, ValueError):
        return FrameSampling()
