"""Where matrix products in bfloat16 are worth it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

Bf16: TypeAlias = bool | Literal["auto"]
"""Compute in bfloat16: yes, no, or where the processor multiplies matrices in it."""


def has_bf16_products(device_type: str = "cpu") -> bool:
    """Tell whether a device multiplies matrices in bfloat16; others are many times slower in it."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return device_type == "cpu" and any(capabilities.get(n) for n in ("avx512_bf16", "amx_bf16", "bf16"))


def wants_bf16(setting: Bf16) -> bool:
    """Say what a recipe's `bf16` comes to on this machine."""
    return has_bf16_products("cuda" if torch.cuda.is_available() else "cpu") if setting == "auto" else setting
