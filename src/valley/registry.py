"""A folder is the registry: a module's name is the thing's name, and it is imported on first use."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import pkgutil
from pathlib import Path
from typing import Any

from valley.errors import UnknownNameError


class Registry:
    """Things of one kind, one module each, found by listing a package's folder without importing it.

    Third parties add the same through an entry point group named after the package, without a fork.

    Example:
        ``Registry("valley.evaluation.benchmarks", attribute="BENCHMARK", kind="benchmark").get("synthetic")``
    """

    def __init__(self, package: str, *, attribute: str, kind: str) -> None:
        """Name the package whose modules are listed, the attribute each defines, and the word for errors."""
        self.package = package
        self.attribute = attribute
        self.kind = kind

    def names(self) -> list[str]:
        """List every name, built in and from entry points, sorted."""
        spec = importlib.util.find_spec(self.package)
        folders = [str(Path(p)) for p in (spec.submodule_search_locations if spec else None) or ()]
        own = {m.name for m in pkgutil.iter_modules(folders) if not m.name.startswith("_")}
        return sorted(own | {e.name for e in importlib.metadata.entry_points(group=self.package)})

    def get(self, name: str) -> Any:  # noqa: ANN401
        """Import and return the thing called `name`.

        Raises:
            UnknownNameError: no module and no entry point has this name.
        """
        names = self.names()
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}? There are" if near else "; there are"
            raise UnknownNameError(f"no {self.kind} is called {name!r}{hint}: {', '.join(names)}")
        for entry in importlib.metadata.entry_points(group=self.package):
            if entry.name == name:
                return entry.load()
        return getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute)
