"""The page in front of the real server with the embedded model: what is seen is what was sampled."""

from pathlib import Path

import pytest

from browser import CHROMIUM, DRIVER, Browser
from serving.serving_kit import serve
from valley.inference.opening import open_backend
from valley.ui.app import page_app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver"),
]
IDLE = "document.getElementById('stop').hidden && document.querySelector('[data-does=copy]')"


def test_examples_are_answered_offline_in_three_languages(tmp_path: Path):
    with (
        serve(open_backend("valley-mini"), tmp_path / "spool", page=page_app()) as server,
        Browser(tmp_path / "browser") as browser,
    ):
        browser.go(f"{server.url}/", until="document.body.dataset.ready")
        answers = {}
        for language in ("en", "zh", "es"):
            browser.click(f"#examples button[lang={language}]")
            browser.wait(IDLE, within_s=30)
            answers[language] = browser.get("document.querySelector('.words').textContent")
            browser.wait("document.querySelectorAll('#strip canvas').length >= 4")
            times = "[...document.querySelectorAll('#strip button')].map(b => Number(b.dataset.second))"
            assert browser.get(times)[0] == 0
            assert browser.get(times) == sorted(browser.get(times))
            assert "tokens read" in browser.get("document.querySelector('.cost').textContent")
            browser.click("#new-chat")
        assert answers == {
            "en": "It moves to the right.",
            "zh": "它向右移动。",
            "es": "Se mueve hacia la derecha.",
        }
        assert browser.complaints() == []


def test_the_description_fits_a_telephone(tmp_path: Path):
    with (
        serve(open_backend("valley-mini"), tmp_path / "spool") as server,
        Browser(tmp_path / "browser", width_px=360) as browser,
    ):
        browser.go(f"{server.url}/docs", until="document.querySelector('table')")
        assert browser.get("document.documentElement.scrollWidth") <= 360


def test_a_recording_a_picture_a_part_and_frames_are_taken(tmp_path: Path, clip_files: Path):
    with (
        serve(open_backend("valley-mini"), tmp_path / "spool", page=page_app()) as server,
        Browser(tmp_path / "browser") as browser,
    ):
        browser.go(f"{server.url}/", until="document.body.dataset.ready")
        browser.click("#camera")
        browser.wait("document.getElementById('recorded').textContent === '2 s'")
        browser.click("#recording-done")
        browser.wait("document.querySelectorAll('#attached li').length === 1")
        browser.wait("Number(document.getElementById('end').placeholder) > 0.5")
        browser.write("#start", "0.5")
        browser.run("""const frames = document.getElementById('frames');
            frames.value = 'num_frames'; frames.dispatchEvent(new Event('change'));
            document.getElementById('frames-count').value = 3;""")
        browser.write("#question", "What color is it?")
        browser.press("enter")
        browser.wait(IDLE, within_s=30)
        seen = "[...document.querySelectorAll('#strip button')].map(b => Number(b.dataset.second))"
        assert len(browser.get(seen)) == 3
        assert browser.get(seen)[0] == pytest.approx(0.5, abs=0.2)
        browser.wait("document.querySelectorAll('#strip canvas').length === 3")
        browser.write("#file", str(clip_files / "photo.png"))
        browser.write("#question", "What color is the object?")
        browser.press("enter")
        browser.wait("document.querySelectorAll('[data-does=copy]').length === 2", within_s=30)
        assert "saw this picture" in browser.get("document.getElementById('seen-note').textContent")


def test_a_server_that_wants_a_key_is_given_one(tmp_path: Path):
    with (
        serve(
            open_backend("valley-mini"), tmp_path / "spool", page=page_app(), keys=("a-good-key",)
        ) as server,
        Browser(tmp_path / "browser") as browser,
    ):
        browser.go(f"{server.url}/", until="document.body.dataset.ready")
        assert "wants a key" in browser.get("document.querySelector('[role=alert].wrong').textContent")
        browser.click("#examples button")
        browser.wait("document.getElementById('settings').open")
        browser.wait("document.activeElement.id === 'api-key'")
        browser.write("#api-key", "a-good-key")
        browser.click("#settings .main")
        browser.click("[data-does=again]")
        browser.wait(IDLE, within_s=30)
        assert browser.get("document.querySelector('.words').textContent") == "It moves to the right."
        assert browser.get("localStorage.length + sessionStorage.length") == 0
