"""A checkpoint carries these files, so that a machine without the package loads it (trust_remote_code)."""

from __future__ import annotations

import shutil
from pathlib import Path

from transformers.dynamic_module_utils import get_relative_import_files

# Auto class -> file and class in the checkpoint's folder.
CONFIG_AUTO_MAP = {
    "AutoConfig": "configuration_valley.ValleyConfig",
    "AutoModel": "modeling_valley.ValleyModel",
    "AutoModelForImageTextToText": "modeling_valley.ValleyForConditionalGeneration",
    "AutoModelForMultimodalLM": "modeling_valley.ValleyForConditionalGeneration",
}
PROCESSOR_AUTO_MAP = {"AutoProcessor": "processing_valley.ValleyProcessor"}
VIDEO_PROCESSOR_AUTO_MAP = {"AutoVideoProcessor": "video_processing_valley.ValleyVideoProcessor"}


def copy_code(folder: str | Path, *modules: str) -> None:
    """Copy modules of this package, such as "modeling_valley", and what they import from beside them."""
    here = Path(__file__).parent
    for module in modules:
        file = here / f"{module}.py"
        for source in (file, *map(Path, get_relative_import_files(str(file)))):
            target = Path(folder) / source.name
            if source.resolve() != target.resolve():
                shutil.copyfile(source, target)
