"""How vLLM learns of Valley: it calls `register` in each of its processes, through an entry point.

After it `vllm serve CHECKPOINT` takes a checkpoint without trusting code in it. This module imports vLLM only
when it is called; `vllm_model` is the network, `vllm_video` reads clips.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import importlib
import logging

logger = logging.getLogger(__name__)

ARCHITECTURE = "ValleyForConditionalGeneration"
TESTED = ((0, 28), (0, 33))
"""Versions of vLLM, from and below, with which the plug-in was run."""


def register() -> None:
    """Tell vLLM about the architecture and the reader of clips; doing it twice changes nothing.

    vLLM does not survive an exception here, and a server of another model must not die of ours: whatever goes
    wrong is logged, and Valley is not served.
    """
    try:
        _register()
    except Exception:
        logger.exception("Valley is not registered with vLLM")


def _register() -> None:
    from vllm import ModelRegistry

    from valley.model import auto

    _warn_of_other_versions()
    auto.register_config()
    auto.register_processor()
    if ARCHITECTURE not in ModelRegistry.get_supported_archs():
        ModelRegistry.register_model(ARCHITECTURE, "valley.inference.vllm_model:ValleyForVllm")
    importlib.import_module("valley.inference.vllm_video")


def _warn_of_other_versions() -> None:
    import vllm

    found = tuple(int(n) for n in vllm.__version__.split("+")[0].split(".")[:2] if n.isdigit())
    oldest, too_new = TESTED
    if len(found) == 2 and not oldest <= found < too_new:
        logger.warning(
            "Valley was tested with vLLM from %d.%d and below %d.%d, this is %s",
            *oldest,
            *too_new,
            vllm.__version__,
        )
