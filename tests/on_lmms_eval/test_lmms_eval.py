"""lmms-eval runs a local task with the embedded model, found by its plug-in alone.

Needs the harness, so an environment of its own: `make test-lmms-eval` builds it and runs this.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from valley.conversation import Video, read_jsonl
from valley.inference.valley import Valley
from valley.synthetic.dataset import write_dataset

pytestmark = pytest.mark.slow
pytest.importorskip("lmms_eval", reason="needs lmms-eval: make test-lmms-eval")

TASK = """\
task: valley_clips
dataset_path: json
dataset_kwargs:
  data_files: {{test: {rows}}}
test_split: test
output_type: generate_until
doc_to_messages: !function clips_task.to_messages
doc_to_visual: !function clips_task.to_visual
doc_to_text: !function clips_task.to_text
doc_to_target: answer
process_results: !function clips_task.results
metric_list:
  - metric: right
    aggregation: mean
    higher_is_better: true
generation_kwargs:
  max_new_tokens: 64
  until: ["\\n\\n"]
"""
NUM_CLIPS = 4


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    write_dataset(folder / "world", NUM_CLIPS, seed=5)
    rows = []
    for dialogue in read_jsonl(folder / "world" / "conversations.jsonl"):
        asked, answered = dialogue.messages[0], dialogue.messages[1]
        rows.append({"video": str(asked.media[0].source), "question": asked.text, "answer": answered.text})
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    (folder / "valley_clips.yaml").write_text(TASK.format(rows=folder / "rows.jsonl"), encoding="utf-8")
    shutil.copy(Path(__file__).with_name("clips_task.py"), folder)
    return folder


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_harness_gets_the_answers_that_everybody_gets(
    task: Path, tmp_path: Path, batch_size: int
) -> None:
    rows = [json.loads(line) for line in (task / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    program = Path(sys.executable).with_name("lmms-eval")
    given = "pretrained=valley-mini,num_frames=8"
    done = subprocess.run(
        [
            *(str(program), "--model", "valley", "--model_args", given, "--device", "cpu"),
            *("--include_path", str(task), "--tasks", "valley_clips", "--batch_size", str(batch_size)),
            *("--output_path", str(tmp_path), "--log_samples"),
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (scores,) = tmp_path.rglob("*_results.json")
    found = json.loads(scores.read_text(encoding="utf-8"))["results"]["valley_clips"]
    (samples,) = tmp_path.rglob("*_samples_valley_clips.jsonl")
    said = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    answers = {int(s["doc_id"]): s["filtered_resps"] for s in said}
    valley = Valley.from_pretrained("valley-mini", device="cpu")
    wanted = [
        valley.answer([Video(r["video"]), r["question"]], num_frames=8, max_new_tokens=64).answer
        for r in rows
    ]
    assert [answers[n].strip() for n in range(len(rows))] == [w.strip() for w in wanted]
    right = sum(w.strip() == r["answer"] for w, r in zip(wanted, rows, strict=True)) / len(rows)
    assert found["right,none"] == pytest.approx(right), found
    assert right > 0.5
