"""`valley serve` keeps the contract that `vllm serve` keeps too (tests/on_vllm)."""

from __future__ import annotations

import pytest

from contracts.http_contract import CHECKS, Contract
from serving.serving_kit import serve
from valley.inference.backends.transformers import TransformersBackend


@pytest.fixture(scope="module")
def asked(tiny_checkpoint, tmp_path_factory):
    """The address of a server, and the same checkpoint in this process."""
    here = TransformersBackend.from_pretrained(str(tiny_checkpoint), device="cpu")
    behind = TransformersBackend.from_pretrained(str(tiny_checkpoint), device="cpu")
    with serve(behind, tmp_path_factory.mktemp("spool")) as server:
        yield server.base_url, here
    here.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_valley_serve(check, asked, clip_files, tmp_path) -> None:
    base_url, here = asked
    check(Contract(base_url, here.capabilities.model, clip_files, tmp_path, here))
