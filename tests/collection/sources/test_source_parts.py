"""What the sources share, and what each does beyond its sample."""

import io
import json
import logging
import re
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from valley.collection.licences import FolderLicences, licence_id, spdx_of
from valley.collection.media_paths import found, found_clip, kind_of, placed, split_clip_id
from valley.collection.records import Record, UnfitError, as_seconds, plain
from valley.collection.rows import read_rows
from valley.collection.sidecars import sidecar_key
from valley.collection.source import SOURCES, SourceOptions
from valley.collection.unique_ids import NameSet, UniqueIds
from valley.errors import ConfigError
from valley.importers.items import Item


def read(name, path, **options):
    """Give the items of a source and what it handed on as bad."""
    bad = []
    return list(SOURCES.get(name).items(SourceOptions(path, **options), on_bad=bad.append)), bad


def lines(path, *values):
    path.write_text("".join(json.dumps(v) + "\n" for v in values), encoding="utf-8")
    return path


def row(**fields):
    return Record(Item(fields, "here", "1"))


# Ids.


def test_ids_occur_once_and_are_the_same_each_time():
    names = ["a", "b", "a", "a#2", "a", "b"]
    first, second = UniqueIds(), UniqueIds()
    made = [first.take(n) for n in names]
    assert made == ["a", "b", "a#2", "a#2#2", "a#3", "b#2"]
    assert [second.take(n) for n in names] == made


def test_a_set_of_names_keeps_what_was_added_as_it_grows():
    names = NameSet()
    assert all(names.add(str(n)) for n in range(5000))
    assert not any(names.add(str(n)) for n in range(5000))
    assert "4999" in names
    assert "5000" not in names


# Licences.


@pytest.mark.parametrize(
    ("said", "spdx"),
    [
        ("CC BY 4.0", "CC-BY-4.0"),
        ("cc-by-nc-sa-3.0", "CC-BY-NC-SA-3.0"),
        ("https://creativecommons.org/licenses/by-nd/2.0/", "CC-BY-ND-2.0"),
        ("Attribution-NonCommercial-ShareAlike 4.0 International\n====", "CC-BY-NC-SA-4.0"),
        ("CC0", "CC0-1.0"),
        ("CC0 1.0 Universal\n\nStatement of Purpose", "CC0-1.0"),
        ("/* SPDX-License-Identifier: MIT */", "MIT"),
        ("MIT License\n\nCopyright", "MIT"),
        ("                Apache License\n        Version 2.0, January 2004", "Apache-2.0"),
        ("all rights reserved", None),
    ],
)
def test_licences_are_told_by_their_words(said, spdx):
    assert spdx_of(said) == spdx


@pytest.mark.parametrize(
    ("field", "made"),
    [
        ("", "unknown"),
        ("Unknown", "unknown"),
        ("GPL-3.0-or-later", "GPL-3.0-or-later"),
        ("ask Ann & Bob", "LicenseRef-ask-Ann-Bob"),
        ("版权", "unknown"),
        ("by-sa 4.0 or later", "LicenseRef-by-sa-4.0-or-later"),
    ],
)
def test_a_field_becomes_an_spdx_id_or_one_of_its_own(field, made):
    assert licence_id(field) == made


def test_a_licence_holds_below_its_folder_until_another_is_met(tmp_path):
    (tmp_path / "top" / "a" / "b").mkdir(parents=True)
    (tmp_path / "LICENSE").write_text("MIT License")
    (tmp_path / "top" / "a" / "LICENCE.txt").write_text("CC BY 4.0")
    licences = FolderLicences(tmp_path / "top")
    assert licences.of(tmp_path / "top") is None
    assert licences.of(tmp_path / "top" / "a" / "b") == ("CC-BY-4.0", tmp_path / "top" / "a" / "LICENCE.txt")


# Rows.


def test_a_table_says_which_columns_it_lacks(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="want the columns a, c, got a, b"):
        list(read_rows(path, on_bad=print, needed=("a", "c")))
    path.write_text("a,a\n1,2\n")
    with pytest.raises(ConfigError, match="two columns have one name"):
        list(read_rows(path, on_bad=print))
    path.write_text("")
    with pytest.raises(ConfigError, match="got none"):
        list(read_rows(path, on_bad=print))
    path.write_bytes(b"a,b\n\xff,1\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        list(read_rows(path, on_bad=print))
    with pytest.raises(ConfigError, match="want a file that ends in"):
        list(read_rows(tmp_path / "a.xml", on_bad=print))


def test_rows_that_do_not_fit_are_passed_by_and_cells_may_be_long(tmp_path):
    path, bad = tmp_path / "a.tsv", []
    path.write_text(f'a\tb\n1\n"x"y\t2\n\n{"z" * 200_000}\t3\n"never closed\t4\n', encoding="utf-8-sig")
    rows = list(read_rows(path, on_bad=bad.append))
    assert [r.value["b"] for r in rows] == ["3"]
    assert [(b.reason, b.place.rpartition(":")[2]) for b in bad] == [
        ("bad_row", "2, row 1"),
        ("bad_csv", "3, row 2"),
        ("bad_csv", "6, row 5"),
    ]


def test_json_lines_are_read_behind_a_broken_one_and_a_list_up_to_it(tmp_path):
    path, bad = tmp_path / "a.jsonl", []
    path.write_text('{"a": 1}\n{"a": NaN}\n{"a": 1, "a": 2}\n{"a": 3}\n')
    assert [r.value for r in read_rows(path, on_bad=bad.append)] == [{"a": 1}, {"a": 3}]
    assert [(b.reason, b.place) for b in bad] == [("bad_json", f"{path}:2"), ("bad_json", f"{path}:3")]
    (tmp_path / "a.json").write_text('[{"a": 1}, {"a": ]')
    rows = read_rows(tmp_path / "a.json", on_bad=bad.append)
    assert next(rows).value == {"a": 1}
    with pytest.raises(ConfigError, match="item 2"):
        next(rows)


def test_parquet_and_arrow_are_read_and_damage_is_an_error(tmp_path):
    table = pa.table({"a": [1, None], "b": ["x", "y"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    for kind, new in (("stream", pa.ipc.new_stream), ("file", pa.ipc.new_file)):
        with pa.OSFile(str(tmp_path / f"{kind}.arrow"), "wb") as file, new(file, table.schema) as writer:
            writer.write_table(table)
    for name in ("a.parquet", "stream.arrow", "file.arrow"):
        rows = list(read_rows(tmp_path / name, on_bad=print))
        assert [r.value for r in rows] == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]
        with pytest.raises(ConfigError, match="want the columns c"):
            list(read_rows(tmp_path / name, on_bad=print, needed=("c",)))
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:40])
        with pytest.raises(ConfigError, match="cannot be read"):
            list(read_rows(tmp_path / name, on_bad=print))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(3, 3.0), ("2.5", 2.5), ("1:02", 62.0), ("00:07:33.689", 453.689), ("100:00:00,5", 360_000.5)],
)
def test_times_are_numbers_or_clocks(value, seconds):
    assert as_seconds(value, "here") == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "soon", -1, True, None, 1e12, "1:2:3:4", [1], "9" * 50])
def test_other_values_are_no_times(value):
    with pytest.raises(UnfitError, match="want seconds"):
        as_seconds(value, "here")


def test_a_record_gives_texts_and_keeps_the_rest():
    record = row(
        caption=["a", " ", {"text": "b", "language": "de", "start": 1, "end": 2}], mood="good", gone=None
    )
    texts = record.texts("caption", language="en")
    assert [(t.text, t.language, t.start_s, t.end_s) for t in texts] == [
        ("a", "en", None, None),
        ("b", "de", 1, 2),
    ]
    assert record.rest() == {"mood": "good"}
    with pytest.raises(UnfitError, match="want 'caption' to be text"):
        row(caption=[1]).texts("caption", language="en")
    with pytest.raises(UnfitError, match="want a language tag"):
        row(language="!").language("en")
    with pytest.raises(UnfitError, match="an end after 5"):
        row(start=5, end=4).stretch(("start",), ("end",))


def test_what_json_cannot_hold_is_written_as_text():
    assert plain({"a": float("nan"), "b": b"123", 3: ({1},)}) == {"a": None, "b": "3 bytes", "3": ["{1}"]}


# Paths.


@pytest.mark.parametrize("name", ["../a.mp4", "/etc/a.mp4", "x/../../a.mp4", ".", "x/.."])
@pytest.mark.parametrize("root", ["root", "."])
def test_no_name_leads_out_of_the_folder(tmp_path, monkeypatch, name, root):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnfitError) as caught:
        placed(tmp_path.__class__(root), name, "here")
    assert caught.value.reason == "unsafe_path"


@pytest.mark.parametrize(
    "name", ["", " ", "a\0.mp4", "a\n.mp4", "x" * 300 + ".mp4", "http://a.example/b.mp4"]
)
def test_names_that_no_file_has_are_refused(tmp_path, name):
    with pytest.raises(UnfitError) as caught:
        placed(tmp_path, name, "here")
    assert caught.value.reason == "bad_path"


def test_an_absolute_path_within_the_folder_is_one(tmp_path):
    assert placed(tmp_path, str(tmp_path / "a" / "b.mp4"), "here") == tmp_path / "a" / "b.mp4"
    assert placed(tmp_path, "..a.mp4", "here") == tmp_path / "..a.mp4"


def test_a_file_is_found_under_any_of_its_names(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "v_1.webm").touch()
    assert found(tmp_path, "v_1", "b/v_1", where="here") == tmp_path / "b" / "v_1.webm"
    assert found(tmp_path, "v_2", "b/v_2", where="here") == tmp_path / "v_2.mp4"
    assert found_clip(tmp_path / "b", "v_1_0_5", "v_1", "here") == (tmp_path / "b" / "v_1.webm", True)
    assert found_clip(tmp_path, "v_3_0_5", "v_3", "here") == (tmp_path / "v_3_0_5.mp4", False)


def test_kinds_go_by_the_suffix():
    names = ["a.MP4", "a.b/c.jpeg", "a.mp3", "mp4", ".mp4", "a.mp4/b", "v_1.5"]
    assert [kind_of(n) for n in names] == ["video", "image", None, None, None, None, None]


def test_ids_of_stretches_are_split_from_the_right():
    assert split_clip_id("_-a_1_2_000003_000010", "here") == ("_-a_1_2", 3.0, 10.0)
    for wrong in ("abc", "a_b_c", "_1_2", "a_²_3", "a_3_2"):
        with pytest.raises(UnfitError):
            split_clip_id(wrong, "here")


def test_sidecars_are_told_by_their_names():
    names = ["a.txt", "a.zh.txt", "a.zh-Hans.srt", "a.info.json", "b.1.txt", "b.x.y.txt"]
    keys = [("a", ""), ("a", "zh"), ("a", "zh-Hans"), ("a", ""), ("b.1", ""), ("b.x.y", "")]
    assert [sidecar_key(n) for n in names] == keys


# Single sources.


def test_a_folder_is_walked_in_the_order_of_its_paths_and_links_lead_nowhere(tmp_path):
    for name in ("b/z.mp4", "b.mp4", "a/c/d.png", "a.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    items, bad = read("folder", tmp_path)
    assert [i.id for i in items] == sorted(["a.mp4", "a/c/d.png", "b.mp4", "b/z.mp4"])
    assert not bad


def test_a_folder_may_be_one_file_or_a_table_alone(tmp_path):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.txt").write_text("a dog")
    (tmp_path / "b.mp4").touch()
    (item,), _ = read("folder", tmp_path / "a.mp4")
    assert (item.id, item.texts[0].text) == ("a.mp4", "a dog")
    table = lines(
        tmp_path / "t.jsonl", {"file": "b.mp4", "caption": "a cat"}, {"file": "b.mp3"}, {"caption": "x"}
    )
    (item,), bad = read("folder", table, language="en")
    assert (item.path, item.texts[0].language) == (tmp_path / "b.mp4", "en")
    assert [b.reason for b in bad] == ["bad_path", "no_media"]
    items, _ = read("folder", tmp_path, settings={"table": "t.jsonl"})
    assert [i.id for i in items] == ["b.mp4", "a.mp4"]
    with pytest.raises(ConfigError, match="no such table"):
        read("folder", tmp_path, settings={"table": "u.jsonl"})
    with pytest.raises(ConfigError, match="want a folder"):
        read("folder", lines(tmp_path / "a.xml"))


def test_pictures_of_cc3m_find_their_metadata_in_a_shifted_file_and_say_so_where_not(tmp_path, caplog):
    def chat(number):
        said = [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "x"}]
        return {"id": f"{number}", "image": f"{number}.jpg", "conversations": said}

    (tmp_path / "chat.json").write_text(json.dumps([chat(n) for n in range(300)] + [chat("new"), chat(9999)]))
    beside = [
        {"id": str(n), "url": f"https://a.example/{n}"} for n in [*range(5000, 8500), *range(299, -1, -1)]
    ]
    (tmp_path / "metadata.json").write_text(
        json.dumps([*beside, {"id": "9999", "url": "https://a.example/9999"}])
    )
    with caplog.at_level(logging.WARNING):
        items, bad = read("llava_cc3m", tmp_path, settings={"media": "url"})
    assert [i.url for i in items] == [f"https://a.example/{n}" for n in [*range(300), 9999]]
    assert [(b.id, b.reason) for b in bad] == [("new", "no_media")]
    assert [r.args[1] for r in caplog.records] == ["new"]


def test_cells_of_panda_are_never_executed(tmp_path):
    path = tmp_path / "p.csv"
    for cell in ("exit()", "[" * 500, "- " * 100_000 + "1", "f'{exit()}'", "{'a': 1}", "[1", "['x'] * 9"):
        path.write_text(f'videoID,timestamp,caption\na,"{cell}",[]\n')
        items, (bad,) = read("panda70m", path)
        assert not items
        assert bad.reason in ("bad_list", "bad_field")


def test_msvd_is_read_from_the_text_file_too(tmp_path):
    path = tmp_path / "AllVideoDescriptions.txt"
    path.write_text("# a comment\n\na_b-c_3_10 A dog runs.\na_b-c_3_10 A dog.\nnonsense here\nd_0_4 A cat.\n")
    items, (bad,) = read("msvd", path)
    assert [(i.id, [t.text for t in i.texts]) for i in items] == [
        ("a_b-c_3_10", ["A dog runs.", "A dog."]),
        ("d_0_4", ["A cat."]),
    ]
    assert (bad.id, bad.reason) == ("nonsense", "bad_id")


def test_msrvtt_is_read_from_a_list_too_and_wants_both_parts_of_an_object(tmp_path):
    path = tmp_path / "m.json"
    path.write_text(json.dumps([{"video": "video7.mp4", "caption": ["a", "b"]}]))
    (item,), _ = read("msrvtt", path)
    assert (item.id, len(item.texts)) == ("video7.mp4", 2)
    path.write_text(json.dumps({"videos": []}))
    with pytest.raises(ConfigError, match="want the lists videos and sentences, got videos"):
        read("msrvtt", path)


def test_embedded_media_are_written_once_under_their_hash(tmp_path):
    data = b"\x89PNG rest"
    table = pa.table(
        {"image": [{"bytes": data, "path": None}, {"bytes": data, "path": "a.jpg"}], "text": ["a", "b"]}
    )
    (tmp_path / "data").mkdir()
    parquet.write_table(table, tmp_path / "data" / "train.parquet")
    _, bad = read("hf_datasets", tmp_path / "data")
    assert [b.reason for b in bad] == ["embedded_media"] * 2
    settings = {"out": str(tmp_path / "out"), "caption_columns": "text"}
    items, bad = read("hf_datasets", tmp_path / "data", settings=settings)
    assert not bad
    assert [(i.kind, i.path.suffix, i.path.read_bytes()) for i in items] == [
        ("image", ".png", data),
        ("image", ".jpg", data),
    ]
    before = [i.path.stat().st_mtime_ns for i in items]
    assert [
        i.path.stat().st_mtime_ns for i in read("hf_datasets", tmp_path / "data", settings=settings)[0]
    ] == before


def test_splits_of_a_saved_data_set_are_read_in_their_order(tmp_path):
    for split in ("train", "test"):
        folder = tmp_path / split
        folder.mkdir()
        table = pa.table({"video": [f"{split}.mp4"], "caption": ["a"]})
        with (
            pa.OSFile(str(folder / "d.arrow"), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as writer,
        ):
            writer.write_table(table)
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "d.arrow"}]}))
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    assert [i.path.name for i in read("hf_datasets", tmp_path)[0]] == ["train.mp4", "test.mp4"]
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["../elsewhere"]}))
    with pytest.raises(ConfigError, match="names of folders"):
        read("hf_datasets", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="save_to_disk"):
        read("hf_datasets", tmp_path / "empty")


def shard_of(folder, *members):
    with tarfile.open(folder / "s.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return folder / "s.tar"


def test_members_of_a_shard_cannot_leave_it_and_cost_no_other_sample(tmp_path):
    link = tarfile.TarInfo("l.mp4")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    members = [("../x.mp4", b"x"), ("/y.mp4", b"y"), (link, b""), ("a.mp4", b"a"), ("a.txt", b"A dog.")]
    members += [("a.mp4/b.mp4", b"b"), ("c.json", b"[]"), ("c.mp4", b"c"), ("d.mp4", b"d"), ("a.json", b"{}")]
    out = tmp_path / "out"
    items, bad = read("webdataset", shard_of(tmp_path, *members), settings={"out": str(out)})
    assert [i.id for i in items] == ["s/a", "s/d"]
    assert [b.reason for b in bad] == ["bad_sample"] * 6
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()} == {
        "s.tar",
        "out/s/a.mp4",
        "out/s/d.mp4",
    }


def test_a_shard_that_was_cut_off_says_so_behind_what_it_held(tmp_path):
    shard = shard_of(tmp_path, ("a.mp4", b"a"), ("b.mp4", b"b"), ("c.mp4", b"c"))
    shard.write_bytes(shard.read_bytes()[:2048])  # head and body of two members
    items, bad = read("webdataset", shard, settings={"out": str(tmp_path / "out")})
    assert [i.id for i in items] == ["s/a", "s/b"]
    assert [b.reason for b in bad] == ["bad_sample"]
    assert "cut off" in bad[0].detail
    shard.write_bytes(shard_of(tmp_path, ("a.mp4", b"a" * 2000)).read_bytes()[:1400])
    with pytest.raises(ConfigError, match="no sound tar file"):
        read("webdataset", shard, settings={"out": str(tmp_path / "out")})
    with pytest.raises(ConfigError, match="needs the setting `out`"):
        read("webdataset", shard)


def test_media_of_a_shard_are_written_as_they_are_asked_for_and_once(tmp_path):
    shard, out = shard_of(tmp_path, ("a.mp4", b"a"), ("b.mp4", b"b"), ("c.mp4", b"c")), tmp_path / "out"
    options = SourceOptions(shard, settings={"out": str(out)})
    begun = SOURCES.get("webdataset").items(options, on_bad=print)
    first = next(begun)
    assert not (out / "s" / "c.mp4").exists()
    begun.close()
    before = first.path.stat().st_mtime_ns
    items, _ = read("webdataset", shard, settings=options.settings)
    assert [i.path.read_bytes() for i in items] == [b"a", b"b", b"c"]
    assert first.path.stat().st_mtime_ns == before


def test_synthetic_clips_refuse_settings_that_make_no_sense(tmp_path):
    for setting, word in (("num_clips", "-1"), ("num_clips", "²"), ("seed", "x"), ("level", "hard")):
        with pytest.raises(ConfigError, match=setting):
            read("synthetic", tmp_path, settings={setting: word})


def test_web_addresses_are_taken_where_the_caller_wants_them(tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("videoid,name,contentUrl\n1,a horse,https://a.example/1.mp4\n2,a cow,\n")
    (item,), (bad,) = read("webvid", path, settings={"media": "url"})
    assert (item.url, item.path) == ("https://a.example/1.mp4", None)
    assert bad.reason == "no_id"
    with pytest.raises(ConfigError, match="want media to be one of local, url"):
        read("webvid", path, settings={"media": "remote"})


DOCS = Path(__file__).parents[3] / "docs" / "sources.md"


def test_the_page_on_sources_has_a_row_for_each_and_its_example_works(tmp_path):
    page = DOCS.read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) == SOURCES.names()
    names: dict = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    path = lines(
        tmp_path / "a.jsonl", {"clip": "a", "words": "A dog.", "mood": "good"}, {"clip": "b", "words": 1}
    )
    bad = []
    (item,) = names["SOURCE"].items(SourceOptions(path), on_bad=bad.append)
    assert (item.id, item.path, item.metadata) == ("a", tmp_path / "a.mp4", {"mood": "good"})
    assert [b.reason for b in bad] == ["bad_field"]
