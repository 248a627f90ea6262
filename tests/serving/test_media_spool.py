"""What is kept on the disk: how long, for whom, how much of it, and what becomes of it in the end."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
import threading

import pytest

from valley.errors import ConfigError
from valley.serving.errors import MediaRefusedError
from valley.serving.media import MediaGate, MediaSettings, Network
from valley.serving.media_spool import LEAST_BYTES, Spool

CLIP = b"\0\0\0\x18ftypmp42"


def content(number: int, size: int = 0) -> bytes:
    return CLIP + number.to_bytes(4, "big") + bytes(size)


def url_of(data: bytes) -> str:
    return f"data:video/mp4;base64,{base64.b64encode(data).decode()}"


async def stream(data: bytes):
    yield data


@pytest.fixture
def make_gate(tmp_path):
    made = []

    def make(**settings) -> MediaGate:
        network = settings.pop("network", None)
        chosen = MediaSettings(**{"keep_free_bytes": 0, "max_video_bytes": LEAST_BYTES, **settings})
        made.append(MediaGate(chosen, tmp_path / "spool", network=network))
        return made[-1]

    yield make
    for gate in made:
        gate.close()
    assert not (tmp_path / "spool").exists() or list((tmp_path / "spool").iterdir()) == []


def test_equal_content_is_one_file_for_one_owner_and_another_for_another(make_gate):
    gate = make_gate()

    async def go():
        with gate.lease("a") as first, gate.lease("b") as second:
            once = await first.local(url_of(content(1)), "video")
            again = await first.local(url_of(content(1)), "video")
            other = await second.local(url_of(content(1)), "video")
            stamp = once.stat()
            assert once == again != other
            assert gate.used_bytes == 2 * LEAST_BYTES
        with gate.lease("a") as third:
            later = await third.local(url_of(content(1)), "video")
            assert (later, later.stat().st_mtime_ns) == (once, stamp.st_mtime_ns)

    asyncio.run(go())


def test_what_is_in_use_stays_and_the_longest_unused_goes(make_gate):
    gate = make_gate(spool_bytes=3 * LEAST_BYTES)

    async def go():
        with gate.lease("a") as held:
            kept = await held.local(url_of(content(0)), "video")
            paths = []
            for number in range(1, 5):
                with gate.lease("a") as lease:
                    paths.append(await lease.local(url_of(content(number)), "video"))
            assert kept.exists()
            assert [path.exists() for path in paths] == [False, False, True, True]
            assert gate.used_bytes == 3 * LEAST_BYTES
            for number in (5, 6):
                await held.local(url_of(content(number)), "video")
            with pytest.raises(MediaRefusedError) as caught:
                await held.local(url_of(content(7)), "video")
            assert (caught.value.status, caught.value.code) == (503, "media_storage_full")
        with gate.lease("a") as lease:
            await lease.local(url_of(content(7)), "video")

    asyncio.run(go())


def test_who_takes_most_gives_way(make_gate):
    gate = make_gate(spool_bytes=4 * LEAST_BYTES)

    async def go():
        mine = await gate.store_upload(stream(content(0)), "mine.mp4", "a")
        for number in range(1, 10):
            await gate.store_upload(stream(content(number)), "x.mp4", "b")
        assert gate.find(mine.id, "a").id == mine.id
        assert len(gate.files("b")) == 3
        with gate.lease("b") as lease:
            await lease.local(url_of(content(99)), "video")
        for number in range(10, 12):
            await gate.store_upload(stream(content(number)), "x.mp4", "b")
        # What was not uploaded went first.
        assert len(gate.files("b")) == 3
        assert gate.files("a") == [mine]

    asyncio.run(go())


def test_a_deleted_file_is_read_to_its_end(make_gate):
    gate = make_gate()

    async def go():
        stored = await gate.store_upload(stream(content(0)), "a.mp4", "a")
        twin = await gate.store_upload(stream(content(0)), "b.mp4", "a")
        with gate.lease("a") as lease:
            path = await lease.local(stored.id, "video")
            gate.delete(stored.id, "a")
            assert path.exists()
            with pytest.raises(MediaRefusedError, match="no such file"):
                await lease.local(stored.id, "video")
        assert gate.files("a") == [twin]

    asyncio.run(go())


def test_there_is_a_most_of_files(make_gate):
    gate = make_gate(max_files_per_owner=2)

    async def go():
        first = await gate.store_upload(stream(content(0)), "a.mp4", "a")
        await gate.store_upload(stream(content(0)), "a.mp4", "a")
        with pytest.raises(MediaRefusedError, match="may keep 2 files"):
            await gate.store_upload(stream(content(0)), "a.mp4", "a")
        gate.delete(first.id, "a")
        await gate.store_upload(stream(content(0)), "a.mp4", "a")

    asyncio.run(go())


def test_a_client_that_leaves_while_its_medium_comes_keeps_nothing(make_gate, tmp_path):
    entered, go_on = threading.Event(), threading.Event()

    def resolver(host, port):
        entered.set()
        assert go_on.wait(20)
        raise OSError("no")

    gate = make_gate(allow_any_public_host=True, network=Network(resolver=resolver))

    async def leave():
        with gate.lease("a") as lease:
            waiting = asyncio.ensure_future(lease.local("http://slow.test/a.mp4", "video"))
            await asyncio.to_thread(entered.wait, 20)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        go_on.set()

        async def broken():
            yield content(0)
            raise ConnectionError("the client hung up")

        with pytest.raises(ConnectionError):
            await gate.store_upload(broken(), "a.mp4", "a")
        for number in range(50):
            with gate.lease("a") as lease:
                waiting = asyncio.ensure_future(lease.local(url_of(content(number, 20_000)), "video"))
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(leave())
    gate.settle()
    assert gate.num_in_use == 0
    folder = next(path for path in (tmp_path / "spool").iterdir() if path.is_dir())
    assert list(folder.glob("draft-*")) == []
    assert gate.used_bytes <= 50 * LEAST_BYTES


def test_a_closed_gate_says_so(make_gate, tmp_path):
    gate = make_gate()
    gate.close()

    async def go():
        with gate.lease("") as lease, pytest.raises(MediaRefusedError) as caught:
            await lease.local(url_of(content(0)), "video")
        assert caught.value.status == 503

    asyncio.run(go())


def test_what_a_killed_server_left_is_removed_by_the_next_and_a_running_ones_stays(tmp_path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from valley.serving.media_spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), most_bytes=10**6)\n"
        "(spool.folder / 'clip').write_bytes(b'x')\n"
        "print(spool.folder, flush=True)\n"
        "time.sleep(600)\n"
    )
    running = Spool(tmp_path, most_bytes=10**6)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        left = tmp_path / other.stdout.readline().strip()
        assert running.folder.is_dir()
        other.kill()
        other.wait()
    assert (left / "clip").is_file()
    with_third = Spool(tmp_path, most_bytes=10**6)
    assert not left.exists()
    assert running.folder.is_dir()
    running.close()
    with_third.close()
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_of_the_process_can_look_into_the_folder(tmp_path):
    spool = Spool(tmp_path, most_bytes=10**6)
    assert spool.folder.stat().st_mode & 0o077 == 0
    spool.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"max_fetches": 0},
        {"timeout_s": 0.0},
        {"max_video_bytes": 10, "spool_bytes": 9},
        {"max_frames": -1},
    ],
)
def test_settings_that_cannot_work(settings):
    with pytest.raises(ConfigError):
        MediaSettings(**settings)
