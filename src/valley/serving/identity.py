"""Who answers, for clients that have to know: weights, processor, settings; nothing of where they lie here.

{"engine": "transformers", "model": "valley-mini", "weights": ["66050f6d..."], "dtype": "float32", ...}
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from valley.errors import ValleyError

# Weights of many gigabytes are read for their hash: a minute. Who only lists models does not wait for it.
LISTED_WITHIN_S = 2.0

_PATH = re.compile(r"(file:|~|/|\\\\|[A-Za-z]:[\\/])")
_PLACES = frozenset({"server"})

_logger = logging.getLogger(__name__)


class Identity:
    """What an engine says of itself, asked once, in a thread, when somebody wants to know."""

    def __init__(self, ask: Callable[[], Mapping[str, Any]]) -> None:
        """Take what asks the engine; it may be slow."""
        self._ask = ask
        self._asking: asyncio.Task[dict[str, Any] | None] | None = None

    async def told(self, *, within_s: float | None = None) -> dict[str, Any] | None:
        """Give it; None where the engine cannot say, or not so soon."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._told())
        done, _ = await asyncio.wait({self._asking}, timeout=within_s)
        return next((task.result() for task in done), None)

    async def _told(self) -> dict[str, Any] | None:
        threads = ThreadPoolExecutor(1, "valley-identity")
        try:
            said = await asyncio.get_running_loop().run_in_executor(threads, self._ask)
        except (ValleyError, OSError) as error:  # its server is away; its files are gone
            _logger.warning("the engine does not say who it is: %s", error)
            self._asking = None
            return None
        finally:
            threads.shutdown(wait=False)
        return without_places(said)


def without_places(value: Any) -> Any:  # noqa: ANN401
    """Leave of every path in a JSON value only its last name, and of addresses behind this server nothing."""
    if isinstance(value, Mapping):
        return {key: without_places(one) for key, one in value.items() if key not in _PLACES}
    if isinstance(value, list | tuple):
        return [without_places(one) for one in value]
    if isinstance(value, str) and _PATH.match(value):
        name = PureWindowsPath(value).name if "\\" in value else PurePosixPath(value).name
        return name or value  # "/" is a token of some
    return value
