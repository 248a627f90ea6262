"""The Hugging Face family: config, network, poolings, processor. Importing any of it registers the Auto classes."""

from . import auto as _auto  # noqa: F401
