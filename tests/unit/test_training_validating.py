"""Every fault of a file of conversations is named with its line."""

import json
import subprocess
import sys

import pytest

from valley.training.validating import validate


def text_part(text):
    return {"type": "text", "text": text}


GOOD = {
    "id": "a",
    "language": "en",
    "messages": [
        {
            "role": "user",
            "content": [{"type": "video", "path": "a.mp4", "start_s": 0, "end_s": 1}, text_part("Who?")],
        },
        {"role": "assistant", "content": [text_part("A cook.")]},
    ],
}


def changed(**fields):
    """Give the good record with other fields."""
    return json.loads(json.dumps({**GOOD, **fields}))


def turns(*messages):
    """Give a record with these turns, each a role and parts or words."""
    return changed(messages=[{"role": role, "content": content} for role, content in messages])


def findings(tmp_path, *lines):
    """Check a file of these lines and give what is found, without the file's name, and the summary."""
    (tmp_path / "a.mp4").touch()
    path = tmp_path / "my.jsonl"
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(texts) + b"\n")
    found = []
    summary = validate(path, found.append)
    assert summary.num_faults == sum(f.is_fault for f in found)
    assert summary.num_warnings == sum(not f.is_fault for f in found)
    return [str(f).removeprefix(str(tmp_path) + "/") for f in found], summary


def test_a_good_file_is_counted(tmp_path):
    chinese = changed(id="b", language="zh-Hans")
    spoken = turns(
        ("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi."), ("user", "So?"), ("assistant", ".")
    )
    found, summary = findings(tmp_path, GOOD, chinese, b"", spoken | {"id": "c"})
    assert found == []
    assert summary.to_dict() == {
        "num_conversations": 3,
        "num_turns": 9,
        "num_images": 0,
        "num_videos": 2,
        "num_faults": 0,
        "num_warnings": 0,
        "languages": {"en": 2, "zh-Hans": 1},
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"id": "a", ', "not JSON (Expecting property name"),
        (b'{"id": "\xff"}', "no text in UTF-8"),
        (b"[1]", "want an object with a list 'messages', got [1]"),
        (changed(mesages=[]), "unknown fields ['mesages']"),
        (changed(metadata=[1]), "want 'metadata' to be an object"),
        (
            changed(messages=[{"role": "bot", "content": "x"}]),
            "message 1: want a role of system, user, assistant",
        ),
        (turns(("user", [{"type": "video", "path": "a.mp4", "start": 1}])), "message 1, part 1: want ["),
        (
            turns(("user", [{"type": "video", "path": "a.mp4", "end_s": "1"}])),
            "want start_s and end_s in seconds",
        ),
        (
            turns(("user", [{"type": "video", "path": "a.mp4", "end_s": 10**400}])),
            "want start_s and end_s in seconds",
        ),
        (
            turns(("user", [{"type": "video", "path": "a.mp4", "subtitles": 1}])),
            "want subtitles to be off, auto",
        ),
        (turns(("user", "Who?")), "no turn of the assistant's"),
        (turns(("user", "Who?"), ("assistant", " \n")), "message 2: the assistant says nothing"),
        (turns(("user", ""), ("assistant", "A cook.")), "message 1: the user's turn is empty"),
        (turns(("assistant", "Hi.")), "message 1: want the user's turn, got the assistant's"),
        (
            turns(("user", "a"), ("user", "b"), ("assistant", "c")),
            "message 2: want the assistant's turn, got the user's",
        ),
        (
            turns(("user", "a"), ("assistant", "c"), ("system", "b")),
            "message 3: want the user's turn, got the sys",
        ),
        (
            turns(("user", "a"), ("assistant", [text_part("b"), {"type": "image", "path": "a.mp4"}])),
            "a medium stands",
        ),
        (changed(language="english"), "the language 'english' is no BCP-47 tag"),
        (
            turns(("user", [{"type": "image", "path": "b.jpg"}]), ("assistant", "c")),
            "message 1: there is no file",
        ),
        (
            turns(("user", [{"type": "image", "path": "https://x.org/b"}]), ("assistant", "c")),
            "is an address: fetch",
        ),
    ],
)
def test_each_fault_is_told_with_its_line(tmp_path, line, words):
    record = line if isinstance(line, bytes) else {**line, "id": "b"}
    found, _ = findings(tmp_path, GOOD, record)
    assert found[0].startswith(f"my.jsonl:2: {words}") or words in found[0]
    assert found[0].startswith("my.jsonl:2: ")


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ({"start_s": 2, "end_s": 1.5}, "end_s 1.5 lies before start_s 2"),
        ({"start_s": -1}, "start_s is -1.0: write seconds"),
        ({"end_s": float("inf")}, "end_s is inf"),
        ({"subtitles": "no.srt"}, "/no.srt with subtitles: check the path"),
    ],
)
def test_a_window_that_cannot_be_and_subtitles_that_are_not_there(tmp_path, times, words):
    part = {"type": "video", "path": "a.mp4", **times}
    found, _ = findings(tmp_path, turns(("user", [part]), ("assistant", "c")))
    assert len(found) == 1
    assert words in found[0]


def test_all_faults_of_a_line_and_ids_that_come_twice(tmp_path):
    bad = turns(("user", [{"type": "image", "path": "b.jpg"}]), ("user", "x")) | {"language": "?"}
    found, summary = findings(tmp_path, GOOD, bad)
    assert [f.partition(": ")[2][:20] for f in found] == [
        "the language '?' is ",
        "the id 'a' is that o",
        "no turn of the assis",
        "message 2: want the ",
        "message 1: there is ",
        "warning: the last tu",
    ]
    assert "of line 1 too" in found[1]
    assert (summary.num_conversations, summary.num_faults) == (2, 5)


@pytest.mark.parametrize("tag", ["<video>", "<image>", "<ImageHere>", "<|image_pad|>", "<vi_start>"])
def test_a_placeholder_in_the_text_is_a_warning(tmp_path, tag):
    found, summary = findings(tmp_path, turns(("user", f"{tag} Who?"), ("assistant", "A cook.")))
    assert found == [
        f"my.jsonl:1: warning: message 1: {tag} stands in the text and is only text there: "
        "if it meant a medium, write a part of its type"
    ]
    assert summary.num_faults == 0


def test_media_may_lie_elsewhere(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").touch()
    path = tmp_path / "my.jsonl"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    assert validate(path, print).num_faults == 1
    assert validate(path, print, media_root=tmp_path / "clips").num_faults == 0


def test_an_empty_file_is_a_fault(tmp_path):
    assert findings(tmp_path, b"")[0] == ["my.jsonl: holds no conversation: write one JSON object a line"]


def test_checking_needs_no_model_stack():
    program = (
        "import sys, valley.training.validating, valley.training.scanning, valley.importers.importer\n"
        "print(sorted({'torch', 'transformers', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
