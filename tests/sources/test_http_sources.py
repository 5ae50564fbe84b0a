"""What all sources over HTTP do alike: an error is one sentence, a wait is passed on, and nothing is asked in vain."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from sources.alpaca import Alpaca
from sources.asking import HttpSource
from sources.databento import Databento
from sources.installation import Installation
from sources.massive import Massive
from sources.protocol import SourceFailed, SourceRefused, Wanted
from store.datasets import BARS, CORPORATE_ACTIONS, OPEN_INTEREST, OPTION_QUOTES, TRADES
from tests.ops.outbound.hostile_server import Behaviour, says, served
from tests.sources.asked import QUICK, wanted, window

pytestmark = pytest.mark.usefixtures("default_store")
HOUR = window("2025-01-02T14:30:00Z", "2025-01-02T15:30:00Z")
KEY = "id:s3cret"
STORED = b'{"datasets":[{"dataset":"trades","first":"2020-01-01","last":"2026-01-01"}]}'
BACKWARDS = b'{"timestamps":[1735828300000000002,1735828300000000001],"price":[1,1],"volume":[1,1],"next_cursor":null}'


def reports(behave: Behaviour) -> Behaviour:
    """An installation with trades at any time, and pages as `behave` has them."""
    said = {"coverage": says(STORED), "gaps": says(b'{"gaps":[]}')}
    return lambda call: said.get(call.path.partition("?")[0].rpartition("/")[2], behave)(call)


@pytest.mark.parametrize(
    ("kind", "behave", "error", "said"),
    [
        (Alpaca, says(b'{"message":"forbidden."}', 403), SourceRefused, "key in SOURCE_KEY_MINE, or its plan lacks the feed"),
        (Alpaca, says(b"{}", 401), SourceRefused, "mine does not know the key in SOURCE_KEY_MINE"),
        (Alpaca, says(b'{"message":"invalid symbol: A,"}', 400), SourceRefused, "answered 400"),
        (Alpaca, says(b"", 500), SourceFailed, "answered 500"),
        (Alpaca, says(b"[]"), SourceFailed, "another form"),
        (Alpaca, says(b'{"trades":{"AAPL":[{}]},"next_page_token":null}'), SourceFailed, "another form"),
        (Massive, says(b'{"status":"NOT_AUTHORIZED"}', 403), SourceRefused, "the plan of the key in SOURCE_KEY_MINE"),
        (Massive, says(b"[]"), SourceFailed, "another form"),
        (Massive, says(b'{"results":[{"o":1}]}'), SourceFailed, "another form"),
        (Databento, says(b"{}", 402), SourceRefused, "the account of the key in SOURCE_KEY_MINE has no money left"),
        (Databento, says(b'{"detail":{"case":"symbology_invalid_request"}}', 422), SourceRefused, "422 symbology_invalid"),
        (Installation, says(b'{"code":"<script>"}', 401), SourceRefused, "SOURCE_KEY_MINE"),
        (Installation, says(b'{"code":"missing_scope"}', 403), SourceRefused, "market:read"),
        (Installation, says(b"", 302, Location="http://127.0.0.1/"), SourceFailed, "answered 302"),
        (Installation, says(b"<html>"), SourceFailed, "not JSON"),
        (Installation, says(b'{"timestamps":[1.5],"price":["x"],"next_cursor":null}'), SourceFailed, "another form"),
        (Installation, says(BACKWARDS), SourceFailed, "back in time"),
    ],
)  # fmt: skip
def test_an_error_is_one_sentence(
    kind: type[HttpSource], behave: Behaviour, error: type[Exception], said: str
):
    of = wanted(BARS) if kind is Massive else wanted()
    with served(reports(behave)) as server, pytest.raises(error, match=said) as raised:
        list(kind("mine", key=KEY, url=server.url, limits=QUICK).pages(of, HOUR))
    assert "s3cret" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [Alpaca, Massive, Databento, Installation])
@pytest.mark.parametrize(
    "header", [{"Retry_After": lambda: "40"}, {"X_RateLimit_Reset": lambda: str(int(time.time()) + 40)}]
)
def test_the_wait_that_it_names_is_passed_on_and_it_is_asked_once(
    kind: type[HttpSource], header: dict[str, Callable[[], str]]
):
    ((name, text),) = header.items()
    of = wanted(BARS) if kind is Massive else wanted()
    with served(says(b"", 429, **{name: text()})) as server:
        with pytest.raises(SourceFailed) as raised:
            list(kind("mine", key=KEY, url=server.url, limits=QUICK).pages(of, HOUR))
        assert len(server.calls) == 1
    assert raised.value.retry_after == pytest.approx(40, abs=2)


@pytest.mark.parametrize(
    ("source", "of", "said"),
    [
        (Alpaca("mine"), wanted(TRADES, "ESZ5", instrument_class="future"), "no trades of the class future"),
        (Alpaca("mine"), wanted(OPEN_INTEREST), "no open_interest"),
        (Alpaca("mine"), wanted(CORPORATE_ACTIONS, "BTC-USD", instrument_class="crypto"), "no corporate_actions"),
        (Alpaca("mine"), wanted(BARS, "BTC-USD", "1d", instrument_class="crypto"), "not begin at midnight UTC: fetch 1h"),
        (Alpaca("mine"), wanted(BARS, resolution="7m"), "no bars of 7m: it has 1h, 1d"),
        (Alpaca("mine"), wanted(), "needs a key: set SOURCE_KEY_MINE to its id and its secret"),
        (Massive("mine"), wanted(TRADES), "import its files"),
        (Massive("mine"), wanted(BARS, "BTC-USD", instrument_class="crypto"), "of US shares only"),
        (Massive("mine"), wanted(BARS, resolution="1w"), "no bars of 1w"),
        (Massive("mine"), wanted(BARS), "needs a key: set SOURCE_KEY_MINE"),
        (Databento("mine"), wanted(CORPORATE_ACTIONS), "no corporate_actions"),
        (Databento("mine"), wanted(TRADES, "BTC-USD", instrument_class="crypto"), "of the class crypto"),
        (Databento("mine"), wanted(BARS, resolution="1d"), "no bars of 1d: it has 1s, 1m, 1h"),
        (Databento("mine"), wanted(), "needs a key: set SOURCE_KEY_MINE"),
        (Installation("mine", url="https://desk.example"), wanted(OPTION_QUOTES), "no pages of option_quotes"),
    ],
)  # fmt: skip
def test_what_it_does_not_have_is_refused_without_a_request(source: HttpSource, of: Wanted, said: str):
    assert said in source.refusal(of)
    with pytest.raises(SourceRefused):
        list(source.pages(of, HOUR))


@pytest.mark.parametrize("source", [Alpaca("mine"), Massive("mine")])
def test_without_a_key_no_markets_are_read(source: Any):
    with pytest.raises(SourceRefused, match="needs a key"):
        list(source.markets())
