"""Warnings as plain lines on stderr; no progress bars or advice from the libraries below."""

from __future__ import annotations

import logging
import os
import sys
import warnings


def quieten(*, debug: bool) -> None:
    """Set up logging once, before any library is imported.

    The variables are read by transformers and huggingface_hub when they are first imported.
    """
    if debug:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
        return
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    logging.addLevelName(logging.WARNING, "warning")
    logging.addLevelName(logging.ERROR, "error")
    for name in ("huggingface_hub", "transformers", "httpx", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.showwarning = _show


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    """Print what concerns the user's files; keep notes between programmers for --debug."""
    del filename, lineno, file, line
    if not issubclass(category, (DeprecationWarning, FutureWarning, ImportWarning, ResourceWarning)):
        print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)
