"""After `import valley`, in whichever order, the Auto classes know Valley; and the import stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOAD = """
model = AutoModelForImageTextToText.from_pretrained(sys.argv[1])
processor = AutoProcessor.from_pretrained(sys.argv[1])
assert type(model).__module__ == "valley.model.modeling_valley"
assert type(processor).__module__ == "valley.model.processing_valley"
assert type(AutoConfig.from_pretrained(sys.argv[1])).__name__ == "ValleyConfig"
"""
NAMES = "from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor"


@pytest.mark.parametrize(
    "program",
    [
        f"import sys, valley\n{NAMES}\n{LOAD}",
        f"import sys\n{NAMES}\nimport valley\n{LOAD}",
        f"import sys, valley\nfrom transformers import AutoModel, Trainer\n{NAMES}\n{LOAD}",
        f"import sys, valley\nfrom transformers import pipeline\n{NAMES}\n{LOAD}",
        f"import sys\nfrom transformers import AutoConfig\nimport valley\n{NAMES}\n{LOAD}",
    ],
    ids=["valley first", "transformers first", "networks first", "pipelines first", "in between"],
)
def test_the_order_of_imports_does_not_matter(program: str, tiny_checkpoint: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_checkpoint)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "not registered" not in done.stderr


def test_nothing_heavy_comes_with_the_package() -> None:
    program = "import sys, valley; assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_transformers_works_where_valley_cannot() -> None:
    """A broken installation of ours is a warning, not an error in somebody's program."""
    program = (
        "import sys, valley\n"
        "sys.modules['valley.model'] = None\n"
        "from transformers import AutoConfig\n"
        "AutoConfig.for_model('llama')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "not registered" in done.stderr
