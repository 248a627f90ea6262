"""What of one prompt's keys and values another prompt may use."""

import pytest

from valley.inference.prefix import Prefix, PrefixStore, common_length
from valley.inference.work_cache import WorkCache


class ListCache:
    """A cache that holds numbers instead of keys and values."""

    def __init__(self, length, *, is_croppable=True, forgets=False):
        self.items = list(range(length))
        self.is_croppable = is_croppable
        self.forgets = forgets

    def get_seq_length(self):
        return len(self.items)

    def crop(self, tokens_to_remove):
        if self.forgets:
            raise RuntimeError("beyond the window")
        if tokens_to_remove:
            del self.items[tokens_to_remove:]


def stored(keys, **cache):
    store = PrefixStore(WorkCache(1000))
    store.give(Prefix(list(keys), ListCache(len(keys), **cache)))
    return store


def test_common_length():
    assert common_length("abcd", "abxd") == 2
    assert common_length("ab", "abc") == 2
    assert common_length("", "abc") == 0


def test_the_longest_common_beginning_is_kept():
    prefix = stored("hello world").take("hello there")
    assert prefix is not None
    assert "".join(map(str, prefix.keys)) == "hello "
    assert prefix.cache.get_seq_length() == 6


def test_the_last_token_is_always_computed():
    prefix = stored("abc").take("abc")
    assert prefix is not None
    assert prefix.keys == ["a", "b"]


def test_a_medium_is_never_divided():
    prefix = stored("abcd[x]").take("abcd[Q]e", media=[(4, 7)])
    assert prefix is not None
    assert prefix.keys == ["a", "b", "c", "d"]


def test_who_takes_it_owns_it():
    store = stored("abcd")
    assert store.take("abcx") is not None
    assert store.take("abcx") is None


@pytest.mark.parametrize("cache", [{"is_croppable": False}, {"forgets": True}])
def test_a_cache_that_cannot_be_cropped_is_not_used(cache):
    assert stored("abcd", **cache).take("abxy") is None


def test_a_cache_that_cannot_be_cropped_may_go_on():
    assert stored("abcd", is_croppable=False).take("abcdef") is not None


def test_an_interrupted_pass_leaves_nothing():
    store = PrefixStore(WorkCache(1000))
    store.give(Prefix(list("abc"), ListCache(4)))
    assert store.take("abcd") is None


def test_nothing_in_common():
    assert stored("abcd").take("xyz") is None
