"""The benchmark of the server runs, and loses nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serve.py"


@pytest.mark.slow
def test_a_small_run_answers_or_refuses_everybody():
    small = ["--streams", "2", "--new-tokens", "8", "--rounds", "1", "--clients", "70", "--requests", "80"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", *small], capture_output=True, text=True, timeout=500
    )
    assert done.returncode in (0, 1), done.stderr  # a small run on a busy machine may miss a bar
    rows = json.loads(done.stdout)
    assert rows["crowd"]["answered"] + rows["crowd"]["refused"] == 70
    assert rows["crowd"]["answered"] >= 32
    assert rows["memory"]["answered"] == 80
    assert rows["second"]["ratio"] > 1
