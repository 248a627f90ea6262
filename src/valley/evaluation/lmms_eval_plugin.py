"""Tells lmms-eval, the public harness, that a model is called `valley`; needs nothing of it until asked.

::

    lmms-eval --model valley --model_args pretrained=valley-mini --tasks TASK --batch_size 8
"""

from __future__ import annotations

from typing import Any

MODEL_ID = "valley"
CLASS_PATH = "valley.evaluation.lmms_eval_model.ValleyModel"


def manifest() -> Any:  # noqa: ANN401
    """Give the `ModelManifest` of the entry point `lmms_eval.models`."""
    from lmms_eval.models.registry_v2 import ModelManifest  # pyright: ignore[reportMissingImports]

    return ModelManifest(model_id=MODEL_ID, chat_class_path=CLASS_PATH)
