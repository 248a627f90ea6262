"""The Hugging Face family: importing any of it registers the Auto classes."""

from . import auto as _auto  # noqa: F401
