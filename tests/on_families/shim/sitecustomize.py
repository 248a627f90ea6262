"""Lets torchvision's wheel from PyPI, a CUDA build, be imported beside a CPU build of torch. For tests alone.

On import it asks for operators that only its own compiled part brings; two that are named here suffice.
"""

from __future__ import annotations

import importlib.abc
import sys
from types import ModuleType


class _Before(importlib.abc.MetaPathFinder):
    """Names the operators, once, before torchvision is looked for."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> None:
        if name != "torchvision":
            return
        sys.meta_path.remove(self)
        import torch

        if torch.version.cuda is None:
            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            self.library = library  # what it defines goes when it does
            _KEPT.append(self)


_KEPT: list[_Before] = []
sys.meta_path.insert(0, _Before())
