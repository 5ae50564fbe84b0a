import fnmatch
from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats.caching.keys import CacheKey, escaped, key_parts, symbol_prefix
from tests.stats.caching.builders import client_of

texts = st.text(alphabet=st.sampled_from("AB:*?[]\\^-&=%,. é"), min_size=1, max_size=6)
values = st.one_of(st.none(), st.integers(-5, 5), texts)
keys = st.builds(
    CacheKey,
    symbol=texts,
    dataset=texts,
    parameters=st.dictionaries(texts, values, max_size=3).map(lambda given: tuple(given.items())),
    version=texts,
    representation=texts,
)


def meaning(key: CacheKey) -> object:
    given = frozenset((name, str(value)) for name, value in key.parameters if value is not None)
    return key.symbol, key.dataset, given, key.version, key.representation


def key_of(symbol: str) -> CacheKey:
    return CacheKey(symbol=symbol, dataset="ohlcv", version="trades=1-a", representation="json")


def test_key_is_readable():
    key = CacheKey(
        symbol="AAPL",
        dataset="ohlcv",
        parameters=(("start", 10), ("interval", "1min"), ("as_of", None), ("end", 20)),
        version="trades=17-9f3a2c,bars=3-0b77e1",
        representation="json",
    )
    assert str(key) == "mktdata:AAPL:ohlcv:end=20&interval=1min&start=10:trades=17-9f3a2c,bars=3-0b77e1:json"


@dataclass(frozen=True)
class Named:
    names: tuple[str, ...]


def test_tuples_of_texts_have_parts_of_their_own():
    named = [Named(names) for names in ((), ("",), ("", ""), (",",), ("%",), ("a", "b"), ("a,b",))]
    assert all(key_parts(one) != key_parts(other) for one, other in combinations(named, 2))


def test_key_without_parameters_keeps_its_fields():
    assert str(key_of("^GSPC")) == "mktdata:%5EGSPC:ohlcv::trades=1-a:json"


@given(keys, keys)
def test_keys_are_equal_only_if_they_mean_the_same(one: CacheKey, other: CacheKey):
    assert (str(one) == str(other)) == (meaning(one) == meaning(other))


@given(keys)
def test_order_of_parameters_does_not_matter(key: CacheKey):
    turned = CacheKey(
        symbol=key.symbol,
        dataset=key.dataset,
        parameters=key.parameters[::-1],
        version=key.version,
        representation=key.representation,
    )
    assert str(turned) == str(key)


@given(st.text(max_size=8), st.text(max_size=8))
def test_escaping_is_one_to_one_and_plain_ascii(one: str, other: str):
    assert (escaped(one) == escaped(other)) == (one == other)
    assert escaped(one).isascii()
    assert not set(escaped(one)) & set(":*?[]\\^&= ")


@given(keys, texts)
def test_pattern_matches_exactly_the_keys_of_its_symbol(key: CacheKey, symbol: str):
    assert fnmatch.fnmatchcase(str(key), f"{symbol_prefix(symbol)}*") == (key.symbol == symbol)


SYMBOLS = [
    "A",
    "AB",
    "A:B",
    "A*",
    "A?",
    "[A]",
    "A\\",
    "^GSPC",
    "a",
    "A ",
    "A%3AB",
    "*",
    "BRK.B",
    "Ä",
    "A:ohlcv",
]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_redis_scan_finds_only_the_symbol(symbol: str, redis_server):
    with client_of(redis_server) as client:
        for each in SYMBOLS:
            client.set(str(key_of(each)), each)
        found = [client.get(key).decode() for key in client.scan_iter(match=f"{symbol_prefix(symbol)}*")]
    assert found == [symbol]
