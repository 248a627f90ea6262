"""One server of vLLM for all tests of this folder."""

from __future__ import annotations

import pytest

from on_vllm.serving_vllm import make_checkpoint, serving


@pytest.fixture(scope="session")
def served(tmp_path_factory, tiny_parts):
    """Makes checkpoints: a function of the pooling's name that gives model, processor and folder."""
    return lambda pooling: make_checkpoint(tiny_parts, pooling, tmp_path_factory.mktemp(pooling))


@pytest.fixture(scope="session")
def server(served, tmp_path_factory):
    """A server of the plug-in: model, processor, and the address of its API."""
    model, processor, folder = served("chunk")
    with serving(folder, tmp_path_factory.mktemp("log") / "server.log") as address:
        yield model, processor, address
