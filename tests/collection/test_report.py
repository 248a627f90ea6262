import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from collection.small_corpus import SmallCorpus, make_corpus
from valley.collection.report import write_report
from valley.collection.sheet import shot_tiles
from valley.errors import ConfigError
from valley.manifest import TABLES, read_table, write_table
from valley.reporting.histogram import DURATION_EDGES_S, draw_histogram, short_count, short_time


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallCorpus:
    return make_corpus(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(made: SmallCorpus) -> "Page":
    return Page(write_report(made.path, made.path / "report.html"))


class Page(HTMLParser):
    """What a browser would find: tables by caption, attributes, words."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._rows: list[list[str]] = []
        self._caption = ""
        self._open: list[str] = []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        self.words += data
        if "caption" in self._open:
            self._caption += data
        elif "th" in self._open or "td" in self._open:
            self._rows[-1][-1] += data

    def column(self, caption: str, name: str) -> dict[str, str]:
        (found,) = [rows for title, rows in self.tables.items() if title.startswith(caption)]
        return {row[0]: row[found[0].index(name)] for row in found[1:]}


def test_the_page_counts_what_the_tables_hold(page: Page):
    assert page.column("What came from where", "media") == {"folder": "5"}
    assert page.column("What came from where", "stretches") == {"folder": "6"}
    assert page.column("What came from where", "shots") == {"folder": "2"}
    assert page.column("What came from where", "kept") == {"folder": "7"}
    assert page.column("What came from where", "refused") == {"folder": "3"}
    assert page.column("Texts by language", "kept") == {
        "en": "3",
        "ar": "1",
        "de": "1",
        "fr": "1",
        "zh-Hans": "1",
        "und": "0",
    }
    assert page.column("Media by split", "media") == {"train": "5"}
    assert page.column("Media by size", "media") == {"24 x 48": "5"}


def test_refusals_stand_with_their_numbers(page: Page):
    caption = "Media and items in quarantine"
    assert page.column(caption, "count") == {"truncated": "2", "timeout": "1"}
    assert page.column(caption, "least, middle, most number") == {"truncated": "", "timeout": "60"}
    assert page.column(caption, "tries") == {"truncated": "1", "timeout": "2"}
    assert "clips/bad-0.mp4: the file <0> ends" in page.column(caption, "for example")["truncated"]
    assert page.column("Texts that were refused", "count") == {"too_few_words": "2", "address": "1"}


def test_unknown_licences_are_marked_and_explained(page: Page):
    licences = page.column("Media by licence", "where that is written")
    assert licences["unknown"] == "none"
    assert licences["CC-BY-4.0"] == "clips/LICENCE.txt"
    assert "Nobody said the licence of 1 media" in page.words
    assert sum(attrs.get("class") == "marked" for _, attrs in page.tags) == 1


def test_what_others_wrote_is_only_text(page: Page):
    assert "<b>buy now</b>" in page.words
    assert "<b>buy now</b>" not in page.html


def test_the_page_needs_nothing_beside_it(page: Page):
    links = [value for _, a in page.tags for name, value in a.items() if name in ("src", "href", "srcset")]
    assert links
    assert all(value and value.startswith("data:image/jpeg;base64,") for value in links)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    assert not re.search(r"@import|url\(", page.html)


def test_the_page_can_be_read_by_all(page: Page):
    assert page.html.count("<caption>") == page.html.count("<table") == 7
    heads = [attrs for tag, attrs in page.tags if tag == "th"]
    assert all(attrs.get("scope") in ("col", "row") for attrs in heads)
    images = [attrs for tag, attrs in page.tags if tag in ("img", "svg")]
    assert len(images) == 6  # two shots, one picture, three histograms
    assert all(attrs.get("alt") or attrs.get("aria-label") for attrs in images)
    assert "prefers-color-scheme: dark" in page.html
    assert 'lang="ar"' in page.html


def test_equal_collections_give_equal_pages(page: Page, tmp_path: Path):
    again = make_corpus(tmp_path)
    assert write_report(again.path, tmp_path / "new" / "again.html").read_text("utf-8") == page.html


def test_an_empty_collection_has_a_report_too(tmp_path: Path):
    for table in TABLES:
        write_table(tmp_path, table, [])
    empty = Page(write_report(tmp_path, tmp_path / "report.html"))
    assert "There are no shots." in empty.words
    assert "Nothing is in quarantine." in empty.words


def test_a_folder_that_is_no_collection_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="run `valley collect`"):
        write_report(tmp_path, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


# ---- the sheet ----


def test_a_shot_is_shown_from_its_middle(made: SmallCorpus):
    import base64
    import io

    import numpy as np
    from PIL import Image

    tiles = [tile for tile in shot_tiles(made.path) if tile.name == "film.mp4"]
    means = []
    for tile in tiles:
        with Image.open(io.BytesIO(base64.b64decode(tile.jpeg.partition(",")[2]))) as picture:
            means.append(np.asarray(picture).reshape(-1, 3).mean(axis=0))
    red, blue = means
    assert red[0] > 150 > 60 > red[2]
    assert blue[2] > 150 > 60 > blue[0]
    assert [(t.number, t.start_s, t.end_s, t.transition) for t in tiles] == [
        (1, 0.0, 2.0, "start"),
        (2, 2.0, 4.0, "cut"),
    ]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path):
    made = make_corpus(tmp_path)
    uri = {row["media_id"]: row["uri"] for row in read_table(made.path, "media").to_pylist()}
    (made.path / uri[made.media["film"]]).write_bytes(b"no video at all")
    lost = [tile for tile in shot_tiles(made.path) if not tile.jpeg]
    assert [tile.number for tile in lost] == [1, 2]
    assert all(tile.fault for tile in lost)
    assert lost[0].fault in Page(write_report(made.path, tmp_path / "report.html")).words


@pytest.mark.parametrize(("limits", "count"), [({"most": 2}, 2), ({"most_a_medium": 1}, 2), ({}, 3)])
def test_the_sheet_ends(made: SmallCorpus, limits: dict[str, int], count: int):
    assert len(shot_tiles(made.path, **limits)) == count


# ---- histograms ----


def counts(**of: int) -> list[int]:
    found = [0] * len(DURATION_EDGES_S)
    for place, count in of.items():
        found[int(place[1:])] = count
    return found


def test_a_histogram_draws_bars_in_proportion_and_leaves_out_empty_ends():
    drawn = draw_histogram(counts(_2=10, _4=5), edges=DURATION_EDGES_S, title="a < b")
    heights = [float(h) for h in re.findall(r'<rect [^>]*height="([0-9.]+)"', drawn)]
    assert len(heights) == 3
    assert heights[0] == pytest.approx(2 * heights[2])
    assert heights[1] == 0
    assert re.findall(r'class="edge"[^>]*>([^<]*)<', drawn) == ["2s", "5s", "10s", "20s"]
    assert "a &lt; b" in drawn


def test_the_last_bin_has_no_end():
    drawn = draw_histogram(counts(_12=1), edges=DURATION_EDGES_S, title="")
    assert re.findall(r'class="edge"[^>]*>([^<]*)<', drawn) == ["1h", "∞"]
    assert draw_histogram(counts(), edges=DURATION_EDGES_S, title="") == ""


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (short_time(0.0), "0s"),
        (short_time(90.0), "90s"),
        (short_time(1800.0), "30m"),
        (short_count(999), "999"),
        (short_count(1250), "1.2k"),
        (short_count(595_000), "595k"),
        (short_count(10_000_000), "10M"),
    ],
)
def test_numbers_are_short(written: str, wanted: str):
    assert written == wanted
