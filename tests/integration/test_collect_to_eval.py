"""The whole way, by the commands: collect clips, have conversations written about them, train, evaluate."""

import json
from pathlib import Path

from instruct.fake_writer import FakeWriter, Running, known_truths
from valley.cli import run
from valley.conversation import read_jsonl
from valley.inference.resolving import resolve
from valley.instruct.gateway.starting import find, stop

NUM_CLIPS = 12
RECIPE = Path(__file__).parents[2] / "recipes" / "instruct.yaml"


def test_from_clips_to_a_score(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VALLEY_API_KEY", "not-a-secret")
    made = f"num_clips={NUM_CLIPS}"
    # Clips of the same few shapes look alike to a perceptual hash: near-duplicates stay in.
    assert not run(
        ["collect", "synthetic", "clips", "-o", "corpus", "--set", made, "near_duplicate_distance=null"]
    )
    running = Running(FakeWriter(known_truths(NUM_CLIPS), faults={"429": 0.1, "malformed": 0.1}, lies=0.2))
    written = ["instruct", "corpus", "-o", "own.jsonl", "--languages", "en,zh,es", "--model", "writer"]
    with running as writer:
        code = run(
            [*written, "--base-url", running.base_url, "--price", "0.15,0.6", "--max-usd", "1", "--json"]
        )
    report = json.loads((tmp_path / "own.report.json").read_text(encoding="utf-8"))
    calls = tmp_path / "own_calls"
    stop(calls, find(calls))  # type: ignore[arg-type]
    assert code == 2  # what was false was given up
    assert report["num_wanted"] > 100
    assert report["num_accepted"] > 0.8 * report["num_wanted"]
    assert report["num_billed"] == sum(writer.books.billed.values())
    assert "not-a-secret" not in "".join(
        p.read_text(encoding="utf-8", errors="replace")
        for p in tmp_path.rglob("*")
        if p.suffix in (".json", ".jsonl")
    )
    conversations = list(read_jsonl(tmp_path / "own.jsonl"))
    assert len(conversations) == report["num_accepted"]
    assert {c.language for c in conversations} == {"en", "zh", "es"}
    assert all(c.metadata["licence"] == "CC0-1.0" for c in conversations)
    assert not run(["data", "validate", "own.jsonl"])
    small = ["trainer.gradient_accumulation_steps=1", "trainer.per_device_train_batch_size=2"]
    small += ["trainer.dataloader_num_workers=0", "max_steps=2", f"base={resolve('valley-mini').location}"]
    assert not run(["train", str(RECIPE), "data.0.path=own.jsonl", "out=trained", *small])
    capsys.readouterr()
    asked = ["--num-clips", "2", "--no-controls", "--out", "scores", "--json"]
    assert not run(["eval", "synthetic", "--model", "trained", *asked])
    scores = json.loads(capsys.readouterr().out)
    assert 50 < scores["overall"]["score"] <= 100
