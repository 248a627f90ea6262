"""What is freed goes back, now and then, where there was work."""

from __future__ import annotations

import asyncio
import sys

import pytest

from valley.serving import memory


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_freed_memory_goes_back():
    def resident_mib() -> float:
        with open("/proc/self/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * 4096 / 2**20

    held = [bytearray(60_000) for _ in range(4000)]
    pins = held[::400]
    before = resident_mib()
    del held
    if memory.give_back():
        assert resident_mib() < before - 100
    assert len(pins) == 10


def test_only_where_there_was_work(monkeypatch):
    done, trims = [0], []
    monkeypatch.setattr(memory, "give_back", lambda: trims.append(done[0]) or True)

    async def run():
        task = asyncio.create_task(memory.give_back_now_and_then(lambda: done[0], every_s=0.01))
        await asyncio.sleep(0.05)
        assert trims == []
        for number in (1, 2):
            done[0] = number
            while trims[-1:] != [number]:
                await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))
    assert trims == [1, 2]


def test_where_it_cannot_be_done_it_is_not_tried_again(monkeypatch):
    count = iter(range(1000))
    monkeypatch.setattr(memory, "give_back", lambda: False)
    asyncio.run(asyncio.wait_for(memory.give_back_now_and_then(lambda: next(count), every_s=0.001), 10))
    assert next(count) == 2
