"""A list of pages with videos, of which sections are fetched by yt-dlp: `pip install 'valley-vl[ytdlp]'`.

A row looks like this::

    url,caption,start,end
    https://a.example/watch/17,"A cat jumps",12.5,20

Both times are wanted: whole videos of strangers are not what this is for. The section is a medium of its own,
which begins where the row says; page and times stand in its metadata. Titles, uploaders and what the site
says about the licence are found out when it is fetched.

Whether a site's terms, its robots.txt and the rights in a video let you fetch it is for you to know: nothing
here looks at that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from valley.collection.annotations import AnnotationSource
from valley.collection.downloading.page_video import section_url
from valley.collection.records import Record, UnfitError
from valley.collection.source import SourceItem, SourceOptions, SourceText
from valley.collection.sources.urls import COLUMN_SETTINGS, read_link
from valley.importers.items import Item

_MOST_SECTION_S = 3600.0
"""A lecture; what is longer is mostly a whole stream by mistake."""


def _convert(record: Record, row: Item, options: SourceOptions) -> Iterator[SourceItem]:
    link = read_link(record, row, options)
    start_s, end_s = link.start_s or 0.0, link.end_s
    if end_s is None:
        raise UnfitError("no_times", f"{row.where}: want a start and an end: sections alone are fetched")
    if not 0.001 <= end_s - start_s <= _MOST_SECTION_S:
        detail = f"{row.where}: want a section of at most {_MOST_SECTION_S:g} s, got {end_s - start_s:g} s"
        raise UnfitError("bad_time", detail)
    rights = record.rights(options)
    yield SourceItem(
        id=link.id,
        kind="video",
        url=section_url(link.url, start_s, end_s),
        texts=tuple(_within(text, start_s, end_s) for text in link.texts),
        place=row.where,
        **rights,
        metadata={**record.rest(), "page_url": link.url, "page_start_s": start_s, "page_end_s": end_s},
    )


def _within(text: SourceText, start_s: float, end_s: float) -> SourceText:
    """Count the times of words about the whole video from where the section begins."""
    begins_s, ends_s = text.start_s, text.end_s
    return replace(
        text,
        start_s=None if begins_s is None else min(max(begins_s, start_s), end_s) - start_s,
        end_s=None if ends_s is None else min(max(ends_s, start_s), end_s) - start_s,
    )


SOURCE = AnnotationSource(
    "ytdlp",
    "sections of videos on pages that yt-dlp knows; whether you may fetch them is for you to know",
    _convert,
    settings=COLUMN_SETTINGS,
)
