"""The script behind the engine's limit on new prompts runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "prefill.py"


@pytest.mark.slow
def test_a_small_run_tells_what_a_prompt_costs() -> None:
    small = ["--json", "--rounds", "3", "--rows", "2", "--context", "20"]
    done = subprocess.run([sys.executable, str(SCRIPT), *small], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert list(told["pieces"]) == ["64", "256", "512", "1024"]
    assert told["pieces"]["1024"]["s"] > told["pieces"]["64"]["s"] > 0
    assert told["pieces"]["512"]["steps"] == pytest.approx(told["pieces"]["512"]["s"] / told["step_s"])
