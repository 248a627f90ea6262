"""Conversations in other projects' forms, read back by the importers of these."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from valley.cli import run
from valley.conversation import (
    Conversation,
    Image,
    Message,
    Text,
    Video,
    assistant,
    read_jsonl,
    system,
    user,
    write_jsonl,
)
from valley.errors import UnknownNameError
from valley.importers.exporting import EXPORTS, export, why_not
from valley.importers.importer import IMPORTERS, ImportOptions
from valley.synthetic.dataset import scene_number
from valley.synthetic.render import render_video

READS = {"llava": "llava", "sharegpt": "llama_factory"}
FACTS = {"task": "dialogue", "licence": "CC0-1.0", "request_keys": ["a", "b"], "checks": {"turns": "1"}}

TALK = Conversation(
    (
        user(Video("clips/a.mp4"), "Who is it?"),
        assistant("A cook."),
        user("And then?"),
        assistant("切洋葱。"),
    ),
    "en",
    "talk",
    dict(FACTS),
)
PICTURE = Conversation((user(Image("a.png"), "What is it?"), assistant("A pan.")), "es", "picture")
TWO = Conversation(
    (user("Is ", Image("a.png"), " left of ", Image("b.png"), "?"), assistant("Yes.")), "en", "two"
)
LATER = Conversation(
    (user("Hello."), assistant("Hello."), user(Video("b.mp4"), "And this?"), assistant("A dog.")),
    "zh",
    "later",
)
NO_MEDIUM = Conversation((user("Hello."), assistant("Hello.")), "en", "none")


def back(out: Path, to: str) -> list[Conversation]:
    keep = ("metadata",) if to == "sharegpt" else tuple(FACTS)
    return list(IMPORTERS.get(READS[to]).read(out, ImportOptions(keep=keep)))


@pytest.mark.parametrize("to", EXPORTS)
@pytest.mark.parametrize("name", ["out.json", "out.jsonl"])
def test_what_is_exported_is_read_back_with_its_media_words_and_facts(to: str, name: str, tmp_path: Path):
    talks = [TALK, PICTURE, TWO, LATER, NO_MEDIUM]
    done = export(talks, tmp_path / name, to=to)
    assert (done.num_written, dict(done.left_out)) == (5, {})
    again = back(tmp_path / name, to)
    assert [c.id for c in again] == [c.id for c in talks]
    for one, other in zip(again, talks, strict=True):
        assert one.messages == other.messages
        assert one.language == other.language
    kept = json.loads(again[0].metadata["metadata"]) if to == "sharegpt" else again[0].metadata
    assert {name: kept[name] for name in FACTS} == FACTS


@pytest.mark.parametrize("to", EXPORTS)
def test_the_medium_is_a_token_on_the_first_line_of_the_first_turn(to: str, tmp_path: Path):
    export([TALK], tmp_path / "out.json", to=to)
    item = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))[0]
    assert item["conversations"][0] == {"from": "human", "value": "<video>\nWho is it?"}
    assert item["conversations"][3] == {"from": "gpt", "value": "切洋葱。"}
    assert item.get("video", item.get("videos")) in ("clips/a.mp4", ["clips/a.mp4"])


def test_all_items_of_sharegpt_have_the_same_columns_of_the_same_types(tmp_path: Path):
    export([TALK, PICTURE, TWO], tmp_path / "out.json", to="sharegpt")
    items = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    shapes = {tuple((name, type(value)) for name, value in item.items()) for item in items}
    assert len(shapes) == 1


@pytest.mark.parametrize("to", EXPORTS)
@pytest.mark.parametrize("token", ["<image>", "<video>", "<audio>", "<ImageHere>", "<VideoHere>"])
def test_words_that_spell_a_token_are_no_medium(to: str, token: str, tmp_path: Path):
    spelt = Conversation(
        (user(Video("a.mp4"), f"What is {token}?"), assistant(f"{token} is a token.")), id="spelt"
    )
    export([spelt], tmp_path / "out.json", to=to)
    again = back(tmp_path / "out.json", to)[0]
    assert again.media == spelt.media
    assert again.messages[1].text == f"< {token[1:]} is a token."


def test_llavas_folder_field_is_not_taken_for_the_source(tmp_path: Path):
    export([replace(TALK, metadata={"source": "webvid"})], tmp_path / "out.json", to="llava")
    again = back(tmp_path / "out.json", "llava")[0]
    assert again.media == TALK.media
    assert again.metadata["data_source"] == "webvid"


def test_facts_never_take_the_place_of_an_items_own_fields(tmp_path: Path):
    export([replace(TALK, metadata={"id": "other", "video": "x.mp4"})], tmp_path / "out.json", to="llava")
    again = back(tmp_path / "out.json", "llava")[0]
    assert (again.id, again.media) == ("talk", TALK.media)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ((user(Video("a.mp4", 1.0, 2.0), "Who?"), assistant("A cook.")), "about a part of a clip"),
        ((user(Video("a.mp4", subtitles="auto"), "Who?"), assistant("A cook.")), "subtitles"),
        ((user(Video(b"..."), "Who?"), assistant("A cook.")), "a medium that is no file"),
        (
            (system("Be brief."), user("Who?"), assistant("A cook.")),
            "turns that are not question and answer by turns",
        ),
        ((user("Who?"),), "turns that are not question and answer by turns"),
        ((), "turns that are not question and answer by turns"),
        (
            (user("Show me."), Message("assistant", (Image("a.png"), Text("Here.")))),
            "a medium in an answer",
        ),
    ],
)
def test_what_has_no_place_there_is_left_out_and_counted(
    messages: tuple[Message, ...], reason: str, tmp_path: Path
):
    wrong = Conversation(messages, id="wrong")
    assert why_not(wrong) == reason
    done = export([wrong, TALK], tmp_path / "out.json", to="llava")
    assert (done.num_written, dict(done.left_out)) == (1, {reason: 1})


@pytest.mark.parametrize("to", EXPORTS)
def test_a_window_that_leaves_nothing_out_is_dropped(to: str, tmp_path: Path):
    windowed = replace(
        TALK, messages=(user(Video("clips/a.mp4", 0.0, 4.0), "Who is it?"), *TALK.messages[1:])
    )
    assert export([windowed], tmp_path / "no.json", to=to).num_written == 0
    done = export([windowed], tmp_path / "out.json", to=to, is_whole=lambda video: video.end_s == 4.0)
    assert done.num_written == 1
    assert back(tmp_path / "out.json", to)[0].messages == TALK.messages


def test_nothing_is_still_a_list_and_a_wrong_name_leaves_no_file(tmp_path: Path):
    export([], tmp_path / "none.json", to="llava")
    assert json.loads((tmp_path / "none.json").read_text(encoding="utf-8")) == []
    export([], tmp_path / "none.jsonl", to="llava")
    assert (tmp_path / "none.jsonl").read_bytes() == b""
    with pytest.raises(UnknownNameError, match="want one of llava, sharegpt"):
        export([TALK], tmp_path / "x.json", to="llavva")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["none.json", "none.jsonl"]


# ---- valley data export ----


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A file about a rendered clip: of all of it, of all but a part of its last frame, and of a part."""
    folder = tmp_path / "data"
    folder.mkdir()
    render_video(scene_number(0, 1, level="core"), folder / "a.mp4")
    from valley.video.probing import probe

    end_s = probe(folder / "a.mp4").duration_s
    windows = {
        "all": (0.0, end_s),
        "nearly": (0.0, end_s - 0.01),
        "part": (0.0, end_s / 2),
        "late": (0.5, end_s),
    }
    made = [
        Conversation((user(Video("a.mp4", *window), "Who?"), assistant("Nobody.")), id=name)
        for name, window in windows.items()
    ]
    made.append(
        Conversation((user("Hello."), assistant("Hello.")), id="odd", metadata={"licence": "unknown"})
    )
    write_jsonl(folder / "talks.jsonl", made)
    return folder / "talks.jsonl"


def test_the_command_looks_at_clips_and_writes_paths_as_seen_from_the_file(
    talks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "elsewhere" / "out.json"
    assert run(["data", "export", str(talks), str(out), "--to", "llava"]) == 0
    said = capsys.readouterr()
    assert f"{out}: 2 conversations" in said.out
    assert "about a part of a clip: 2" in said.err
    assert "nobody stated the licence (--allow-unknown-licence): 1" in said.err
    items = json.loads(out.read_text(encoding="utf-8"))
    assert [item["id"] for item in items] == ["all", "nearly"]
    assert {item["video"] for item in items} == {"../data/a.mp4"}
    words = ["data", "export", str(talks), str(out), "--to", "sharegpt", "--allow-unknown-licence", "--json"]
    assert run(words) == 0
    assert json.loads(capsys.readouterr().out)["num_written"] == 3


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "want --to with a format: llava, sharegpt"),
        (["--to", "llavva"], "want one of llava, sharegpt"),
    ],
)
def test_the_command_says_what_it_wants(
    more: list[str], said: str, talks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(["data", "export", str(talks), str(tmp_path / "out.json"), *more]) == 1
    assert said in capsys.readouterr().err


def test_what_was_written_by_a_model_must_say_where_it_comes_from(
    talks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    one = next(read_jsonl(talks))
    write_jsonl(talks, [replace(one, metadata={"writer": "some-model", "task": "dialogue"})])
    assert run(["data", "export", str(talks), str(tmp_path / "out.json"), "--to", "llava"]) == 1
    assert "want a record with its provenance" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_the_file_itself_is_never_written_over(talks: Path, capsys: pytest.CaptureFixture[str]):
    before = talks.read_bytes()
    assert run(["data", "export", str(talks), str(talks), "--to", "llava"]) == 1
    assert "is the file that is read" in capsys.readouterr().err
    assert talks.read_bytes() == before
