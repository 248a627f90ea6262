"""An engine without a model, behind a real server."""

from __future__ import annotations

import pytest

from serving.serving_kit import Counting, serve


@pytest.fixture
def engine():
    return Counting()


@pytest.fixture
def server(engine, tmp_path):
    with serve(engine, tmp_path / "spool") as running:
        yield running
