"""Check a finished collection: every medium there, its hash equal, the tables consistent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from valley.collection.corpus import read_asked
from valley.collection.executor import RefusedError
from valley.collection.joining import Medium, Row, join_tables
from valley.collection.looking import hash_file
from valley.manifest import UNKNOWN_LICENCE, as_us, clip_id, split_of

OnChecked: TypeAlias = Callable[[int], None]

_BATCH = 256


@dataclass(frozen=True)
class Finding:
    """What is wrong with a medium.

    Attributes:
        media_id: its SHA-256.
        place: its file, as seen from here.
        reason: a short word for counting.
        detail: what was wanted, what came.
    """

    media_id: str
    place: str
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}: {self.detail}"


def verify(
    corpus: Path, *, num_workers: int = 1, on_checked: OnChecked = lambda n: None
) -> Iterator[Finding]:
    """Yield what is wrong with a collection, medium by medium.

    Args:
        corpus: its folder.
        num_workers: files read at once.
        on_checked: is told how many media were checked so far.

    Raises:
        ConfigError: the folder is no finished collection.
        MissingExtraError: pyarrow is absent.
    """
    splits = read_asked(corpus).config.splits
    media, count = join_tables(corpus), 0
    with ThreadPoolExecutor(num_workers) as pool:
        while batch := list(islice(media, _BATCH)):
            checks = pool.map(lambda medium: list(_file_findings(corpus, medium)), batch)
            for medium, of_file in zip(batch, checks, strict=True):
                split = split_of(medium.id, validation_share=splits.validation, test_share=splits.test)
                yield from of_file
                yield from _row_findings(corpus, medium, split)
                count += 1
                on_checked(count)


def _file_findings(corpus: Path, medium: Medium) -> Iterator[Finding]:
    path = corpus / medium.row["uri"]
    wanted = medium.row["size_bytes"]
    if not path.is_file():
        yield Finding(medium.id, str(path), "missing", "there is no such file")
    elif path.stat().st_size != wanted:
        detail = f"want {wanted} bytes, got {path.stat().st_size}"
        yield Finding(medium.id, str(path), "wrong_size", detail)
    else:
        try:
            found = hash_file(str(path), size_bytes=wanted)
        except RefusedError as error:
            yield Finding(medium.id, str(path), error.reason, error.detail)
        else:
            if found != medium.id:
                detail = f"want SHA-256 {medium.id}, got {found}"
                yield Finding(medium.id, str(path), "wrong_hash", detail)


def _row_findings(corpus: Path, medium: Medium, split: str) -> Iterator[Finding]:
    place = str(corpus / medium.row["uri"])
    if medium.has_known_licence and not medium.row["licence_evidence"]:
        detail = f"want to know where {medium.row['licence']} is written, got nothing"
        yield Finding(medium.id, place, "no_evidence", detail)
    if not medium.row["licence"]:
        yield Finding(medium.id, place, "no_licence", f"want a licence, or {UNKNOWN_LICENCE!r}; got nothing")
    if not medium.stretches:
        yield Finding(medium.id, place, "no_stretch", "no row of `clip` says what was wanted of it")
    yield from _stretch_findings(medium, place, split)


def _stretch_findings(medium: Medium, place: str, split: str) -> Iterator[Finding]:
    length_us = as_us(medium.row["duration_s"] or 0.0)
    for row in (*medium.stretches, *medium.shots):
        if row["clip_id"] != clip_id(medium.id, row["start_us"], row["end_us"]):
            yield Finding(medium.id, place, "wrong_clip_id", f"{row['clip_id']} does not name its stretch")
        if row["split"] != split:
            yield Finding(medium.id, place, "wrong_split", f"want {split}, got {row['split']}")
        yield from _outside(medium, place, row, length_us)
    stretches = {row["clip_id"] for row in medium.stretches}
    for row in medium.texts:
        yield from _outside(medium, place, row, length_us)
        if row["clip_id"] not in stretches:
            yield Finding(
                medium.id, place, "text_without_clip", f"text {row['text_id']} names no stretch of it"
            )


def _outside(medium: Medium, place: str, row: Row, length_us: int) -> Iterator[Finding]:
    if not 0 <= row["start_us"] <= row["end_us"] <= length_us:
        detail = f"{row['start_us']} to {row['end_us']} us is not within 0 to {length_us}"
        yield Finding(medium.id, place, "outside", detail)
