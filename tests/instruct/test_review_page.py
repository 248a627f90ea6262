"""The page in a browser, worked with the keyboard."""

import json
from pathlib import Path

import pytest

from browser import CHROMIUM, DRIVER, Browser
from instruct.review_kit import Served, write_talks
from valley.instruct.places import decisions_path
from valley.instruct.reviewing import Decision

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver"),
]
SHOWN = "document.querySelectorAll('.turn').length > 0"
PLACE = "document.getElementById('place').textContent"


def text(name: str) -> str:
    return f"document.getElementById('{name}').textContent"


def test_conversations_are_decided_with_the_keyboard_alone(tmp_path: Path):
    talks = write_talks(tmp_path / "talks")
    with Served(talks) as served, Browser(tmp_path / "browser") as browser:
        browser.go(served.address, until=SHOWN)
        browser.wait("document.querySelector('video').readyState >= 2")
        browser.press("a")
        browser.wait(f"{PLACE} === '2 of 7'")
        browser.press("r")
        browser.wait("document.getElementById('refusing').open")
        browser.press("2")
        browser.wait(f"{PLACE} === '3 of 7'")
        browser.press("e")
        browser.wait("document.querySelectorAll('textarea').length === 4")
        browser.press("!")  # into the first question, and no key of the page
        browser.press("a", "r", "u")
        browser.press("enter", hold="control")
        browser.wait(f"{PLACE} === '4 of 7'")
        browser.press("left")
        browser.wait(f"{PLACE} === '3 of 7'")
        assert browser.get(text("badge")) == "accepted"
        assert browser.get("document.querySelector('.question').textContent") == "What is seen? (2)!aru"
        browser.press("left")
        browser.wait(f"{text('badge')} === 'refused'")
        assert browser.get(text("why")) == "Refused by ann: not seen in the clip"
        browser.press("u")
        browser.wait(f"{text('badge')} === 'to do'")
        browser.press("?")
        browser.wait("document.getElementById('helping').open")
        assert browser.get(text("counts")) == "2 of 7 decided: 2 accepted, 0 refused"
        assert browser.complaints() == []
    kept = [json.loads(line) for line in decisions_path(talks).read_text(encoding="utf-8").splitlines()]
    assert [(one["id"], one["state"]) for one in kept] == [
        ("talk-0", "accepted"),
        ("talk-1", "refused"),
        ("talk-2", "accepted"),
        ("talk-1", "open"),
    ]
    assert kept[2]["turns"][0] == ["What is seen? (2)!aru", "A red circle."]


def test_a_choice_shows_its_own_alone_and_another_ones_decision_is_not_written_over(tmp_path: Path):
    talks = write_talks(tmp_path / "talks")
    with Served(talks) as served, Browser(tmp_path / "browser") as browser:
        browser.go(served.address, until=SHOWN)
        choose = "const s = document.getElementById('task'); s.value = 'counting'; "
        browser.get(f"(() => {{ {choose} s.dispatchEvent(new Event('change')); return 1; }})()")
        browser.wait(f"{PLACE} === '1 of 3'")
        browser.press("right")
        browser.wait(f"{PLACE} === '2 of 3'")
        first = served.items.entries[3]
        served.decisions.add(
            Decision(first.id, first.words, "refused", reason="by another", by="bob"), seen=0
        )
        browser.press("a")
        browser.wait(f"{text('why')} === 'Refused by bob: by another'")
        assert browser.get(text("said")) == "It was decided elsewhere meanwhile: look again."
        assert browser.get(PLACE) == "2 of 3"


@pytest.mark.parametrize("width_px", [390, 1200])
def test_nothing_is_wider_than_the_window_and_words_are_readable_in_light_and_dark(
    width_px: int, tmp_path: Path
):
    talks = write_talks(tmp_path / "talks")
    with Served(talks) as served, Browser(tmp_path / "browser", width_px=width_px) as browser:
        browser.go(served.address, until=SHOWN)
        assert browser.get("document.documentElement.scrollWidth") <= width_px
        looks = set()
        for scheme in ("light", "dark"):
            browser.look(scheme)
            style = "getComputedStyle(document.querySelector('.answer'))"
            color, back = browser.get(f"[{style}.color, {style}.backgroundColor]")
            assert contrast(color, back) >= 7
            looks.add(back)
        assert len(looks) == 2


def contrast(one: str, other: str) -> float:
    """The ratio that the Web Content Accessibility Guidelines define."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    parts = [int(part) / 255 for part in color.removeprefix("rgb(").rstrip(")").split(",")]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
