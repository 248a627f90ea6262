"""Draw docs/images/demo.svg: frames of example clips with their times, and what the model answers.

    python docs/make_images.py [MODEL]

Nothing in the picture is written by hand: the frames are those that the model is shown, the answers are its
own; one that differs from the truth of the scene is drawn in red, with the truth beneath.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

from PIL import Image

from valley import Conversation, Valley, Video
from valley.conversation import read_jsonl
from valley.video.frames import Frames

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "demo.svg"
SHOWN = ("push", "leaves", "two")
TILE_PX, GAP_PX, MARGIN_PX, LINE_PX = 96, 6, 18, 24
NUM_TILES = 8
WIDTH_PX = 2 * MARGIN_PX + NUM_TILES * (TILE_PX + GAP_PX) - GAP_PX
TEXT = 'font-family="-apple-system, Segoe UI, Helvetica, Arial, Noto Sans CJK SC, sans-serif"'


def main() -> None:
    """Ask the questions of examples/ and draw."""
    valley = Valley.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "valley-mini")
    conversations = list(read_jsonl(ROOT / "examples" / "questions.jsonl"))
    body, top_px = [], MARGIN_PX
    for name in SHOWN:
        about = [c for c in conversations if _clip(c).stem == name]
        session = valley.chat(Video(_clip(about[0])))
        body += [_text(MARGIN_PX, top_px + 12, f"examples/clips/{name}.mp4", "#6b7280", size_px=13)]
        body += _strip(session.look(session.media[0]), top_px + 22)
        top_px += 22 + TILE_PX + 42
        for conversation in about:
            for question, answer, truth in _asked(valley, conversation):
                drawn, height_px = _turn(question, answer, truth, top_px)
                body += drawn
                top_px += height_px
        top_px += MARGIN_PX
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(_document(body, top_px), encoding="utf-8")


def _clip(conversation: Conversation) -> Path:
    (medium,) = conversation.media
    return Path(str(medium.source))


def _asked(valley: Valley, conversation: Conversation) -> Iterator[tuple[str, str, str]]:
    """Ask every question of a record in one conversation; give question, answer and truth."""
    session, turns = valley.chat(max_new_tokens=64), conversation.messages
    for question, reply in zip(turns[::2], turns[1::2], strict=True):
        yield question.text, "".join(session.ask(*question.parts)).strip(), reply.text


def _strip(frames: Frames, top_px: int) -> list[str]:
    drawn = []
    for number, (pixels, time_s) in enumerate(zip(frames.pixels, frames.shown_at_s, strict=True)):
        left_px = MARGIN_PX + number * (TILE_PX + GAP_PX)
        file = io.BytesIO()
        Image.fromarray(pixels).resize((TILE_PX, TILE_PX)).quantize(64).save(file, "PNG", optimize=True)
        data = base64.b64encode(file.getvalue()).decode()
        place = f'x="{left_px}" y="{top_px}" width="{TILE_PX}" height="{TILE_PX}"'
        drawn.append(f'<image {place} href="data:image/png;base64,{data}"/>')
        drawn.append(_text(left_px, top_px + TILE_PX + 14, f"{time_s:.2f} s", "#6b7280", size_px=11))
    return drawn


def _turn(question: str, answer: str, truth: str, top_px: int) -> tuple[list[str], int]:
    """Draw a question beside its answer, and the truth beneath a wrong one; give the height too."""
    middle_px, right = MARGIN_PX + WIDTH_PX * 46 // 100, answer == truth
    drawn = [
        _text(MARGIN_PX, top_px, question, "#1f2937"),
        _text(middle_px, top_px, answer, "#0f766e" if right else "#b91c1c", weight=600),
    ]
    if right:
        return drawn, LINE_PX
    return [*drawn, _text(middle_px, top_px + LINE_PX, f"(true: {truth})", "#6b7280")], 2 * LINE_PX


def _text(left_px: int, base_px: int, words: str, color: str, *, size_px: int = 15, weight: int = 400) -> str:
    style = f'font-size="{size_px}" font-weight="{weight}" fill="{color}"'
    return f'<text x="{left_px}" y="{base_px}" {TEXT} {style}>{escape(words)}</text>'


def _document(body: list[str], height_px: int) -> str:
    size = f'width="{WIDTH_PX}" height="{height_px}" viewBox="0 0 {WIDTH_PX} {height_px}"'
    back = f'<rect width="{WIDTH_PX}" height="{height_px}" rx="8" fill="#f9fafb"/>'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', back, *body, "</svg>"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
