"""An `as_of` before anything was known of a symbol is refused with the first instant, and not by its class."""

import time

import orjson
import pytest

from store.timestamps import format_timestamp, parse_timestamp
from tests.api_client import Api, answer, problem, trade

TREE = "/api/v1/market-data"
THEN = "2020-01-01T00:00:00Z"
READS = [
    *(
        f"{TREE}/crypto/NEW-USD/{each}"
        for each in ("ohlcv?last=5&resolution=1m", "trades?last=5", "latest", "snapshot")
    ),
    *(
        f"{TREE}/crypto/NEW-USD/{each}"
        for each in ("quotes?last=5", "gaps?resolution=1m", "coverage", "ohlcv?last=5")
    ),
    f"{TREE}/crypto/trades?symbols=NEW-USD&last=5",
    f"{TREE}/crypto/latest?symbols=NEW-USD",
]


@pytest.fixture
def first_ns(api: Api) -> int:
    """Returns when NEW-USD was declared, at the latest."""
    terms = orjson.dumps({"class": "crypto", "currency": "USD"})
    assert api.call("PUT", "/api/v1/instruments/NEW-USD", terms).status_code == 200
    declared_ns = time.time_ns()
    assert api.ingest(trade(symbol="NEW-USD", timestamp="2019-06-03T15:00:00Z")).status_code == 200
    return declared_ns


@pytest.mark.parametrize("path", READS)
def test_nothing_was_known_then(api: Api, first_ns: int, path: str):
    response = api.get(f"{path}{'&' if '?' in path else '?'}as_of={THEN}")
    assert problem(response) == (404, "not_known_then"), response.content
    message = answer(response)["message"]
    begin = f"nothing was known of NEW-USD at {THEN}: it was first declared or stored at "
    first, _, rest = message.removeprefix(begin).partition(";")
    assert (message.startswith(begin), rest) == (True, " send a later as_of")
    assert 0 < first_ns - parse_timestamp(first) < 60 * 10**9


@pytest.mark.parametrize("read", ["ohlcv?last=5&resolution=1m", "trades?last=5", "latest", "coverage"])
def test_rows_that_are_older_than_their_declaration_are_of_its_class_and_of_the_one_before(
    api: Api, read: str
):
    assert api.ingest(trade(symbol="NEW-USD", timestamp="2019-06-03T15:00:00Z")).status_code == 200
    between = format_timestamp(time.time_ns())
    terms = orjson.dumps({"class": "crypto", "currency": "USD"})
    assert api.call("PUT", "/api/v1/instruments/NEW-USD", terms).status_code == 200
    query = f"{read}{'&' if '?' in read else '?'}as_of={between}"
    assert api.get(f"{TREE}/crypto/NEW-USD/{query}").status_code == 200
    assert api.get(f"{TREE}/equities/NEW-USD/{query}").status_code == 200
    assert problem(api.get(f"{TREE}/futures/NEW-USD/{query}")) == (404, "wrong_class")


def test_from_the_first_instant_on_the_class_counts(api: Api, first_ns: int):
    now = format_timestamp(first_ns)
    assert api.get(f"{TREE}/crypto/NEW-USD/ohlcv?last=5&as_of={now}").status_code == 200
    assert problem(api.get(f"{TREE}/equities/NEW-USD/ohlcv?last=5&as_of={now}")) == (404, "wrong_class")
    assert problem(api.get(f"{TREE}/crypto/NOPE/ohlcv?last=5&as_of={THEN}")) == (404, "unknown_symbol")
