"""A file of conversations: bad lines are named, and paths begin in the file's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from valley.conversation import (
    Conversation,
    Image,
    Video,
    assistant,
    read_jsonl,
    to_record,
    user,
    with_sources,
    write_jsonl,
)
from valley.errors import ConversationError
from valley.importers.placing import place_media
from valley.training.conversation_store import open_store
from valley.training.scanning import media_uses, scan
from valley.training.validating import validate


def about(*media: Video | Image) -> Conversation:
    return Conversation((user(*media, "Who speaks?"), assistant("A cook.")), id="a")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"id": "\xff\xfe"}', "no text in UTF-8 .*: convert the file"),
        (b'{"id": ', "not JSON"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"[1]", "want an object with a list 'messages'"),
    ],
)
def test_what_is_no_conversation_is_named_with_file_and_line(tmp_path: Path, line: bytes, words: str) -> None:
    path = tmp_path / "my.jsonl"
    path.write_bytes(json.dumps(to_record(about())).encode() + b"\r\n\n" + line + b"\n")
    with pytest.raises(ConversationError, match=rf"my\.jsonl:3: {words}"):
        list(read_jsonl(path))
    with pytest.raises(ConversationError, match=rf"my\.jsonl:3: {words}"):
        open_store(path, tmp_path / "index")


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A file in a folder with a clip and its subtitles beside it, named as seen from there."""
    folder = tmp_path / "set"
    folder.mkdir()
    media = (Video("a.mp4", subtitles="words/a.srt"), Video("a.mp4", subtitles="auto"), Image("a.png"))
    write_jsonl(folder / "my.jsonl", [about(*media)])
    return folder / "my.jsonl"


def test_subtitles_are_looked_for_where_media_are(spoken: Path, tmp_path: Path) -> None:
    (read,) = read_jsonl(spoken)
    folder = str(spoken.parent)
    assert [m.source for m in read.media] == [f"{folder}/a.mp4", f"{folder}/a.mp4", f"{folder}/a.png"]
    assert [m.subtitles for m in read.media[:2]] == [f"{folder}/words/a.srt", "auto"]
    assert open_store(spoken, tmp_path / "index")[0] == read
    (elsewhere,) = read_jsonl(spoken, media_root=Path("/clips"))
    assert elsewhere.media[0].subtitles == "/clips/words/a.srt"
    absolute = about(Video("/b.mp4", subtitles="/b.srt"))
    write_jsonl(spoken, [absolute])
    assert list(read_jsonl(spoken)) == [absolute]


def test_an_importer_places_subtitles_beside_media(tmp_path: Path) -> None:
    made = [about(Video("a.mp4", subtitles="a.srt"), Video("b.mp4"))]
    (placed,) = place_media(made, media_root=tmp_path / "clips", folder=tmp_path)
    assert [(m.source, m.subtitles) for m in placed.media] == [
        ("clips/a.mp4", "clips/a.srt"),
        ("clips/b.mp4", "off"),
    ]


def test_encoded_bytes_stay_and_their_subtitles_are_placed() -> None:
    changed = with_sources(about(Video(b"mp4", subtitles="a.srt"), Image(b"png")), lambda path: f"x/{path}")
    assert [m.source for m in changed.media] == [b"mp4", b"png"]
    assert changed.media[0].subtitles == "x/a.srt"


def test_validating_and_scanning_see_the_file_of_subtitles(
    spoken: Path, clip_files: Path, tmp_path: Path
) -> None:
    for name in ("a.mp4", "photo.png"):
        (spoken.parent / name.replace("photo", "a")).write_bytes((clip_files / name).read_bytes())
    found = []
    assert validate(spoken, found.append).num_faults == 1
    assert f"there is no file {spoken.parent}/words/a.srt with subtitles" in str(found[0])
    (spoken.parent / "words").mkdir()
    (spoken.parent / "words" / "a.srt").write_text("1\n00:00:00,500 --> 00:00:01,000\nHello.\n")
    assert validate(spoken, found.append).num_faults == 0
    verdicts = scan(media_uses(spoken), tmp_path / "notes", num_workers=1)
    assert [v.error for v in verdicts] == ["", "", ""]
    (spoken.parent / "words" / "a.srt").unlink()
    (verdict,) = scan([verdicts[0].use], tmp_path / "other", num_workers=1)
    assert verdict.error == "MediaNotFoundError"
