import hashlib
import json
import logging
import shutil
import tarfile
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from collection.small_corpus import SmallCorpus, make_corpus
from valley.collection.describing import MEDIA, REQUESTS, request_for
from valley.collection.exporting import FORMATS, export
from valley.collection.joining import join_tables
from valley.collection.tar_shards import ShardLimits
from valley.conversation import Video, read_jsonl
from valley.errors import ConfigError, UnknownNameError
from valley.importers.importer import IMPORTERS, ImportOptions
from valley.manifest import read_clips, read_table, write_table
from valley.training.validating import validate
from valley.video.decoding import read_frames
from valley.video.sampling import FrameSampling


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallCorpus:
    return make_corpus(tmp_path_factory.mktemp("export"))


def digest(path: Path) -> str:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    sums = hashlib.sha256()
    for file in files:
        sums.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return sums.hexdigest()


# ---- the tables side by side ----


def test_the_joined_tables_say_the_same_as_the_manifest_read_whole(made: SmallCorpus):
    clips = list(read_clips(made.path, allow_unknown_licence=True))
    media = {medium.id: medium for medium in join_tables(made.path)}
    assert len(media) == 5
    assert {c.id for c in clips} == {s["clip_id"] for m in media.values() for s in m.stretches}
    film = media[made.media["film"]]
    assert len(film.shots) == 2
    assert film.num_refused == 2
    assert {t.id for c in clips if c.media_id == film.id for t in c.texts} == {
        t["text_id"] for t in film.texts
    }


def test_a_text_about_an_unknown_medium_is_an_error(tmp_path: Path):
    made = make_corpus(tmp_path)
    rows = [r for r in read_table(made.path, "media").to_pylist() if r["media_id"] != made.media["film"]]
    write_table(made.path, "media", rows)
    with pytest.raises(ConfigError, match=r"names medium [0-9a-f]{64}, which media.parquet lacks"):
        list(join_tables(made.path))


# ---- requests ----


@pytest.mark.parametrize("language", sorted(REQUESTS))
@pytest.mark.parametrize("media_kind", ["video", "image"])
@pytest.mark.parametrize("text_kind", ["caption", "description"])
def test_every_request_of_a_language_is_chosen_and_complete(language: str, media_kind: str, text_kind: str):
    asked = {
        request_for(
            hashlib.sha256(bytes([i])).hexdigest(),
            language=f"{language}-X",
            text_kind=text_kind,
            media_kind=media_kind,
        )
        for i in range(256)
    }
    assert len(asked) == len(REQUESTS[language][text_kind]) >= 3
    it, in_it = MEDIA[language][media_kind]
    assert all("{" not in a and (it.lower() in a.lower() or in_it.lower() in a.lower()) for a in asked)


def test_other_languages_are_asked_in_english():
    asked = request_for("ab" * 32, language="sw", text_kind="caption", media_kind="video")
    assert asked == request_for("ab" * 32, language="en", text_kind="caption", media_kind="video")


# ---- jsonl ----


def test_jsonl_is_what_training_takes(made: SmallCorpus, caplog: pytest.LogCaptureFixture):
    out = made.path.parent / "jsonl" / "out.jsonl"
    with caplog.at_level(logging.WARNING):
        assert export(made.path, out, to="jsonl") == 5
    assert "1 media with 1 kept texts are left out" in caplog.text
    findings = []
    summary = validate(out, findings.append)
    assert [str(f) for f in findings if f.is_fault] == []
    assert (summary.num_conversations, summary.num_videos, summary.num_images) == (5, 4, 1)
    assert summary.languages == {"en": 2, "zh-Hans": 1, "de": 1, "ar": 1}


def test_a_conversation_says_where_it_comes_from(made: SmallCorpus):
    out = made.path.parent / "facts.jsonl"
    export(made.path, out, to="jsonl")
    found = {c.messages[1].text: c for c in read_jsonl(out)}
    whole = found["A red field that turns blue."]
    assert whole.metadata == {
        "source": "folder",
        "source_item_id": "film.mp4",
        "licence": "CC-BY-4.0",
        "licence_evidence": "clips/LICENCE.txt",
        "attribution": "A & B",
        "text_id": whole.id,
        "clip_id": whole.metadata["clip_id"],
        "split": "train",
        "origin": "human",
    }
    medium = whole.media[0]
    assert isinstance(medium, Video)
    assert medium.start_s is None
    assert hashlib.sha256(Path(medium.source).read_bytes()).hexdigest() == made.media["film"]


def test_a_stretch_ends_before_the_frame_of_the_next(made: SmallCorpus):
    out = made.path.parent / "window.jsonl"
    export(made.path, out, to="jsonl")
    (part,) = [c.media[0] for c in read_jsonl(out) if c.messages[1].text == "Only red."]
    assert isinstance(part, Video)
    sampling = FrameSampling(num_frames=8, start_s=part.start_s, end_s=part.end_s)
    frames = read_frames(part.source, sampling)
    # a frame every 0.4 s: that of 2.0 s belongs to the shot behind [1.0, 2.0)
    assert frames.shown_at_s.tolist() == pytest.approx([1.2, 1.6])


def test_unknown_licences_come_in_where_they_are_allowed(made: SmallCorpus):
    out = made.path.parent / "allowed.jsonl"
    assert export(made.path, out, to="jsonl", allow_unknown_licence=True) == 6
    assert "unknown" in {c.metadata["licence"] for c in read_jsonl(out)}


def test_only_the_media_of_a_split(tmp_path: Path):
    made = make_corpus(tmp_path)
    rows = read_table(made.path, "clip").to_pylist()
    for row in rows:
        row["split"] = "test" if row["media_id"] == made.media["picture"] else "train"
    write_table(made.path, "clip", rows)
    assert export(made.path, tmp_path / "test.jsonl", to="jsonl", split="test") == 1
    assert export(made.path, tmp_path / "train.jsonl", to="jsonl", split="train") == 4
    export(made.path, tmp_path / "shards", to="webdataset")
    assert [p.name for p in sorted((tmp_path / "shards").glob("*.tar"))] == [
        "test-000000.tar",
        "train-000000.tar",
    ]


def test_paths_are_written_as_seen_from_out(made: SmallCorpus):
    inside = made.path / "inside.jsonl"
    export(made.path, inside, to="jsonl")
    lines = inside.read_text(encoding="utf-8").splitlines()
    paths = [json.loads(line)["messages"][0]["content"][0]["path"] for line in lines]
    assert all(path.startswith("blobs/") for path in paths)


# ---- llava ----


def test_llavas_list_is_read_back_by_its_importer(made: SmallCorpus, caplog: pytest.LogCaptureFixture):
    out = made.path.parent / "llava.json"
    with caplog.at_level(logging.WARNING):
        assert export(made.path, out, to="llava") == 4
    assert "1 captions about a part of a clip are left out" in caplog.text
    assert len(json.loads(out.read_text(encoding="utf-8"))) == 4
    keep = ("licence", "licence_evidence", "attribution", "source_item_id", "text_id", "clip_id")
    options = ImportOptions(keep=(*keep, "split", "origin"))
    back = {c.id: c for c in IMPORTERS.get("llava").read(out, options)}
    lines = made.path.parent / "same.jsonl"
    export(made.path, lines, to="jsonl")
    for conversation in read_jsonl(lines, media_root=Path()):
        if conversation.id not in back:
            continue
        again = back[conversation.id]
        assert again.media == conversation.media
        assert again.language == conversation.language
        assert [m.text.strip() for m in again.messages] == [
            m.text.replace("<video>", "< video>") for m in conversation.messages
        ]
    assert len(back) == 4


# ---- webdataset ----


def test_shards_hold_every_medium_once_where_the_index_says(made: SmallCorpus, caplog):
    out = made.path.parent / "shards"
    told = []
    with caplog.at_level(logging.WARNING):
        assert export(made.path, out, to="webdataset", on_done=told.append) == 3
    assert told == [3]
    assert "1 media are left out, because all words about them were refused" in caplog.text
    index = parquet.read_table(out / "index.parquet").to_pylist()
    assert {row["key"] for row in index} == {made.media[n] for n in ("film", "picture", "silent")}
    for row in index:
        shard = (out / row["shard"]).read_bytes()
        medium = shard[row["offset"] :][: row["size_bytes"]]
        assert hashlib.sha256(medium).hexdigest() == row["sha256"]
        record = json.loads(shard[row["record_offset"] :][: row["record_size_bytes"]])
        assert record["key"] == row["key"]
        assert record["licence"] == row["licence"]
    facts = json.loads((out / "export.json").read_text())
    assert facts["allow_unknown_licence"] is False
    assert facts["num_media"] == 3


def test_shards_are_plain_and_sorted_tar_files(made: SmallCorpus):
    out = made.path.parent / "plain"
    export(made.path, out, to="webdataset")
    with tarfile.open(out / "train-000000.tar") as archive:
        members = archive.getmembers()
        film = json.loads(archive.extractfile(f"{made.media['film']}.json").read())
    names = [m.name for m in members]
    assert names == sorted(names)
    assert len(names) == 6
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
    assert [(c["start_s"], c["end_s"]) for c in film["clips"]] == [(0.0, 4.0), (1.0, 2.0)]
    assert [s["transition"] for s in film["shots"]] == ["start", "cut"]
    assert len(film["texts"]) == 5
    assert film["licence_evidence"] == "clips/LICENCE.txt"


def test_shards_are_full_by_count_and_by_bytes(made: SmallCorpus):
    by_count, by_bytes = made.path.parent / "count", made.path.parent / "bytes"
    export(made.path, by_count, to="webdataset", shards=ShardLimits(max_samples=2))
    export(made.path, by_bytes, to="webdataset", shards=ShardLimits(max_bytes=1))
    assert [p.name for p in sorted(by_count.glob("*.tar"))] == [f"train-{i:06d}.tar" for i in range(2)]
    assert [p.name for p in sorted(by_bytes.glob("*.tar"))] == [f"train-{i:06d}.tar" for i in range(3)]


def test_our_own_importer_reads_the_shards(made: SmallCorpus, tmp_path: Path):
    out = tmp_path / "shards"
    export(made.path, out, to="webdataset")
    kept = json.loads(_record(out, made.media["picture"]))
    known = {"key", "sha256", "caption", "clips"}
    options = ImportOptions(keep=tuple(kept.keys() - known), media_out=tmp_path / "media")
    skipped = []
    found = list(IMPORTERS.get("webdataset").read(out, options, on_bad=skipped.append))
    assert len(found) == 2
    assert len(skipped) == 1
    assert {c.messages[1].text for c in found} <= {
        row["text"] for row in read_table(made.path, "text").to_pylist()
    }


def _record(shards: Path, key: str) -> bytes:
    with tarfile.open(shards / "train-000000.tar") as archive:
        return archive.extractfile(f"{key}.json").read()


class StopHereError(Exception):
    """Stands for a kill."""


def test_an_interrupted_export_goes_on_and_gives_the_same_bytes(made: SmallCorpus, tmp_path: Path):
    limits = ShardLimits(max_samples=1)
    export(made.path, tmp_path / "whole", to="webdataset", shards=limits)

    def stop(count: int) -> None:
        if count == 2:
            raise StopHereError

    with pytest.raises(StopHereError):
        export(made.path, tmp_path / "cut", to="webdataset", shards=limits, on_done=stop)
    assert not (tmp_path / "cut").exists()
    first = tmp_path / "cut.part" / "train-000000.tar"
    before = first.stat()
    export(made.path, tmp_path / "cut", to="webdataset", shards=limits)
    after = (tmp_path / "cut" / "train-000000.tar").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)  # not written anew
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert not list(tmp_path.glob("*.part"))


def test_a_try_with_other_wishes_is_begun_anew(made: SmallCorpus, tmp_path: Path):
    def stop(count: int) -> None:
        raise StopHereError

    with pytest.raises(StopHereError):
        export(made.path, tmp_path / "out", to="webdataset", on_done=stop, shards=ShardLimits(max_samples=1))
    export(made.path, tmp_path / "out", to="webdataset", allow_unknown_licence=True)
    assert [p.name for p in (tmp_path / "out").glob("*.tar")] == ["train-000000.tar"]


def test_a_folder_of_others_is_left_alone(made: SmallCorpus, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "new.part").mkdir()
    with pytest.raises(ConfigError, match="want a folder that is not there yet"):
        export(made.path, tmp_path / "out", to="webdataset")
    with pytest.raises(ConfigError, match="was not written by an export"):
        export(made.path, tmp_path / "new", to="webdataset")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda file: file.unlink(), "want the file that was collected, there is none"),
        (lambda file: file.write_bytes(file.read_bytes() + b"x"), "bytes, [0-9]+ when it was collected"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"), "has other bytes"),
    ],
)
def test_a_file_that_is_not_the_collected_one_stops_the_export(tmp_path: Path, change, says: str):
    made = make_corpus(tmp_path)
    change(tmp_path / "mine" / "silent.mp4")
    with pytest.raises(ConfigError, match=says):
        export(made.path, tmp_path / "out", to="webdataset")
    assert not (tmp_path / "out").exists()


# ---- all ----


@pytest.mark.parametrize("form", FORMATS)
def test_equal_manifests_give_equal_bytes(tmp_path: Path, form: str):
    made = make_corpus(tmp_path / "a")
    # a local file has an absolute path, which would differ between the two places
    silent = tmp_path / "a" / "mine" / "silent.mp4"
    rows = read_table(made.path, "media").to_pylist()
    for row in rows:
        row["uri"] = "../mine/silent.mp4" if row["uri"] == str(silent) else row["uri"]
    write_table(made.path, "media", rows)
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # the same clips: an encoder is not what is tried here
    found = []
    for name in ("a", "b"):
        target = tmp_path / name / "out"
        assert export(tmp_path / name / made.path.name, target, to=form) > 0
        files = [target] if target.is_file() else sorted(p for p in target.rglob("*") if p.is_file())
        found.append({file.name: digest(file) for file in files})
    assert found[0] == found[1]


@pytest.mark.parametrize("form", ["jsonl", "llava"])
def test_an_error_leaves_no_file(made: SmallCorpus, tmp_path: Path, form: str):
    def stop(count: int) -> None:
        raise StopHereError

    with pytest.raises(StopHereError):
        export(made.path, tmp_path / "out", to=form, on_done=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_with_those_there_are(made: SmallCorpus, tmp_path: Path):
    with pytest.raises(UnknownNameError, match="want one of jsonl, llava, webdataset"):
        export(made.path, tmp_path / "out", to="tfrecord")


def test_a_folder_that_is_no_collection_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="run `valley collect`"):
        export(tmp_path, tmp_path / "out", to="jsonl")
