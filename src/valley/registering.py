"""Tells transformers' Auto classes about Valley as soon as somebody uses them.

`import valley` has to stay quick, and the Auto classes have to know Valley after it. So nothing is imported
until transformers' own module of Auto configs is, and then at once.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

logger = logging.getLogger(__name__)

_WATCHED = "transformers.models.auto.configuration_auto"


def register_when_wanted() -> None:
    """Register now where the Auto classes are in use already, else when they are first imported."""
    if _WATCHED in sys.modules:
        _register()
    elif not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())


def _register() -> None:
    try:
        importlib.import_module("valley.model")
    except ImportError as error:  # whoever uses transformers for something else must not suffer
        logger.warning("Valley is not registered with transformers' Auto classes: %s", error)


class _Watcher(MetaPathFinder):
    """Waits for one module; registers behind its import, and is gone."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _WATCHED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_then_register(module: ModuleType) -> None:
            execute(module)
            _register()

        spec.loader.exec_module = execute_then_register  # pyright: ignore[reportAttributeAccessIssue]
        return spec
