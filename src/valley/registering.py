"""Tells transformers' Auto classes about Valley as soon as somebody uses them.

`import valley` has to stay quick, and the Auto classes have to know Valley after it. So nothing is imported
until transformers' own modules of Auto classes are, and then what belongs to each: the config, the networks,
the processor. One after the other, because transformers' modules import each other.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

logger = logging.getLogger(__name__)

_AUTO = "transformers.models.auto."
# Module -> the function of valley.model.auto that registers with its Auto classes.
_STEPS = {
    "transformers": "open_video_processors",
    f"{_AUTO}configuration_auto": "register_config",
    f"{_AUTO}modeling_auto": "register_models",
    f"{_AUTO}processing_auto": "register_processor",
    f"{_AUTO}video_processing_auto": "register_video_processor",
}


# What is registered; imported first, one of these imports the Auto classes before it is whole itself.
_OWN = ("valley.model.configuration_valley", "valley.model.modeling_valley", "valley.model.processing_valley")


def register_when_wanted() -> None:
    """Register now with the Auto classes that are in use, with others when they are first imported."""
    if not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())
    for module, step in _STEPS.items():
        if module in sys.modules:
            _register(step)


def _register(step: str) -> bool:
    """Register; tell whether it is done, which it is not while a module of ours is half imported."""
    try:
        getattr(importlib.import_module("valley.model.auto"), step)()
    except ImportError as error:  # whoever uses transformers for something else must not suffer
        if any(_is_half_imported(name) for name in _OWN):
            return False
        logger.warning("Valley is not registered with transformers' Auto classes: %s", error)
    return True


def _is_half_imported(name: str) -> bool:
    return getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False)


class _Watcher(MetaPathFinder):
    """Waits for the modules of Auto classes, and registers behind the import of each."""

    def __init__(self) -> None:
        self._waiting: list[str] = []

    def find_spec(
        self,
        fullname: str,
        path: Any,  # noqa: ANN401
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find one of these modules as anybody would, and add what is to be done behind it."""
        if fullname not in _STEPS and fullname not in _OWN:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_then_register(module: ModuleType) -> None:
            execute(module)
            self._waiting += [_STEPS[fullname]] if fullname in _STEPS else []
            self._waiting = [step for step in self._waiting if not _register(step)]

        spec.loader.exec_module = execute_then_register  # pyright: ignore[reportAttributeAccessIssue]
        return spec
