"""Every importer against a sample in its published format, and the parts that they share.

The samples of hf_datasets were saved by the library datasets itself.
"""

import io
import json
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from valley.conversation import Conversation, Image, Text, Video, assistant, from_record, to_record, user
from valley.errors import ConfigError, ConversationError, UnknownNameError
from valley.importers import items
from valley.importers.importer import IMPORTERS, Importer, ImportOptions
from valley.importers.placing import place_media, unique_ids
from valley.importers.turns import MediaQueue

SAMPLES = Path(__file__).with_name("samples")
OPTIONS = {"video_suffix": ".mp4", "image_prefix": "", "media_out": Path("media")}


def sample(name, kind, folder):
    """Give the path of a sample; shards are packed here, because their members are easier to read apart."""
    if name == "webdataset":
        with tarfile.open(folder / f"{kind}.tar", "w") as archive:
            for member in sorted((SAMPLES / name / kind).iterdir()):
                archive.add(member, member.name)
        return folder / f"{kind}.tar"
    if (SAMPLES / name / kind).is_dir():
        return SAMPLES / name / kind
    (path,) = (SAMPLES / name).glob(f"{kind}.*")
    return path


def write(path, *values):
    """Write values as JSON, one a line."""
    path.write_text("".join(json.dumps(v) + "\n" for v in values), encoding="utf-8")
    return path


def imported(name, path, **options):
    """Read a file and give the conversations."""
    return list(IMPORTERS.get(name).read(path, ImportOptions(**options)))


@pytest.mark.parametrize("name", IMPORTERS.names())
def test_the_sample_gives_what_is_expected(name, tmp_path):
    made = imported(name, sample(name, "good", tmp_path), media_out=tmp_path / "media")
    records = [to_record(c) for c in place_media(made, media_root=tmp_path, folder=tmp_path)]
    expected = (SAMPLES / name / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    assert records == [json.loads(line) for line in expected]


@pytest.mark.parametrize("name", IMPORTERS.names())
def test_the_contract_of_importers(name, tmp_path):
    importer = IMPORTERS.get(name)
    assert isinstance(importer, Importer)
    assert importer.name == name
    assert importer.origin
    assert set(importer.options) <= set(OPTIONS)
    options = ImportOptions(language="de", media_out=tmp_path / "media")
    good = list(importer.read(sample(name, "good", tmp_path), options))
    assert len(good) >= 3
    assert len({c.id for c in good}) == len(good)
    for conversation in good:
        assert from_record(json.loads(json.dumps(to_record(conversation)))) == conversation
        assert conversation.language in ("de", "zh")
        assert conversation.metadata["format"] == name
        assert not any(
            "<image>" in m.text or "<video>" in m.text.replace("<video> mean", "")
            for m in (conversation.messages)
        )


@pytest.mark.parametrize("name", IMPORTERS.names())
def test_a_broken_item_is_an_error_with_file_and_place(name, tmp_path):
    importer = IMPORTERS.get(name)
    path = sample(name, "broken", tmp_path)
    options = ImportOptions(media_out=tmp_path / "media")
    with pytest.raises(ConversationError) as caught:
        list(importer.read(path, options))
    text = str(caught.value)
    assert text.startswith(str(path))
    assert any(place in text for place in (f"{path}:", "row 1", "key 000000")), text
    assert ": " in text.removeprefix(str(path)), "what to do follows"
    left_out = []
    importer_reads = list(importer.read(path, options, on_bad=left_out.append))
    assert left_out
    assert all(isinstance(c, Conversation) for c in importer_reads)


WORDS = {
    "llava": r"broken.json:\d+, item 2: more <image> tags than media, 1 images are named: take",
    "llava_cc3m": r"item 1: the field 'blip_caption' is unknown in this format: .* \(--keep blip_caption\)",
    "webvid": r"1 of 1 videos have no <video> tag in the text: put one",
    "videochat": r"item 1, QA 2: its 'i' differs",
    "video_chatgpt": r"item 2: want a text 'a', got none",
    "videollama3": r"broken.jsonl:2: has 'stream', which is a commentary",
    "qwen_vl": r"item 1, packed item 2: image and images contradict each other",
    "ms_swift": r"broken.jsonl:1: has 'rejected_response', which belongs to preference training",
    "llama_factory": r"item 2, turn 2: want 'from' to be one of .*, got 'function_call'",
    "messages": r"turn 1, part 1: 'url' is an address, 'https.*': fetch the file",
    "hf_datasets": r"row 1: 'image' holds the bytes of a medium: write them to a file",
    "webdataset": r"broken.tar, key 000000: 1 of 1 videos have no <video> tag",
}


@pytest.mark.parametrize("name", sorted(WORDS))
def test_what_the_error_says(name, tmp_path):
    with pytest.raises(ConversationError, match=WORDS[name]):
        imported(name, sample(name, "broken", tmp_path), media_out=tmp_path / "media")


def test_an_unknown_format_is_guessed_at():
    with pytest.raises(UnknownNameError, match="no format is called 'lava'; did you mean 'llava'"):
        IMPORTERS.get("lava")


# The shared parts.


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<image>\nWhat?", (Image("a"), Text("What?"))),
        ("What?\n<image>", (Text("What?"), Image("a"))),
        ("What? <image> ", (Text("What?"), Image("a"))),
        ("left <image> or right", (Text("left "), Image("a"), Text(" or right"))),
        ("above\n<image>\nbelow", (Text("above"), Image("a"), Text("below"))),
        ("<image>", (Image("a"),)),
        ("<ImageHere>  What? ", (Image("a"), Text("What? "))),
        ("<image> <image>\n  Which?", (Image("a"), Image("b"), Text("Which?"))),
        (" no tag\n", (Text(" no tag\n"),)),
    ],
)
def test_media_stand_where_the_tag_stood(text, parts):
    queue = MediaQueue([Image("a"), Image("b")], (), "here")
    assert queue.parts(text) == parts


def test_tags_of_sound_and_tags_in_answers_are_refused(tmp_path):
    turns = [{"role": "user", "content": "<audio>What?"}, {"role": "assistant", "content": "A bell."}]
    with pytest.raises(ConversationError, match="<audio> stands for sound"):
        imported("ms_swift", write(tmp_path / "a.jsonl", {"messages": turns}))
    turns = [{"role": "assistant", "content": "<image>is a puppy"}]
    record = {"messages": turns, "images": ["a.jpg"]}
    with pytest.raises(ConversationError, match="turn 1: <image> stands in the assistant's words"):
        imported("ms_swift", write(tmp_path / "b.jsonl", record))


def test_fields_that_are_not_known_can_be_kept(tmp_path):
    path = write(tmp_path / "a.jsonl", {"q": "What?", "a": "A dog.", "video_id": "v", "split": "train"})
    with pytest.raises(ConversationError, match=r"a.jsonl:1: the field 'split' is unknown"):
        imported("video_chatgpt", path)
    (made,) = imported("video_chatgpt", path, keep=("split",), video_suffix=".mkv")
    assert made.metadata == {"format": "video_chatgpt", "split": "train"}
    assert made.media == (Video("v.mkv"),)


def test_names_of_coco_get_their_prefix(tmp_path):
    record = {"id": "1", "image": "x/1.jpg", "conversations": [{"from": "human", "value": "<image>What?"}]}
    (made,) = imported("llava", write(tmp_path / "a.jsonl", record), image_prefix="COCO_train2014_")
    assert made.media == (Image("x/COCO_train2014_1.jpg"),)


def test_a_record_says_its_language_or_the_caller_does(tmp_path):
    record = {"q": "Was?", "a": "Ein Hund.", "video_id": "v", "language": "de"}
    path = write(
        tmp_path / "a.jsonl", record, {**record, "language": None}, {**record, "language": "German!"}
    )
    reading = IMPORTERS.get("video_chatgpt").read(path, ImportOptions(language="pt-BR"))
    assert [next(reading).language, next(reading).language] == ["de", "pt-BR"]
    with pytest.raises(ConversationError, match=r"a.jsonl:3: want a language tag"):
        next(reading)


# Reading items.


@pytest.mark.parametrize("indent", [None, 2])
def test_a_long_list_is_read_in_pieces(tmp_path, monkeypatch, indent):
    monkeypatch.setattr(items, "_CHUNK_CHARS", 7)
    values = [{"n": i, "text": 'é"\\ü漢\n' * (i % 5), "x": [1.5, None, True, -i]} for i in range(60)] + [
        12345
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(values, indent=indent, ensure_ascii=indent is None), encoding="utf-8")
    read = list(items.read_items(path))
    assert [item.value for item in read] == values
    lines = path.read_text(encoding="utf-8").splitlines()
    assert read[3].where.endswith("item 4")
    line = int(read[3].where.removeprefix(f"{path}:").partition(",")[0])
    assert lines[line - 1].lstrip().startswith("{" if indent else "[")
    assert read[3].default_id == "a-4"


def test_a_list_is_not_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(items, "_CHUNK_CHARS", 2**14)
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": "x" * 1000}] * 1000), encoding="utf-8")
    size_bytes = path.stat().st_size
    tracemalloc.start()
    assert sum(1 for _ in items.read_items(path)) == 1000
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < size_bytes / 2


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "", "a.json: the file is empty"),
        ("a.json", '[{"a": 1},\n {"b": nope}]', "a.json:2: not JSON .* in item 2"),
        ("a.json", '[{"a": 1},\n {"b": "cut o', "a.json:2: not JSON"),
        ("a.json", '[{"a": 1}\n {"b": 1}]', "a.json:2: want a comma or ] behind item 1, got {"),
        ("a.json", '[{"a": 1}', "behind item 1, got the end of the file"),
        ("a.json", '[{"a": 1},]', "a comma before the final ]"),
        ("a.json", '[{"a": 1}] x', "something stands behind the list"),
        ("a.json", '[{"a": NaN}]', "item 1: NaN is no JSON"),
        ("a.json", '[{"a": 1, "a": 2}]', "item 1: the field 'a' stands there twice"),
        ("a.json", "[" + "[" * 100_000, "nested too deeply"),
        ("a.json", '{\n "a": 1}', "a.json:1: not JSON .*: want one object a line, or one list"),
        ("a.jsonl", '{"a": 1}\n\n{"a"', "a.jsonl:3: not JSON"),
        ("a.jsonl", '{"a": "\\ud83d"}', "a.jsonl:1: holds half of a character"),
        ("a.jsonl", b'{"a": "\xff"}', "a.jsonl: is no text in UTF-8"),
    ],
)
def test_what_is_no_json_names_the_line(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConversationError, match=words):
        list(items.read_items(path))


def test_lines_may_stand_in_a_json_file_and_begin_with_a_mark(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('\ufeff{"a": 1}\n{"a": 2}\n', encoding="utf-8")
    assert [item.value["a"] for item in items.read_items(path)] == [1, 2]


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConversationError, match="is a folder"):
        imported("llava", tmp_path)


# Archives and saved data sets.


def shard_of(folder, *members):
    """Pack members, given as name and bytes, or as a ready header."""
    with tarfile.open(folder / "s.tar", "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return folder / "s.tar"


@pytest.mark.parametrize("name", ["../a.mp4", "/a.mp4", "x/../../a.mp4", "c:\\a.mp4"])
def test_a_shard_cannot_write_elsewhere(tmp_path, name):
    shard = shard_of(tmp_path, (name, b"x"))
    with pytest.raises(ConversationError, match="leads out of the folder"):
        imported("webdataset", shard, media_out=tmp_path / "media")
    assert not (tmp_path / "a.mp4").exists()


def test_a_shard_with_links_foreign_members_or_scattered_ones_is_refused(tmp_path):
    link = tarfile.TarInfo("a.mp4")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    for members, words in (
        ([(link, b"")], "is no plain file"),
        ([("a.npy", b"x")], "does not know the member .npy"),
        ([(name, b"x") for name in ("a.mp4", "a.txt", "b.mp4", "b.txt", "a.json")], "its members are apart"),
        ([("a.json", b"[]")], "want an object in its .json"),
        ([("a.json", b"{}"), ("a.mp4", b"x")], "want conversations, messages or a caption"),
    ):
        with pytest.raises(ConversationError, match=words):
            imported("webdataset", shard_of(tmp_path, *members), media_out=tmp_path / "media")
    (tmp_path / "s.tar").write_bytes(b"no archive")
    with pytest.raises(ConversationError, match=r"s.tar: is no sound tar file"):
        imported("webdataset", tmp_path, media_out=tmp_path / "media")
    with pytest.raises(ConfigError, match="--media-out"):
        imported("webdataset", tmp_path)


def test_media_of_a_shard_are_written_whole(tmp_path):
    imported("webdataset", sample("webdataset", "good", tmp_path), media_out=tmp_path / "media")
    written = {p.relative_to(tmp_path / "media").as_posix() for p in (tmp_path / "media").rglob("*.*")}
    assert written == {"good/000000.mp4", "good/000001.0.jpg", "good/000001.1.jpg", "good/000002.mp4"}
    copy = tmp_path / "media" / "good" / "000001.1.jpg"
    assert copy.read_bytes() == (SAMPLES / "webdataset" / "good" / "000001.1.jpg").read_bytes()


def test_a_saved_data_set_says_what_it_lacks(tmp_path):
    with pytest.raises(ConversationError, match=r"no state.json"):
        imported("hf_datasets", tmp_path)
    write(tmp_path / "dataset_dict.json", {"splits": ["train", "test"]})
    with pytest.raises(ConversationError, match=r"give one of .*train, .*test"):
        imported("hf_datasets", tmp_path)
    (tmp_path / "dataset_dict.json").unlink()
    write(tmp_path / "state.json", {"_data_files": [{"filename": "a.arrow"}], "_indices_files": None})
    (tmp_path / "a.arrow").write_bytes(b"no arrow at all")
    with pytest.raises(ConversationError, match="row 1 cannot be read"):
        imported("hf_datasets", tmp_path)


# From the importer to the file.


def test_paths_are_seen_from_the_new_file(tmp_path):
    def placed(source):
        conversation = Conversation((user(Video(source, 1.0, 2.0)), assistant("Yes.")))
        (made,) = place_media([conversation], media_root=tmp_path / "clips", folder=tmp_path / "sets")
        (video,) = made.media
        assert video == replace(Video(""), source=video.source, start_s=1.0, end_s=2.0)
        return video.source

    assert placed("a/b.mp4") == "../clips/a/b.mp4"
    assert placed(str(tmp_path / "sets" / "c.mp4")) == "c.mp4"
    assert placed("/elsewhere/c.mp4") == "/elsewhere/c.mp4"


def test_an_id_occurs_once():
    named = [Conversation((), id=name) for name in ("a", "b", "a", "a-2", "a")]
    assert [c.id for c in unique_ids(named)] == ["a", "b", "a-2", "a-2-2", "a-3"]
