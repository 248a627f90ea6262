"""The contract of every source, and a hand-made sample of each in its published format.

A sample is a folder in `samples`: `case.json` says what is read of it, `golden.json` what comes out.
"""

import itertools
import json
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from valley.collection.source import SOURCES, Source, SourceItem, SourceOptions
from valley.conversation import is_language_tag
from valley.errors import ConfigError

SAMPLES = Path(__file__).with_name("samples")
SAMPLED = sorted(p.name for p in SAMPLES.iterdir())
# Their media are there only because the source makes them.
MAKES_MEDIA = {"synthetic", "webdataset"}


def laid_out(name, folder):
    """Copy a sample, and pack what is easier to read unpacked; give the options that its case says."""
    shutil.copytree(SAMPLES / name, folder, dirs_exist_ok=True)
    if name == "webdataset":
        pack(folder / "shard", folder / "shard.tar")
    if name == "hf_datasets":
        save(json.loads((folder / "rows.json").read_text(encoding="utf-8")), folder / "saved")
    case = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    case["settings"] = {k: str(folder / v) if k == "out" else v for k, v in case.get("settings", {}).items()}
    return SourceOptions(**(case | {"path": folder / case["path"]}))


def pack(members, shard):
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member in sorted(members.iterdir()):
            archive.add(member, member.name)


def save(rows, folder):
    """Save rows as the library datasets does."""
    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pylist(rows)
    path = str(folder / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_indices_files": None}
    (folder / "state.json").write_text(json.dumps(state))


def read(name, options):
    """Give the items of a source and what it handed on as bad."""
    bad = []
    return list(SOURCES.get(name).items(options, on_bad=bad.append)), bad


def record_of(thing, folder):
    """Write an item or a bad one as JSON holds it, with paths as seen from the sample."""
    fields = {k: getattr(thing, k) for k in type(thing).__dataclass_fields__}
    if "texts" in fields:
        fields["texts"] = [record_of(t, folder) for t in fields["texts"]]
    shown = json.dumps({k: v for k, v in fields.items() if v not in (None, "", {}, [])}, default=str)
    return json.loads(shown.replace(json.dumps(str(folder))[1:-1], "SAMPLE"))


def expected(name):
    return json.loads((SAMPLES / name / "golden.json").read_text(encoding="utf-8"))


def test_every_source_has_a_sample():
    assert set(SAMPLED) == set(SOURCES.names())


@pytest.mark.parametrize("name", SAMPLED)
def test_the_sample_gives_what_is_written_beside_it(name, tmp_path):
    items, bad = read(name, laid_out(name, tmp_path))
    found = {"items": [record_of(i, tmp_path) for i in items], "bad": [record_of(b, tmp_path) for b in bad]}
    assert found == expected(name)


@pytest.mark.parametrize("name", SAMPLED)
def test_the_contract_of_sources(name, tmp_path):
    source = SOURCES.get(name)
    options = laid_out(name, tmp_path)
    assert isinstance(source, Source)
    assert source.name == name
    assert source.origin
    items, bad = read(name, options)
    assert len(items) >= 3
    assert name == "synthetic" or bad
    assert max(Counter(item.id for item in items).values()) == 1
    for item in items:
        assert isinstance(item, SourceItem)
        assert item.licence
        assert item.licence == "unknown" or item.licence_evidence
        assert item.place
        assert json.loads(json.dumps(item.metadata)) == item.metadata
        assert name not in MAKES_MEDIA or item.path.stat().st_size
        for text in item.texts:
            assert text.text.strip()
            assert is_language_tag(text.language)
            assert "<video>" not in text.text
            assert "<image>" not in text.text
    for one in bad:
        assert one.id
        assert str(tmp_path) in one.place
        assert one.reason.replace("_", "").isalpha()
        assert len(one.detail) > len(one.place) / 2
    assert read(name, options) == (items, bad)


@pytest.mark.parametrize("name", SAMPLED)
def test_a_restart_gives_the_rest(name, tmp_path):
    options = laid_out(name, tmp_path)
    whole, _ = read(name, options)
    begun = SOURCES.get(name).items(options, on_bad=lambda _: None)
    first = list(itertools.islice(begun, 2))
    begun.close()
    done = {item.id for item in first}
    again, _ = read(name, options)
    assert first + [item for item in again if item.id not in done] == whole


@pytest.mark.parametrize("name", SAMPLED)
def test_the_caller_says_what_a_source_does_not(name, tmp_path):
    if name == "synthetic":
        pytest.skip("says its licence itself")
    options = laid_out(name, tmp_path)
    said = SourceOptions(
        options.path, options.media_root, "CC-BY-4.0", "said so", "Ann", options.language, options.settings
    )
    items, _ = read(name, said)
    assert any(
        (i.licence, i.licence_evidence, i.attribution) == ("CC-BY-4.0", "said so", "Ann") for i in items
    ) or (name == "folder")


@pytest.mark.parametrize("name", SAMPLED)
def test_unknown_settings_and_absent_files_are_refused(name, tmp_path):
    options = laid_out(name, tmp_path)
    wrong = SourceOptions(options.path, settings={**options.settings, "colour": "red"})
    with pytest.raises(ConfigError, match="colour"):
        list(SOURCES.get(name).items(wrong, on_bad=lambda _: None))
    if name != "synthetic":
        absent = SourceOptions(tmp_path / "absent.json", settings=options.settings)
        with pytest.raises(ConfigError, match=r"absent\.json"):
            list(SOURCES.get(name).items(absent, on_bad=lambda _: None))


# Large files.


def written_csv(path, num):
    with path.open("w", encoding="utf-8") as file:
        file.write("videoid,name,page_dir,duration,contentUrl\n")
        file.writelines(
            f'{i},"A horse, number {i}, grazes",a_b,PT1S,https://example.org/{i}.mp4\n' for i in range(num)
        )
    return path


def written_json(path, num):
    said = '[{{"from": "human", "value": "<video>"}}, {{"from": "gpt", "value": "waves, number {0}"}}]'
    row = '{{"id": "{0}", "video": "{0}.mp4", "conversations": ' + said + "}}"
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        file.writelines((",\n" if i else "") + row.format(i) for i in range(num))
        file.write("]")
    return path


LARGE = [("webvid", written_csv, {"media": "url"}), ("valley_702k", written_json, {})]
READ_ALL = """
import resource, sys
from pathlib import Path
from valley.collection.source import SOURCES, SourceOptions
source, path, setting = SOURCES.get(sys.argv[1]), Path(sys.argv[2]), dict(a.split("=") for a in sys.argv[3:])
items = source.items(SourceOptions(path, settings=setting), on_bad=lambda bad: sys.exit(str(bad)))
next(items)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(1 + sum(1 for _ in items), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(("name", "write", "setting"), LARGE)
def test_of_a_large_file_no_more_is_read_than_is_asked_for(name, write, setting, tmp_path):
    path = write(tmp_path / f"chat.{'csv' if name == 'webvid' else 'json'}", 200_000)
    options = SourceOptions(path, settings=setting)
    items = SOURCES.get(name).items(options, on_bad=lambda bad: pytest.fail(str(bad)))
    tracemalloc.start()
    try:
        first = list(itertools.islice(items, 50))
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(first) == 50
    assert most_bytes < path.stat().st_size / 3


@pytest.mark.slow
@pytest.mark.parametrize(("name", "write", "setting"), LARGE)
def test_reading_a_large_file_to_its_end_needs_little_memory(name, write, setting, tmp_path):
    path = write(tmp_path / f"chat.{'csv' if name == 'webvid' else 'json'}", 200_000)
    given_settings = [f"{k}={v}" for k, v in setting.items()]
    # Apart from pytest, whose checks of annotations take a hundred times as long as reading does.
    command = [sys.executable, "-c", READ_ALL, name, str(path), *given_settings]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    num_items, grown_kb = map(int, said.split())
    assert num_items == 200_000
    assert grown_kb < 20_000


# Rubbish.


def mutated(data, places, kind):
    """Damage bytes: change, cut out or double some of them."""
    made = bytearray(data)
    for place, byte in places:
        if not made:
            break
        at = place % len(made)
        match kind:
            case "change":
                made[at] = byte
            case "cut":
                del made[at : at + byte]
            case "double":
                made[at:at] = made[at : at + byte]
            case "end":
                del made[at:]
    return bytes(made)


PROPERTY = settings(max_examples=40, deadline=None, derandomize=True, database=None)
DAMAGE = {
    "places": st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), min_size=1, max_size=4),
    "kind": st.sampled_from(["change", "cut", "double", "end"]),
}


@pytest.mark.parametrize("name", [n for n in SAMPLED if n != "synthetic"])
def test_damaged_bytes_give_items_bad_ones_or_an_error_of_the_file(name, tmp_path):
    options = laid_out(name, tmp_path)
    sound = {path: path.read_bytes() for path in annotations(name, options)}
    assert sound

    @PROPERTY
    @given(**DAMAGE)
    def check(places, kind):
        for path, data in sound.items():
            path.write_bytes(mutated(data, places, kind))
        refuse_nonsense(name, options)

    check()


def refuse_nonsense(name, options):
    """Read a source that may hold anything."""
    try:
        items, bad = read(name, options)
    except ConfigError:
        return
    assert len({i.id for i in items}) == len(items)
    assert all(is_language_tag(t.language) and t.text for i in items for t in i.texts)
    assert all(b.reason and b.detail for b in bad)
    assert all(is_within(i, options) for i in items)


def annotations(name, options):
    """List the files of a sample that the source reads."""
    if name == "folder":
        return [p for p in sorted(options.path.rglob("*")) if p.suffix in (".csv", ".json", ".txt", ".vtt")]
    if name == "hf_datasets":
        return [options.path / "state.json"]  # Arrow's own reader trusts what is in its files
    if options.path.is_dir():
        return sorted(options.path.glob("*.json"))
    return [options.path]


def is_within(item, options):
    """Whether a medium lies where media may lie."""
    if item.path is None:
        return True
    roots = [options.path if options.path.is_dir() else options.path.parent, options.settings.get("out")]
    return any(item.path.is_relative_to(root) for root in roots if root)


JSON_NAMES = ["activitynet", "internvid", "llava_cc3m", "msrvtt", "sharegpt4video", "valley_702k", "vatex"]
JSON_NAMES += ["video_chatgpt", "videochat", "ytdlp"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", JSON_NAMES)
def test_other_values_give_items_bad_ones_or_an_error_of_the_file(name, tmp_path):
    options = laid_out(name, tmp_path)
    sound = {p: p.read_text(encoding="utf-8") for p in annotations(name, options) if ".json" in p.suffix}
    assert sound

    @PROPERTY
    @given(number=st.integers(0, 2**31), value=VALUES)
    def check(number, value):
        for path, text in sound.items():
            documents = text.splitlines() if path.suffix == ".jsonl" else [text]
            made = "\n".join(exchanged(d, number, value) for d in documents)
            path.write_text(made, encoding="utf-8")
        refuse_nonsense(name, options)

    check()


def exchanged(document, number, value):
    """Put another value in one of the places of a JSON document."""
    try:
        made = json.loads(document)
    except ValueError:
        return document  # the broken one
    places = []

    def visit(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                visit(node[key])

    visit(made)
    if places:
        node, key = places[number % len(places)]
        node[key] = value
    return json.dumps(made)
