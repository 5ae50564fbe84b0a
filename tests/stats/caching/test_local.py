import threading

from hypothesis import given
from hypothesis import strategies as st

from stats.caching.response_cache import OVERHEAD_BYTES, LocalCache
from tests.stats.caching.builders import entry_of


def put(cache: LocalCache, key: str, *, size: int = 1_000) -> None:
    cache.put(key, entry_of(key.encode().ljust(size)))


def size_of(cache: LocalCache) -> int:
    return int(cache._entries.currsize)


def test_keys_that_start_with_a_prefix_are_dropped():
    cache: LocalCache = LocalCache()
    for key in ("a:1", "a:2", "ab:1", "b"):
        put(cache, key)
    cache.drop("a:")
    assert [key for key in ("a:1", "a:2", "ab:1", "b") if cache.get(key)] == ["ab:1", "b"]


def test_the_least_recently_used_goes_first():
    cache: LocalCache = LocalCache(max_bytes=16 * (1_000 + OVERHEAD_BYTES))
    for name in "abcdefghijklmno":
        put(cache, name)
    assert cache.get("a") is not None
    put(cache, "p")
    put(cache, "q")
    assert cache.get("b") is None
    assert cache.get("a") is not None


def test_one_large_value_does_not_displace_the_others():
    cache: LocalCache = LocalCache(max_bytes=80_000)
    put(cache, "a")
    put(cache, "large", size=10_001)
    assert cache.get("large") is None
    assert cache.get("a") is not None


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 12_000)), max_size=60))
def test_the_bound_holds_and_the_account_is_exact(puts: list[tuple[str, int]]):
    cache: LocalCache = LocalCache(max_bytes=40_000)
    for key, size in puts:
        put(cache, key, size=size)
        assert size_of(cache) <= 40_000
    assert sum(size for _, size in cache._entries.values()) == size_of(cache)


def test_threads_leave_the_account_exact():
    cache: LocalCache = LocalCache(max_bytes=40_000)

    def work(seed: int) -> None:
        for step in range(2_000):
            key = str((seed * 7 + step) % 50)
            put(cache, key, size=step % 3_000)
            cache.get(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(size for _, size in cache._entries.values()) == size_of(cache) <= 40_000
