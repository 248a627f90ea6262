"""What a run gave up, as it stands in the quarantine: every raw reply, and why it was refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valley.errors import ConversationError
from valley.instruct.writing import Try


@dataclass(frozen=True)
class GivenUp:
    """One conversation that was not written.

    Attributes:
        id: its name.
        task: of which kind it was to be.
        language: BCP-47 tag that was asked for.
        clip_id: about what.
        check: which check refused the last reply; "reply" where it could not be read, "server" where there
            was none.
        reason: a short word for counting.
        detail: what was wanted and what came.
        number: the number behind it.
        tries: all replies, in order.
        evidence: the facts, as the writer saw them.
        cost_usd: what the replies cost.
    """

    id: str
    task: str
    language: str
    clip_id: str
    check: str
    reason: str
    detail: str
    number: float = 0.0
    tries: tuple[Try, ...] = ()
    evidence: tuple[str, ...] = ()
    cost_usd: float = 0.0


def read_given_up(path: Path) -> Iterator[GivenUp]:
    """Yield the lines of a quarantine; none where there is no such file.

    Raises:
        ConversationError: a line is none of a quarantine; the message names it.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _read(line, f"{path}:{number}")


def _try(record: Mapping[str, Any]) -> Try:
    return Try(**{**record, "number": float(record.get("number", 0.0))})


def _read(line: str, where: str) -> GivenUp:
    try:
        record: Mapping[str, Any] = json.loads(line)
        words = {name: str(record[name]) for name in ("id", "task", "language", "clip_id", "check", "reason")}
        return GivenUp(
            **words,
            detail=str(record["detail"]),
            number=float(record.get("number", 0.0)),
            tries=tuple(_try(tried) for tried in record["tries"]),
            evidence=tuple(map(str, record.get("evidence", ()))),
            cost_usd=float(record.get("cost_usd", 0.0)),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConversationError(
            f"{where}: want a line as `valley instruct` writes it into a quarantine ({error!r}): run it again"
        ) from error
