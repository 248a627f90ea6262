"""Write the pictures of the page for docs/ui.md: the real server, the embedded model, a headless Chromium.

PYTHONPATH=tests python docs/make_page_images.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from browser import Browser
from serving.serving_kit import serve
from valley.inference.opening import open_backend
from valley.ui.app import page_app

IMAGES = Path(__file__).parent / "images"
FOLLOW_UPS = {
    "en-US": "What color is the circle?",
    "zh-CN": "圆形是什么颜色的？",
    "es": "¿De qué forma es el objeto rojo?",
}
IDLE = "document.getElementById('stop').hidden && document.querySelectorAll('[data-does=copy]').length === {}"


def main() -> None:
    """Take them: wide and light, wide and dark, as on a telephone."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "spool"
        with serve(open_backend("valley-mini"), spool, page=page_app()) as server:
            take(server.url, Path(folder) / "light", "light", 1200, "ui.png", "en-US")
            take(server.url, Path(folder) / "dark", "dark", 1200, "ui-dark.png", "zh-CN")
            take(server.url, Path(folder) / "phone", "light", 390, "ui-phone.png", "es")


def take(url: str, folder: Path, scheme: str, width_px: int, name: str, language: str) -> None:
    """Talk with the page as a visitor would, and take a picture."""
    with Browser(folder, width_px=width_px, height_px=800, language=language) as browser:
        browser.look(scheme)
        browser.go(f"{url}/", until="document.body.dataset.ready")
        browser.click("#examples li:nth-child(1) button")
        browser.wait(IDLE.format(1), within_s=60)
        browser.write("#question", FOLLOW_UPS[language])
        browser.press("enter")
        browser.wait(IDLE.format(2), within_s=60)
        browser.wait("document.querySelectorAll('#strip canvas').length >= 4")
        browser.click("#strip li:nth-child(5) button")
        place = "1e6" if width_px < 600 else "0"  # a telephone shows one part at a time: the conversation
        browser.run(f"await new Promise(done => setTimeout(done, 1200)); scrollTo(0, {place});")
        path = IMAGES / name
        browser.picture(path)
        Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=200).save(path, optimize=True)


if __name__ == "__main__":
    main()
