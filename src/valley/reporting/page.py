"""Pages from templates: whatever is put into one is escaped, and the page appears whole or not at all.

A page extends `frame.html.jinja`, which has the look, and takes `show` out of `tables.html.jinja`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from valley.errors import MissingExtraError

_OWN = ("frame.html.jinja", "tables.html.jinja")


def write_page(
    out: Path,
    package: str,
    template: str,
    contents: Mapping[str, Any],
    *,
    filters: Mapping[str, Callable[..., str]] | None = None,
) -> Path:
    """Write a page.

    Args:
        out: the file.
        package: where the template lies, such as "valley.collection".
        template: its name.
        contents: what it names; what it names and is not here is an error.
        filters: more of Jinja's filters.

    Raises:
        MissingExtraError: Jinja2 is absent.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError(wanted_by="a report", package="Jinja2", extra="data") from error
    sources = {name: _text("valley.reporting", name) for name in _OWN} | {template: _text(package, template)}
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(sources),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= dict(filters or {})
    page = environment.get_template(template).render(contents)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return out


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
