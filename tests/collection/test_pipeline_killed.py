"""kill -9 at any moment costs nothing: started again, a collection ends with the same bytes."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from collection.collected import digests, make_clips, run, same_time, settings
from valley.journal import decode_key

SETTINGS = (
    "triage.fewest_pixels=null",
    "triage.most_static_ratio=null",
    "near_duplicate_distance=null",
    "captions.phrases=chunks",
    "keep_free_mb=0",
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return make_clips(tmp_path_factory.mktemp("videos") / "clips", 60)


def start(clips: Path, corpus: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "valley", "collect", "folder", str(clips), *SETTINGS, *words]
    return subprocess.Popen(
        [*command, "-o", str(corpus), "--workers", "2", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(clips: Path, corpus: Path, *words: str) -> None:
    with start(clips, corpus, *words) as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors[-2000:]


def lines(corpus: Path, stage: str) -> list[str | None]:
    """Give the keys of all lines, None for torn ones."""
    segments = sorted((corpus / "stages").glob(f"{stage}@*/*.jsonl"))
    return [
        decode_key(line) for segment in segments for line in segment.read_bytes().splitlines(keepends=True)
    ]


def kill(process: subprocess.Popen, *, after_s: float) -> bool:
    """Kill it after a while; False where it had ended by itself."""
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def assert_nothing_twice(corpus: Path, number: int) -> None:
    for stage in ("hash", "look"):
        keys = [key for key in lines(corpus, stage) if key is not None]
        assert len(keys) == len(set(keys)) == number


PROGRAM = """
import sys
from pathlib import Path
from collection.collected import run, settings
run(settings(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_killed_as_soon_as_some_clips_are_done(clips, tmp_path):
    through, killed = tmp_path / "through", tmp_path / "killed"
    run(settings(clips), through)
    same_time(through, killed)
    command = [sys.executable, "-c", PROGRAM, str(clips), str(killed)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as process:
        while process.poll() is None and len(lines(killed, "look")) < 10:
            pass_a_moment(process)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "manifest").exists()
    with (next((killed / "stages").glob("look@*/*.jsonl"))).open("ab") as segment:
        segment.write(b"0123abcd half a li")  # as if it had died within a line
    run(settings(clips), killed)
    assert digests(killed) == digests(through)
    assert_nothing_twice(killed, 60)
    assert lines(killed, "look").count(None) == 1


def pass_a_moment(process: subprocess.Popen) -> None:
    """Let a moment pass."""
    try:
        process.wait(0.01)
    except subprocess.TimeoutExpired:
        return


@pytest.mark.slow
def test_killed_at_twenty_random_moments_of_two_hundred_clips(tmp_path):
    clips, through, killed = make_clips(tmp_path / "clips", 200), tmp_path / "through", tmp_path / "killed"
    finish(clips, through)
    same_time(through, killed)
    generator = random.Random(7)
    num_killed = 0
    for _ in range(20):
        with start(clips, killed) as process:
            num_killed += kill(process, after_s=generator.uniform(0.2, 4.0))
    assert num_killed >= 10  # else the machine is so quick that this test says nothing
    finish(clips, killed)
    assert digests(killed) == digests(through)
    assert_nothing_twice(killed, 200)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_said_and_goes_on(sign, clips, tmp_path):
    corpus = tmp_path / "corpus"
    with start(clips, corpus) as process:
        while process.poll() is None and len(lines(corpus, "look")) < 1:
            pass_a_moment(process)
        process.send_signal(sign)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from there" in errors
    assert None not in lines(corpus, "look")
    num_done = len(lines(corpus, "look"))
    assert 1 <= num_done < 60
    run(settings(clips), corpus)
    assert_nothing_twice(corpus, 60)
