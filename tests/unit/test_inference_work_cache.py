"""Work of several kinds is kept under one bound, the newest first, and counted."""

from hypothesis import given
from hypothesis import strategies as st

from valley.inference.backend import CacheUse
from valley.inference.work_cache import KINDS, WorkCache


def test_what_was_not_used_for_longest_goes_whatever_its_kind():
    cache = WorkCache(10)
    cache.put("frames", "a", "A", 4)
    cache.put("features", "b", "B", 4)
    assert cache.get("frames", "a") == "A"
    cache.put("prefixes", "c", "C", 4)
    assert [cache.has(*k) for k in (("frames", "a"), ("features", "b"), ("prefixes", "c"))] == [
        True,
        False,
        True,
    ]
    cache.touch("frames", "a")
    cache.put("prefixes", "d", "D", 4)
    assert cache.items("frames") == [("a", "A")]
    assert cache.items("prefixes") == [("d", "D")]


def test_what_is_too_large_drives_nothing_out():
    cache = WorkCache(10)
    cache.put("frames", "a", "A", 10)
    cache.put("features", "b", "B", 11)
    assert cache.get("frames", "a") == "A"
    assert cache.get("features", "b") is None
    assert WorkCache(0).get("frames", "a") is None


def test_hits_misses_and_bytes_are_counted_by_kind():
    cache = WorkCache(100)
    cache.put("frames", "a", "A", 7)
    cache.get("frames", "a")
    cache.get("frames", "b")
    cache.count("prefixes", hit=True)
    cache.has("features", "a")
    stats = cache.stats()
    assert (stats.frames, stats.prefixes) == (CacheUse(1, 1, 7), CacheUse(1, 0, 0))
    assert stats.features == CacheUse(0, 0, 0)
    cache.clear("frames")
    assert cache.stats().frames == CacheUse(1, 1, 0)


def test_the_same_key_is_one_thing():
    cache = WorkCache(100)
    for value, size in (("A", 50), ("B", 60)):
        cache.put("frames", "a", value, size)
    assert (cache.get("frames", "a"), cache.stats().frames.num_bytes) == ("B", 60)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 60)), max_size=40))
def test_the_bound_holds(puts):
    cache = WorkCache(100)
    for kind, key, size in puts:
        cache.put(kind, key, size, size)
        held = {k: sum(value for _, value in cache.items(k)) for k in KINDS}
        stats = cache.stats()
        assert [held[k] for k in KINDS] == [
            u.num_bytes for u in (stats.frames, stats.features, stats.prefixes)
        ]
        assert sum(held.values()) <= 100
        assert cache.has(kind, key)
