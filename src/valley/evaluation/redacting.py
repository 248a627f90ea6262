"""Texts without what opens a door: credentials in addresses, headers, and keys of known form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SECRETS = (
    (re.compile(r"(\w+://)[^/@\s\"']+@"), r"\1"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 ***"),
    (re.compile(r"\b(sk|hf|ghp|xox[abp])[-_][\w-]{8,}"), r"\1-***"),
    (re.compile(r"(?i)\b((?:api[-_]?)?key|token|secret|password|signature|sig)=[^&\s\"']+"), r"\1=***"),
)


def without_secrets(value: Any) -> Any:  # noqa: ANN401
    """Take credentials out of every text of a JSON value: in addresses, headers, and keys of known form."""
    if isinstance(value, str):
        for pattern, instead in _SECRETS:
            value = pattern.sub(instead, value)
        return value
    if isinstance(value, Mapping):
        return {k: without_secrets(v) for k, v in value.items()}
    return [without_secrets(v) for v in value] if isinstance(value, list | tuple) else value
