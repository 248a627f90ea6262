"""What a collection comes to: equal bytes merged, faults accounted for, the same from any executor."""

import json
import shutil
from pathlib import Path

import pytest

from collection.collected import digests, make_clips, rows, run, same_time, settings
from collection.pipeline_tasks import NOTES
from valley.collection.corpus import Shard
from valley.collection.executor import EXECUTORS
from valley.collection.pipeline import Running, collect, retry
from valley.collection.verifying import verify
from valley.errors import ConfigError
from valley.manifest import read_clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return make_clips(tmp_path_factory.mktemp("videos") / "clips", 12)


@pytest.fixture(scope="module")
def corpus(clips, tmp_path_factory) -> Path:
    corpus = tmp_path_factory.mktemp("inline") / "corpus"
    run(settings(clips), corpus)
    return corpus


def looked_at(clips: Path) -> list[str]:
    notes = clips.parent / NOTES
    return notes.read_text().splitlines() if notes.exists() else []


def test_every_clip_is_in_the_manifest_with_its_words(clips, corpus):
    found = list(read_clips(corpus))
    assert len(found) == 12
    assert {clip.path for clip in found} == set(clips.glob("*.mp4"))
    assert all(clip.licence == "CC0-1.0" and clip.licence_evidence for clip in found)
    assert all(clip.start_s == 0 and clip.end_s == 1 and len(clip.shots) == 1 for clip in found)
    texts = {clip.path.stem: [text.text for text in clip.texts] for clip in found}
    assert texts["0003"] == ["A dog number 3 runs over a green field."]
    assert [text.language for clip in found for text in clip.texts] == ["en"] * 12
    assert rows(corpus, "quarantine") == []
    assert list(verify(corpus)) == []


def test_a_second_run_does_nothing_and_writes_the_same(clips, corpus):
    before, num_looks = digests(corpus), len(looked_at(clips))
    result = run(settings(clips), corpus)
    assert digests(corpus) == before
    assert len(looked_at(clips)) == num_looks
    assert (result.progress.num_known, result.progress.num_done) == (12, 0)
    assert not result.has_refused


def test_pool_and_inline_write_the_same_bytes(clips, corpus, tmp_path):
    same_time(corpus, tmp_path / "pool")
    run(settings(clips), tmp_path / "pool", executor="pool", num_workers=2)
    assert digests(tmp_path / "pool") == digests(corpus)


def test_two_shards_cover_all(clips, corpus, tmp_path):
    same_time(corpus, tmp_path / "both")
    done = []
    for number in (0, 1):
        result = run(settings(clips), tmp_path / "both", shard=Shard(number, 2))
        assert result.summary is None
        assert not (tmp_path / "both" / "manifest").exists()
        done.append(result.progress.num_done)
    assert sum(done) == 12
    assert min(done) > 0
    result = run(settings(clips), tmp_path / "both")
    assert result.progress.num_done == 0
    assert digests(tmp_path / "both") == digests(corpus)


def test_equal_bytes_under_two_names_are_one_medium_with_the_words_of_both(clips, tmp_path):
    folder = tmp_path / "videos" / "twice"
    folder.mkdir(parents=True)
    for name, words in (("a", "A red kite over the sea."), ("b", "Somebody flies a kite.")):
        shutil.copy(clips / "0000.mp4", folder / f"{name}.mp4")
        (folder / f"{name}.txt").write_text(words)
    result = run(settings(folder), tmp_path / "corpus")
    assert result.summary is not None
    assert (result.summary.num_items, result.summary.num_media) == (2, 1)
    (clip,) = read_clips(tmp_path / "corpus")
    words = ["A red kite over the sea.", "Somebody flies a kite."]
    assert sorted(text.text for text in clip.texts) == words
    assert clip.path == folder / "a.mp4"


def test_the_item_with_a_licence_speaks_for_equal_bytes(clips, tmp_path):
    for name in ("unknown", "known"):
        (tmp_path / name).mkdir()
        shutil.copy(clips / "0001.mp4", tmp_path / name)
    about = {"near_duplicate_distance": None}
    config = settings(tmp_path / "unknown", about={"licence": "unknown"}, **about)
    other = settings(tmp_path / "known", about={"licence": "CC-BY-4.0", "attribution": "Somebody"}, **about)
    run(config.model_copy(update={"sources": config.sources + other.sources}), tmp_path / "corpus")
    (row,) = rows(tmp_path / "corpus", "media")
    assert (row["licence"], row["attribution"]) == ("CC-BY-4.0", "Somebody")
    assert row["licence_evidence"] == "said by the user"
    assert row["uri"] == str(tmp_path / "known" / "0001.mp4")


def test_an_unknown_licence_is_collected_and_stays_out(clips, tmp_path):
    run(settings(clips, about={"licence": "unknown"}), tmp_path)
    assert len(rows(tmp_path, "media")) == 12
    assert list(read_clips(tmp_path)) == []
    assert len(list(read_clips(tmp_path, allow_unknown_licence=True))) == 12


def test_dangerous_clips_are_four_faults_and_the_others_are_done(tmp_path):
    folder = make_clips(tmp_path / "clips", 6)
    for name in ("segfault", "hang", "claims_40_gb"):
        shutil.copy(folder / "0000.mp4", folder / f"{name}.mp4")
        with (folder / f"{name}.mp4").open("ab") as file:
            file.write(name.encode())
    (folder / "empty.mp4").touch()
    config = settings(folder, look={"timeout_s": 1.5, "timeout_s_per_mb": 0, "max_memory_gb": 4})
    executor = EXECUTORS.get("pool").configured(max_memory_bytes=2**30)
    running = Running(executor, num_workers=2, task="collection.pipeline_tasks:dangerous")
    result = collect(config, tmp_path / "corpus", running)
    assert result.summary is not None
    assert result.summary.num_media == 6
    assert result.has_refused
    faults = {Path(row["source_item_id"]).stem: row for row in rows(tmp_path / "corpus", "quarantine")}
    reasons = {name: row["reason"] for name, row in faults.items()}
    assert reasons == {
        "segfault": "crashed",
        "hang": "timeout",
        "claims_40_gb": "out_of_memory",
        "empty": "empty_media",
    }
    assert faults["hang"]["attempts"] == 2
    assert faults["hang"]["number"] == 1.5
    again = collect(config, tmp_path / "corpus", running)
    assert again.progress.num_done == 0  # two strikes are enough


@pytest.mark.slow
def test_a_thousand_clips_with_four_dangerous_ones_give_996_results(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(996):
        (folder / f"{number}.mp4").write_text(f"clip {number}")
    for name in ("segfault", "hang", "claims_40_gb"):
        (folder / f"{name}.mp4").write_text(name)
    (folder / "empty.mp4").touch()
    config = settings(folder, look={"timeout_s": 1.5, "timeout_s_per_mb": 0})
    executor = EXECUTORS.get("pool").configured(max_memory_bytes=2**30)
    task = "collection.pipeline_tasks:dangerous_words"
    result = collect(config, tmp_path / "corpus", Running(executor, num_workers=2, task=task))
    assert result.summary is not None
    assert (result.summary.num_media, result.summary.quarantined.total()) == (996, 4)


def test_a_retry_mends_what_can_be_mended_and_no_other(tmp_path):
    folder = make_clips(tmp_path / "clips", 2)
    shutil.copy(folder / "0000.mp4", folder / "segfault.mp4")
    with (folder / "segfault.mp4").open("ab") as file:
        file.write(b"more")
    (folder / "empty.mp4").touch()
    corpus = tmp_path / "corpus"
    dangerous = Running(EXECUTORS.get("pool"), task="collection.pipeline_tasks:dangerous")
    collect(settings(folder), corpus, dangerous)
    num_looks = len(looked_at(folder))
    quick = "collection.pipeline_tasks:glance"
    with pytest.raises(
        ConfigError, match="no fault has the reason tiemout; there are: crashed 1, empty_media 1"
    ):
        retry(corpus, Running(EXECUTORS.get("inline"), task=quick, retry_reasons=frozenset({"tiemout"})))
    crashed = Running(EXECUTORS.get("inline"), task=quick, retry_reasons=frozenset({"crashed"}))
    result = retry(corpus, crashed)
    assert looked_at(folder)[num_looks:] == ["segfault.mp4"]
    assert result.summary is not None
    assert dict(result.summary.quarantined) == {"empty_media": 1}
    assert result.summary.num_media == 3
    assert retry(
        corpus, Running(EXECUTORS.get("inline"), task=quick, retry_reasons=frozenset())
    ).progress.reasons == {"empty_media": 1}


def test_refusals_have_the_number_behind_them(clips, tmp_path):
    config = settings(
        clips,
        triage={"fewest_pixels": 96, "fewest_seconds": None},
    )
    result = run(config, tmp_path)
    assert result.has_refused
    refused = rows(tmp_path, "quarantine")
    assert {(row["stage"], row["reason"], row["number"]) for row in refused} == {
        ("triage", "too_few_pixels", 32.0)
    }
    assert len(refused) == 12
    assert {row["source_item_id"] for row in refused} == {f"{n:04d}.mp4" for n in range(12)}
    run(settings(clips, triage={"fewest_pixels": 16}), tmp_path)  # a bound is no matter of looking again
    assert len(rows(tmp_path, "media")) == 12


def test_a_refused_caption_stays_with_its_reason(tmp_path):
    folder = make_clips(tmp_path / "clips", 2)
    (folder / "0001.txt").write_text("www.example.com www.example.org www.example.net")
    result = run(settings(folder), tmp_path / "corpus")
    assert result.summary is not None
    assert result.summary.num_texts == 1
    (refused,) = [row for row in rows(tmp_path / "corpus", "text") if not row["kept"]]
    assert refused["reason"] in result.summary.refused_texts
    assert refused["number"] is not None


def test_a_file_that_is_gone_and_one_that_changed_are_told(tmp_path):
    folder = make_clips(tmp_path / "clips", 3)
    corpus = tmp_path / "corpus"
    table = "path,caption\n" + "".join(f"{n:04d}.mp4,A dog runs over a field.\n" for n in range(3))
    (folder / "metadata.csv").write_text(table)
    config = settings(folder / "metadata.csv", about={"media_root": str(folder)})
    run(config, corpus)
    make_clips(folder, 1, num_frames=6)
    (folder / "0002.mp4").unlink()
    assert {finding.reason for finding in verify(corpus)} >= {"missing"}
    assert {Path(finding.place).stem for finding in verify(corpus)} == {"0000", "0002"}
    result = run(config, corpus)
    assert result.progress.num_done == 1  # the one that changed
    assert [row["source_item_id"] for row in rows(corpus, "quarantine")]
    assert len(rows(corpus, "media")) == 2


def test_copied_media_lie_in_the_collection(clips, tmp_path):
    run(settings(clips, copy_media=True), tmp_path)
    for row in rows(tmp_path, "media"):
        assert row["uri"] == f"blobs/{row['media_id'][:2]}/{row['media_id']}.mp4"
        assert (tmp_path / row["uri"]).stat().st_size == row["size_bytes"]
    assert list(verify(tmp_path)) == []
    blob = tmp_path / rows(tmp_path, "media")[0]["uri"]
    blob.write_bytes(bytes(blob.stat().st_size))
    assert [finding.reason for finding in verify(tmp_path)] == ["wrong_hash"]


def test_a_stretch_behind_the_end_is_refused_and_a_late_end_is_cut(tmp_path):
    folder = make_clips(tmp_path / "clips", 1)
    (folder / "metadata.jsonl").write_text(
        "".join(
            json.dumps({"path": "0000.mp4", "caption": f"A dog runs {start}.", "start": start, "end": end})
            + "\n"
            for start, end in ((0.25, 1.2), (3, 4))
        )
    )
    run(settings(folder), tmp_path / "corpus")
    stretches = [row for row in rows(tmp_path / "corpus", "clip") if row["level"] == "stretch"]
    assert [(row["start_us"], row["end_us"]) for row in stretches] == [(250_000, 1_000_000)]
    (refused,) = rows(tmp_path / "corpus", "quarantine")
    assert (refused["stage"], refused["reason"], refused["number"]) == ("stretch", "outside", 3.0)


def test_a_second_process_is_refused(clips, tmp_path):
    from valley.collection.corpus import at_work

    with (
        at_work(tmp_path, Shard()),
        pytest.raises(ConfigError, match=r"process \d+ on .* is collecting into it"),
    ):
        run(settings(clips), tmp_path)
    run(settings(clips), tmp_path)


def test_a_folder_of_other_things_is_not_written_to(clips):
    with pytest.raises(ConfigError, match="got one with 0000"):
        run(settings(clips), clips)


def test_a_full_disk_is_one_sentence(clips, tmp_path):
    with pytest.raises(ConfigError, match="free some and start the same command again"):
        run(settings(clips, keep_free_mb=10**9), tmp_path)
    result = run(settings(clips), tmp_path)
    assert result.progress.num_known > 0  # what was done before it was full
