import fnmatch
import math
from dataclasses import dataclass, replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats.caching.keys import KeyParts, answer_prefix, key_parts, symbol_prefix
from tests.stats.caching.builders import client_of

texts = st.text(alphabet=st.sampled_from("AB:*?[]\\^-&=%,. é"), min_size=1, max_size=6)


@dataclass(frozen=True)
class AnswerName:
    symbol: str
    dataset: str
    parameters: dict[str, str]
    version: str
    store: str = "5f0a"

    @property
    def prefix(self) -> str:
        parts = KeyParts(tuple(self.parameters.items()), self.version)
        return answer_prefix(parts, symbol=self.symbol, dataset=self.dataset, store=self.store)


names = st.builds(
    AnswerName,
    texts,
    dataset=texts,
    parameters=st.dictionaries(texts, texts, max_size=3),
    version=texts,
    store=texts,
)


def prefix_of(symbol: str) -> str:
    return AnswerName(symbol, "ohlcv", {}, "trades=1-a").prefix


def test_key_is_readable():
    parameters = {"start": "10", "interval": "1min", "end": "20"}
    name = AnswerName("AAPL", "ohlcv", parameters, "trades=17-9f3a2c,bars=3-0b77e1")
    assert (
        name.prefix == "mktdata:AAPL:ohlcv:end=20&interval=1min&start=10:trades=17-9f3a2c,bars=3-0b77e1:5f0a:"
    )


@dataclass(frozen=True)
class Named:
    names: tuple[str, ...]


def test_tuples_of_texts_have_parts_of_their_own():
    named = [Named(names) for names in ((), ("",), ("", ""), (",",), ("%",), ("a", "b"), ("a,b",))]
    assert all(key_parts(one) != key_parts(other) for one, other in combinations(named, 2))


@dataclass(frozen=True)
class Numbered:
    number: float


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_next_to_each_other_have_parts_of_their_own(number: float):
    assert key_parts(Numbered(number)) != key_parts(Numbered(math.nextafter(number, math.inf)))


def test_key_without_parameters_and_commits_keeps_its_fields():
    assert prefix_of("^GSPC") == "mktdata:%5EGSPC:ohlcv::trades=1-a:5f0a:"
    assert AnswerName("^GSPC", "clock", {}, "").prefix == "mktdata:%5EGSPC:clock::none:5f0a:"


@given(names, names)
def test_keys_are_equal_only_if_they_mean_the_same(one: AnswerName, other: AnswerName):
    assert (one.prefix == other.prefix) == (one == other)


@given(names)
def test_order_of_parameters_does_not_matter(name: AnswerName):
    reversed_parameters = dict(reversed(name.parameters.items()))
    assert replace(name, parameters=reversed_parameters).prefix == name.prefix


@given(names, texts)
def test_pattern_matches_exactly_the_keys_of_its_symbol(name: AnswerName, symbol: str):
    assert fnmatch.fnmatchcase(name.prefix, f"{symbol_prefix(symbol)}*") == (name.symbol == symbol)


SYMBOLS = [
    "A",
    "AB",
    "A:B",
    "A*",
    "A?",
    "[A]",
    "A\\",
    "A%3AB",
    "*",
    "Ä",
]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_redis_scan_finds_only_the_symbol(symbol: str, redis_server):
    with client_of(redis_server) as client:
        for each in SYMBOLS:
            client.set(prefix_of(each), each)
        found = [client.get(key).decode() for key in client.scan_iter(match=f"{symbol_prefix(symbol)}*")]
    assert found == [symbol]
