"""Rows of Alpaca's API: those of an installation that speaks it, and Alpaca's own."""

from typing import Any

import orjson
import pytest

from jobs.backfills.exceptions import NotOffered, SourceFailed
from jobs.backfills.sources.alpaca import Alpaca
from jobs.backfills.sources.protocol import SourceRequest
from store.datasets import BARS, QUOTES, TRADES
from store.instruments import Instrument
from store.protocol import ALL_TIME
from tests.api_client import Api, trade
from tests.jobs.backfills.answers import QUICK, START_NS, WINDOW, request_for
from tests.ops.outbound.hostile_server import Behaviour, in_turn, says, served
from trades.stores import market_store


def alpaca(url: str, **options: Any) -> Alpaca:
    return Alpaca("vendor", url=url, **{"key": "id:secret", "limits": QUICK, **options})


def page(
    rows: list[dict[str, Any]], token: str | None = None, *, name: str = "trades", symbol: str = "AAPL"
) -> Behaviour:
    return says(orjson.dumps({name: {symbol: rows} if rows else {}, "next_page_token": token}))


def print_at(second: int, **fields: Any) -> dict[str, Any]:
    return {
        "t": f"2025-01-02T14:30:{second:02d}Z",
        "x": "Q",
        "p": 190.5,
        "s": 100,
        "i": second,
        "c": ["@"],
        **fields,
    }


def test_an_installations_trades_come_equal_over_its_pages(api: Api, default_store):
    rows = [
        trade(timestamp=f"2025-01-02T14:30:00.{n:09d}Z", trade_id=str(n), exchange=("XNAS", "XOFF")[n % 2], conditions=["regular", "odd_lot"][: n % 3])
        for n in range(6)
    ]  # fmt: skip
    assert api.ingest(*rows, trade(timestamp="2025-01-02T15:30:00Z")).status_code == 200
    path = "/api/v2/stocks/trades"
    query = {
        "symbols": "AAPL",
        "start": "2025-01-02T14:30:00Z",
        "end": "2025-01-02T15:29:59.999999999Z",
        "limit": "4",
    }
    first = api.get(path, query)
    second = api.get(path, query | {"page_token": first.json()["next_page_token"]})
    assert second.json()["next_page_token"] is None
    answers = [says(each.content, X_Commit=each["X-Commit"]) for each in (first, second)]
    with served(in_turn(answers)) as server:
        fetched = alpaca(f"{server.url}/api").fetch(request_for())
        asked = server.calls
    assert [path.partition("?")[0] for path, _ in asked] == [path, path]
    assert (asked[0][1]["APCA-API-KEY-ID"], asked[0][1]["APCA-API-SECRET-KEY"]) == ("id", "secret")
    stored = market_store().log(TRADES, "AAPL").at().rows(ALL_TIME).select(TRADES.schema.names)
    assert fetched.rows.equals(stored.slice(0, 6).cast(TRADES.schema))
    assert (fetched.commit, fetched.answered) == (first["X-Commit"], ())


def test_codes_of_a_tape_become_words_and_cancelled_prints_are_left_out():
    rows = [
        print_at(0, z="C", c=["@", "I"]),
        print_at(1, u="canceled"),
        print_at(2, z="A", u="corrected", x="P"),
    ]
    with served(page(rows)) as server:
        fetched = alpaca(server.url, is_complete=True).fetch(request_for())
    found = fetched.rows.select(["exchange", "conditions", "trade_id"]).to_pylist()
    assert [each["exchange"] for each in found] == ["XNAS", "ARCX"]
    assert found[0]["conditions"] == "regular;odd_lot"
    assert fetched.answered == (WINDOW,)


def test_a_side_of_a_quote_with_the_price_zero_is_none():
    rows = [
        {"t": "2025-01-02T14:30:00Z", "ax": "N", "ap": 0, "as": 0, "bx": "N", "bp": 190.5, "bs": 3, "c": None}
    ]
    with served(page(rows, name="quotes")) as server:
        fetched = alpaca(server.url).fetch(request_for(dataset=QUOTES))
    (quote,) = fetched.rows.to_pylist()
    assert (quote["bid"], quote["bid_size"], quote["ask"], quote["ask_size"]) == (190.5, 3.0, None, None)
    assert (quote["timestamp"], quote["exchange"]) == (START_NS, "XNYS")


def test_pairs_of_crypto_have_a_slash():
    pair = SourceRequest(TRADES, Instrument("BTC-USD", instrument_class="crypto"), WINDOW)
    with served(page([print_at(0)], symbol="BTC/USD")) as server:
        assert alpaca(server.url).fetch(pair).rows.num_rows == 1
        assert server.calls[0][0].startswith("/v1beta3/crypto/us/trades?symbols=BTC%2FUSD&")


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"trades":{"AAPL":[{}]},"next_page_token":null}', b'{"trades":{"AAPL":7}}']
)
def test_another_answer_gives_no_rows(body: bytes):
    with served(says(body)) as server, pytest.raises(SourceFailed, match="not Alpaca's"):
        alpaca(server.url).fetch(request_for())


def test_a_token_that_comes_again_gives_no_rows():
    with served(in_turn([page([print_at(n)], f"token{n % 2}") for n in range(9)])) as server:
        with pytest.raises(SourceFailed, match="pages do not end"):
            alpaca(server.url).fetch(request_for())
        assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("limits", "refused"),
    [({"rate": 10, "total": 1}, "do not end"), ({"max_bytes": 500}, "more than 500 bytes")],
)
def test_the_limits_are_of_all_pages(limits: dict[str, float], refused: str):
    with served(in_turn([page([print_at(n)], f"token{n}") for n in range(60)])) as server:
        with pytest.raises(SourceFailed, match=refused):
            alpaca(server.url, limits=QUICK | limits).fetch(request_for())
        assert 1 < len(server.calls) < 60


def test_without_rows_another_source_is_asked_unless_it_is_complete():
    with served(page([])) as server:
        with pytest.raises(NotOffered):
            alpaca(server.url).fetch(request_for())
        assert alpaca(server.url, is_complete=True).fetch(request_for()).answered == (WINDOW,)


def test_what_it_does_not_have_is_not_asked_for():
    source = alpaca("http://127.0.0.1:1")
    future = SourceRequest(TRADES, Instrument("ESZ5", instrument_class="future"), WINDOW)
    assert not source.offers(future)
    assert not source.offers(request_for(dataset=BARS))
    assert source.offers(request_for())
    with pytest.raises(NotOffered):
        source.fetch(future)
