"""Write the picture of a report for docs/evaluate.md, of what `docs/experiments/evaluate.py` leaves.

PYTHONPATH=tests python docs/make_report_image.py out/evaluate/report.html
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from browser import Browser

PICTURE = Path(__file__).parent / "images" / "report.png"
BEGINNINGS = ("document.querySelector('h3')", "document.querySelector('.samples').previousElementSibling")
"""What each half begins with, from left to right."""

LOADED = "[...document.images].every(i => i.complete || i.getBoundingClientRect().top > innerHeight)"
HALF_PX = (760, 1040)


def main() -> None:
    """Take the scores, and beside them questions with their answers."""
    page = Path(sys.argv[1] if len(sys.argv) > 1 else "out/evaluate/report.html").resolve()
    width_px, height_px = HALF_PX
    both = Image.new("RGB", (2 * width_px, height_px), "white")
    with (
        tempfile.TemporaryDirectory() as folder,
        Browser(Path(folder) / "profile", width_px=width_px, height_px=height_px) as browser,
    ):
        browser.look("light")
        browser.go(page.as_uri(), until="document.readyState === 'complete'")
        for place, begins_with in enumerate(BEGINNINGS):
            browser.run(f"{begins_with}.scrollIntoView();")
            browser.wait(LOADED)
            browser.picture(Path(folder) / "half.png")
            with Image.open(Path(folder) / "half.png") as half:
                both.paste(half, (place * width_px, 0))
    palette = both.convert("P", palette=Image.Palette.ADAPTIVE, colors=200)
    palette.save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
