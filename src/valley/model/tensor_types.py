"""The axis-annotated tensor types `Float`, `Int`, `Bool`: jaxtyping's where installed, else plain tensors.

jaxtyping is a development dependency, and a checkpoint may carry these files to a machine without it.
"""

from __future__ import annotations

from typing import Any

try:
    from jaxtyping import Bool, Float, Int
except ImportError:

    class _Unchecked:
        """Stand in for a jaxtyping dtype: `Float[Tensor, "batch token dim"]` is just `Tensor`."""

        def __class_getitem__(cls, item: tuple[Any, str]) -> Any:  # noqa: ANN401
            return item[0]

    Bool = Float = Int = _Unchecked  # type: ignore[assignment,misc]

__all__ = ["Bool", "Float", "Int"]
