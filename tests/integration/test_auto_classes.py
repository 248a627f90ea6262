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


ORDERS = {
    "valley first": f"import sys, valley\n{NAMES}\n{LOAD}",
    "networks first": f"import sys, valley\nfrom transformers import AutoModel, Trainer\n{NAMES}\n{LOAD}",
    "modeling": f"import sys, valley.model.modeling_valley\n{NAMES}\n{LOAD}",
}
MORE_ORDERS = {
    "transformers first": f"import sys\n{NAMES}\nimport valley\n{LOAD}",
    "pipelines first": f"import sys, valley\nfrom transformers import pipeline\n{NAMES}\n{LOAD}",
    "in between": f"import sys\nfrom transformers import AutoConfig\nimport valley\n{NAMES}\n{LOAD}",
    **{
        module: f"import sys, valley.model.{module}_valley\n{NAMES}\n{LOAD}"
        for module in ("configuration", "processing", "composing")
    },
}


@pytest.mark.parametrize(
    "program",
    [
        *(pytest.param(program, id=name) for name, program in ORDERS.items()),
        *(pytest.param(p, id=name, marks=pytest.mark.slow) for name, p in MORE_ORDERS.items()),
    ],
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
