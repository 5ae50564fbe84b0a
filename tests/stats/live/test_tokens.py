"""Resume tokens: their texts, and the positions that they stand for."""

import pytest

from stats.live.exceptions import InvalidResumeToken
from stats.live.tokens import Token, parse_tokens, position_of
from store.datasets import TRADES
from store.walk import Resync
from tests.memory_store import MemoryStore
from tests.store.builders import SYMBOL, batch, trade


@pytest.fixture
def log() -> MemoryStore:
    """Two commits of three rows, and one that only declares that the feed is complete."""
    store = MemoryStore()
    for number in range(2):
        store.append(batch(*(trade(number * 10 + row) for row in range(3))))
    store.append(batch(complete_until=trade(100)["timestamp"]))
    return store


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("0", {"": Token(0, "000000")}),
        ("17-9f3a2c", {"": Token(17, "9f3a2c")}),
        ("17-9f3a2c.3", {"": Token(17, "9f3a2c", 3)}),
        ("trades=17-9f3a2c, bars=3-0b1c2d", {"trades": Token(17, "9f3a2c"), "bars": Token(3, "0b1c2d")}),
        ("trades:AAPL=17-9f3a2c", {"trades": Token(17, "9f3a2c")}),
    ],
)
def test_tokens_of_a_text(text: str, tokens: dict[str, Token]):
    assert parse_tokens(text) == tokens


@pytest.mark.parametrize(
    "text",
    ["", "17", "17-9F3A2C", "17-9f3a2", "17-9f3a2c.", "-1-9f3a2c", "17-9f3a2c.x", "1-9f3a2c,2-9f3a2c", "1" * 19 + "-9f3a2c"],
)  # fmt: skip
def test_what_is_no_token_is_refused(text: str):
    with pytest.raises(InvalidResumeToken):
        parse_tokens(text)


@pytest.mark.parametrize("token", [Token(2, "ffffff"), Token(9, "ffffff", 3)])
def test_a_token_of_another_log_is_answered_resync(log: MemoryStore, token: Token):
    with pytest.raises(Resync) as error:
        position_of(log, TRADES, SYMBOL, token)
    assert error.value.head == log.log(TRADES, SYMBOL).head
