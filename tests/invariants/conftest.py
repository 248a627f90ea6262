"""What several tests of training begin with."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def base(compose_tiny, tmp_path_factory) -> Path:
    """A Valley of a few thousand numbers, with a pooling that has weights."""
    model, processor = compose_tiny(temporal_pooling="importance", num_frames=4)
    folder = tmp_path_factory.mktemp("base")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
