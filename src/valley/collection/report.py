"""A report on a finished collection: one page of HTML that needs nothing beside it.

What was collected from where, what was refused and by which numbers, how long things are, in which languages,
under which licences, and samples of shots and words. Equal collections give equal pages.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from valley.collection.facts import Facts, Row, open_facts
from valley.collection.sheet import shot_tiles
from valley.manifest import UNKNOWN_LICENCE
from valley.reporting.histogram import DURATION_EDGES_S, draw_histogram
from valley.reporting.page import write_page
from valley.reporting.tables import Table, count, cut_table, share, shortened, spread

MOST_KEPT_WORDS = 24
MOST_REFUSED_WORDS = 24
_TEMPLATE = "report.html.jinja"


def write_report(corpus: Path, out: Path) -> Path:
    """Write the page; it appears whole or not at all.

    Raises:
        MissingExtraError: Jinja2, duckdb or pyarrow is absent.
        ConfigError: the folder is no finished collection.
    """
    filters = {"seconds": _seconds, "count": count}
    return write_page(out, "valley.collection", _TEMPLATE, _contents(corpus), filters=filters)


def _contents(corpus: Path) -> dict[str, Any]:
    with open_facts(corpus) as facts:
        totals = facts.totals()
        return {
            "name": corpus.resolve().name,
            "totals": totals,
            "tiles_of_totals": _tiles_of_totals(totals),
            "collected_at": _day(totals["collected_at_us"]),
            "tool_versions": totals["tool_versions"] or "",
            "sources": _sources(facts),
            "quarantine": _quarantine(facts),
            "refusals": _refusals(facts),
            "durations": _durations(facts),
            "languages": _languages(facts),
            "licences": _licences(facts),
            "unknown_media": sum(r["media"] for r in facts.licences() if r["licence"] == UNKNOWN_LICENCE),
            "splits": _splits(facts),
            "resolutions": _resolutions(facts),
            "kept_words": facts.kept_words(MOST_KEPT_WORDS),
            "refused_words": facts.refused_words(MOST_REFUSED_WORDS),
            "shots": shot_tiles(corpus),
        }


def _tiles_of_totals(totals: Row) -> list[tuple[str, str]]:
    return [
        (count(totals["media"] - totals["pictures"]), "clips"),
        (count(totals["pictures"]), "pictures"),
        (_hours(totals["duration_s"]), "of video"),
        (_bytes(totals["size_bytes"]), "of files"),
        (count(totals["stretches"]), "named stretches"),
        (count(totals["shots"]), "shots"),
        (count(totals["kept"]), "texts kept"),
        (count(totals["refused"]), "texts refused"),
        (count(totals["quarantined"]), "in quarantine"),
    ]


def _sources(facts: Facts) -> Table:
    rows = facts.sources()
    head = ["source", "media", "video", "size", "stretches", "shots", "kept", "refused", "quarantine"]
    counts = ("stretches", "shots", "kept", "refused", "quarantined")
    cells = [
        [
            *(
                r["source"] or "not said",
                count(r["media"]),
                _hours(r["duration_s"]),
                _bytes(r["size_bytes"]),
            ),
            *(count(r[name]) for name in counts),
        ]
        for r in rows
    ]
    return cut_table("What came from where; kept and refused are texts", head, cells)


def _quarantine(facts: Facts) -> Table:
    rows = facts.quarantine()
    cells = [
        [
            *(
                r["reason"],
                r["stage"],
                count(r["count"]),
                _numbers(r),
                str(r["attempts"]),
            ),
            f"{r['place']}: {r['detail']}" if r["detail"] else r["place"],
        ]
        for r in rows
    ]
    head = ["reason", "stage", "count", "least, middle, most number", "tries", "for example"]
    return cut_table("Media and items in quarantine, by reason", head, cells, words={0, 1, 5})


def _refusals(facts: Facts) -> Table:
    rows = facts.refusals()
    cells = [[r["reason"], count(r["count"]), _numbers(r), shortened(r["example"])] for r in rows]
    head = ["reason", "count", "least, middle, most number", "for example"]
    return cut_table("Texts that were refused, by reason", head, cells, words={0, 3})


def _languages(facts: Facts) -> Table:
    rows = facts.languages()
    total = sum(r["kept"] for r in rows)
    cells = [
        [
            *(r["language"], count(r["kept"]), share(r["kept"], total), count(r["refused"])),
            "" if r["score"] is None else f"{r['score']:.2f}",
        ]
        for r in rows
    ]
    head = ["language", "kept", "share", "refused", "how sure"]
    return cut_table("Texts by language (BCP-47; und: nobody knows)", head, cells)


def _licences(facts: Facts) -> Table:
    rows = facts.licences()
    cells = [
        [
            r["licence"],
            r["evidence"] or "none",
            count(r["media"]),
            _hours(r["duration_s"]),
            count(r["kept"]),
        ]
        for r in rows
    ]
    unknown = {number for number, r in enumerate(rows) if r["licence"] == UNKNOWN_LICENCE}
    head = ["licence", "where that is written", "media", "video", "texts kept"]
    return cut_table("Media by licence and evidence", head, cells, words={0, 1}, marked=unknown)


def _splits(facts: Facts) -> Table:
    rows = facts.splits()
    total = sum(r["media"] for r in rows)
    cells = [
        [
            *(r["split"], count(r["media"]), share(r["media"], total)),
            *(count(r["stretches"]), count(r["shots"])),
        ]
        for r in rows
    ]
    return cut_table("Media by split", ["split", "media", "share", "stretches", "shots"], cells)


def _resolutions(facts: Facts) -> Table:
    rows = facts.resolutions()
    total = sum(r["media"] for r in rows)
    cells = [
        [
            f"{r['width_px']} x {r['height_px']}" if r["width_px"] and r["height_px"] else "not known",
            *(count(r["media"]), share(r["media"], total), _hours(r["duration_s"])),
        ]
        for r in rows
    ]
    return cut_table("Media by size of the picture, in pixels", ["size", "media", "share", "video"], cells)


def _durations(facts: Facts) -> list[dict[str, str]]:
    names = {"media": "Clips", "stretches": "Named stretches", "shots": "Shots"}
    drawn = []
    for name, row in facts.durations().items():
        if row["count"]:
            least, middle, most = (_seconds(row[which]) for which in ("least", "middle", "most"))
            said = f"{count(row['count'])}: shortest {least}, middle {middle}, longest {most}"
            drawing = draw_histogram(
                row["bins"], edges=DURATION_EDGES_S, title=f"{names[name]} by length. {said}"
            )
            drawn.append({"name": names[name], "said": said, "drawing": drawing})
    return drawn


def _hours(time_s: float) -> str:
    return f"{time_s / 3600:,.1f} h" if time_s >= 3600 else f"{time_s / 60:.1f} min"


def _bytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"


def _seconds(time_s: float) -> str:
    minutes, seconds = divmod(round(time_s, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}:{minutes:02d}:{seconds:04.1f}"
    return f"{minutes}:{seconds:04.1f}" if minutes else f"{seconds:.1f} s"


def _day(time_us: int | None) -> str:
    return "" if time_us is None else datetime.fromtimestamp(time_us / 1e6, timezone.utc).strftime("%Y-%m-%d")


def _numbers(row: Row) -> str:
    return spread(row["least"], row["middle"], row["most"])
