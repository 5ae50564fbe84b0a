"""`exchange=best`: the best bid and offer of all venues, compared with a plain replay."""

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pytest

from store.datasets import QUOTES
from store.instruments import CRYPTO, Instrument
from store.protocol import Append, Dedupe
from store.timestamps import SECOND_NS, parse_timestamp
from tests.api_client import Api, answer, problem
from tests.installation import shared_installation
from tests.stats.market_data.builders import timestamp
from tests.stats.market_data.quotes.best_reference import Row, best_rows
from tests.store.real_data import PRICE_UNIT, midnight_ns, real_frame
from trades.stores import market_store

TREE = "/api/v1/market-data"
MAX_AGE = 90
VENUES = ["XNYS", "ARCX", "XLON", "Q", None]
# The edges of a day of New York (pre- and post-market) and of London, in UTC, and an hour in which both are open.
EDGES = [
    ("2025-01-07T08:55:00Z", "2025-01-07T09:05:00Z"),
    ("2025-01-07T15:00:00Z", "2025-01-07T15:40:00Z"),
    ("2025-01-07T16:27:00Z", "2025-01-07T16:33:00Z"),
    ("2025-01-08T00:56:00Z", "2025-01-08T01:03:00Z"),
    ("2025-01-08T08:58:00Z", "2025-01-08T09:01:00Z"),
]
HOUR = ("2025-01-07T15:10:00Z", "2025-01-07T16:00:00Z")
OPEN = {
    "XLON": [("2025-01-07T08:00:00Z", "2025-01-07T16:30:00Z"), ("2025-01-08T08:00:00Z", "2025-01-08T16:30:00Z")],
    "": [("2025-01-07T09:00:00Z", "2025-01-08T01:00:00Z"), ("2025-01-08T09:00:00Z", "2025-01-09T01:00:00Z")],
}  # fmt: skip


def closes_ns(venue: str | None, time_ns: int) -> int | None:
    for start, end in OPEN.get(venue or "", OPEN[""]):
        if parse_timestamp(start) <= time_ns < parse_timestamp(end):
            return parse_timestamp(end)
    return None


def never(_venue: str | None, _time_ns: int) -> int:
    return 2**62


def random_quotes(chance: random.Random, start: str, end: str, count: int) -> list[Row]:
    """Quotes with ties of price and size, locked and crossed ones, missing sides, zeros, and conditions."""
    start_ns, end_ns = parse_timestamp(start), parse_timestamp(end)
    seconds = sorted(chance.randrange((end_ns - start_ns) // SECOND_NS) for _ in range(count))
    rows = []
    for second in seconds:
        bid = chance.choice([None, 0.0, 10.0, 10.0, 10.01, 10.02])
        ask = chance.choice([0.0, 10.01, 10.02, 10.03, 10.03] + ([None] if bid is not None else []))
        rows.append(
            {
                "time_ns": start_ns + second * SECOND_NS + chance.choice([0, 0, 1]),
                "bid": bid, "bid_size": None if bid is None else chance.choice([None, 0.0, 100.0, 100.0, 200.0]),
                "ask": ask, "ask_size": None if ask is None else chance.choice([None, 0.0, 100.0, 100.0, 200.0]),
                "exchange": chance.choice(VENUES),
                "conditions": chance.choice([None] * 12 + ["regular", "slow_bid;non_firm", "closed_quote"]),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: row["time_ns"])


def store_quotes(symbol: str, rows: list[Row]) -> None:
    columns = {
        field.name: pa.array(
            [row.get("time_ns" if field.name == "timestamp" else field.name) for row in rows], field.type
        )
        for field in QUOTES.schema
    }
    batch = pa.record_batch(columns, schema=QUOTES.schema)
    market_store().append(Append(QUOTES, symbol, batch, "test", Dedupe.NONE))


def answered(row: Row) -> Row:
    """A row of the API as one of the reference."""
    return {
        "time_ns": parse_timestamp(row["timestamp"]),
        **{k: v for k, v in row.items() if k != "timestamp"},
    }


def streamed(api: Api, path: str, **query: Any) -> list[Row]:
    response = api.get(f"{TREE}/{path}/quotes/stream", {"exchange": "best", "format": "ndjson", **query})
    assert response.status_code == 200
    body = b"".join(response.streaming_content)
    return [answered(orjson.loads(line)) for line in body.splitlines()]


def walked(api: Api, path: str, **query: Any) -> Iterator[Row]:
    """All rows of all pages, in their order."""
    cursor: dict[str, Any] = {}
    while True:
        response = api.get(f"{TREE}/{path}/quotes", {"exchange": "best", **query, **cursor})
        assert response.status_code == 200, response.content
        page = answer(response)
        yield from map(answered, page["quotes"])
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


@pytest.fixture(scope="module", params=range(3))
def quoted(
    request: Any, django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, list[Row]]]:
    """Random quotes of ACME, of New York, and what the replay makes of them."""
    chance = random.Random(request.param)
    quotes = [row for start, end in EDGES for row in random_quotes(chance, start, end, 250)]
    with shared_installation(django_db_blocker, tmp_path_factory.mktemp("best") / "store") as api:
        market_store().set_instrument(Instrument("ACME", exchange="XNYS"))
        store_quotes("ACME", quotes)
        rows = best_rows(quotes, max_age_ns=MAX_AGE * SECOND_NS, closes_ns=closes_ns, end_ns=2**62)
        yield api, rows


def within(rows: list[Row], start: str, end: str) -> list[Row]:
    return [row for row in rows if parse_timestamp(start) <= row["time_ns"] < parse_timestamp(end)]


pytestmark = pytest.mark.django_db


def test_every_change_is_that_of_the_replay(quoted):
    api, rows = quoted
    assert streamed(api, "equities/ACME", max_age=f"{MAX_AGE}s") == rows
    assert streamed(api, "equities/ACME", max_age=f"{MAX_AGE}s", sort="desc") == rows[::-1]
    assert {row["state"] for row in rows} == {"normal", "locked", "crossed", "one_sided", "empty"}
    assert all({**a, "time_ns": 0} != {**b, "time_ns": 0} for a, b in pairwise(rows))


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_pages_have_the_rows_of_the_whole(quoted, sort: str):
    api, rows = quoted
    found = list(
        walked(api, "equities/ACME", max_age=f"{MAX_AGE}s", start=HOUR[0], end=HOUR[1], limit=13, sort=sort)
    )
    wanted = within(rows, *HOUR)
    assert found == (wanted if sort == "asc" else wanted[::-1])
    assert len(wanted) > 50


def test_a_range_may_begin_anywhere(quoted):
    api, rows = quoted
    for start, end in [
        *EDGES,
        ("2025-01-07T15:17:33Z", HOUR[1]),
        ("2025-01-08T01:00:00Z", "2025-01-08T01:30:00Z"),
    ]:
        found = list(walked(api, "equities/ACME", max_age=f"{MAX_AGE}s", start=start, end=end))
        assert found == within(rows, start, end)


def test_regular_hours_have_the_changes_in_them(quoted):
    api, rows = quoted
    found = streamed(api, "equities/ACME", max_age=f"{MAX_AGE}s", hours="regular")
    assert found == within(rows, "2025-01-07T14:30:00Z", "2025-01-07T21:00:00Z")


def test_a_session_begins_without_the_quotes_of_the_one_before(quoted):
    _, rows = quoted
    opening = parse_timestamp("2025-01-08T01:00:00Z")
    last = [row for row in rows if row["time_ns"] <= opening][-1]
    assert (last["time_ns"], last["state"]) == (opening, "empty")


def test_reports_have_the_newest_change(quoted):
    api, rows = quoted
    for path in ("equities/ACME/latest", "equities/ACME/snapshot", "equities/latest"):
        query = {"exchange": "best", "max_age": f"{MAX_AGE}s"} | (
            {} if "ACME" in path else {"symbols": "ACME"}
        )
        found = answer(api.get(f"{TREE}/{path}", query))
        quote = found["quote"] if "ACME" in path else found["latest"][0]["quote"]
        assert answered(quote) == rows[-1]


def quote(at: str, venue: str, bid: float | None, ask: float | None, **more: Any) -> Row:
    sizes = {"bid_size": None if bid is None else 1.0, "ask_size": None if ask is None else 1.0}
    return {
        "time_ns": parse_timestamp(f"2025-01-07T{at}Z"),
        "exchange": venue,
        "bid": bid,
        "ask": ask,
        **sizes,
        **more,
    }


def test_a_quote_ends_before_others_of_that_instant(api: Api):
    """The venue whose quote ends sends a new one at this instant, after another venue."""
    opening_ns = parse_timestamp("2025-01-07T15:00:00Z")
    sides = [(0, "XNYS", 10.0, 11.0), (MAX_AGE, "ARCX", 9.0, 10.0), (MAX_AGE, "XNYS", 8.0, 12.0)]
    store_quotes(
        "ACME",
        [
            {"time_ns": opening_ns + second * SECOND_NS, "exchange": venue, "bid": bid, "ask": ask}
            for second, venue, bid, ask in sides
        ],
    )
    found = streamed(api, "equities/ACME", max_age=f"{MAX_AGE}s")
    assert [(row["time_ns"] - opening_ns, row["bid"]) for row in found] == [
        (0, 10.0),
        (MAX_AGE * SECOND_NS, 9.0),
        (2 * MAX_AGE * SECOND_NS, None),
    ]


def test_without_hours_and_max_age_a_quote_stands_for_an_hour(api: Api):
    market_store().set_instrument(Instrument("BTC-USD", instrument_class=CRYPTO))
    quotes = [quote("23:50:00", "A", 10, 12), quote("23:55:00", "B", 11, 13)]
    store_quotes("BTC-USD", [{**row, "conditions": None} for row in quotes])
    rows = streamed(api, "crypto/BTC-USD")
    assert [(row["bid"], row["ask"], timestamp(row["time_ns"])[11:19]) for row in rows] == [
        (10, 12, "23:50:00"), (11, 12, "23:55:00"), (11, 13, "00:50:00"), (None, None, "00:55:00")
    ]  # fmt: skip


def test_a_quote_that_comes_later_changes_the_answer_and_as_of_does_not(api: Api):
    market_store().set_instrument(Instrument("BTC-USD", instrument_class=CRYPTO))
    range_ = {"start": "2025-01-07T15:00:00Z", "end": "2025-01-07T15:30:00Z"}
    store_quotes("BTC-USD", [quote("15:10:00", "A", 10, 12), quote("15:20:00", "A", 10, 13)])
    before = list(walked(api, "crypto/BTC-USD", **range_))
    head = api.get(f"{TREE}/crypto/BTC-USD/quotes", {"exchange": "best", **range_})
    store_quotes("BTC-USD", [quote("14:59:00", "B", 11, 14)])
    after = list(walked(api, "crypto/BTC-USD", **range_))
    assert [row["bid"] for row in before] == [10, 10]
    # The bid of B stands before the range begins.
    assert [(row["bid"], row["bid_exchange"], row["ask"]) for row in after] == [(11, "B", 12), (11, "B", 13)]
    assert head["ETag"] != api.get(f"{TREE}/crypto/BTC-USD/quotes", {"exchange": "best", **range_})["ETag"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"exchange": "XNYS"}, "invalid_parameter"),
        ({"max_age": "5s"}, "conflicting_parameters"),
        ({"exchange": "best", "resolution": "1m"}, "conflicting_parameters"),
        ({"exchange": "best", "max_age": "0"}, "invalid_duration"),
        ({"exchange": "best", "max_age": "25h"}, "invalid_duration"),
    ],
    ids=lambda value: value if isinstance(value, str) else "&".join(f"{k}={v}" for k, v in value.items()),
)
def test_wrong_parameters_are_refused(api: Api, query: dict[str, str], code: str):
    store_quotes("ACME", [quote("15:00:00", "A", 10, 12)])
    response = api.get(f"{TREE}/equities/ACME/quotes", {"last": "5", **query})
    assert problem(response) == (400, code)


def test_codes_of_the_tapes_keep_quotes_out(api: Api):
    market_store().set_instrument(Instrument("ACME", exchange="XNYS"))
    sides = [{"exchange": "ARCX", "bid": 10, "ask": 12, "conditions": ["R"]}]
    sides += [
        {"exchange": "XNYS", "bid": 11, "ask": 12, "conditions": [code]} for code in ("A", "N", "R", "L")
    ]
    rows = [
        {"symbol": "ACME", "timestamp": f"2025-01-07T15:00:0{second}Z", **side}
        for second, side in enumerate(sides)
    ]
    body = orjson.dumps({"quotes": rows})
    response = api.ingest(body, path="/api/v1/quotes/ingest", query="conditions=cta")
    assert response.status_code == 200, response.content
    assert [row["bid"] for row in streamed(api, "equities/ACME")][:5] == [10, 11, 10, 11, 10]


@pytest.mark.system
def test_a_real_day_is_that_of_the_replay(api: Api):
    """IBM's quotes of ten minutes. A row of the file has one side; here it has both sides of its venue."""
    names = ["ms", "bid", "bid_size", "ask", "ask_size", "exchange", "conditions", "suspicious"]
    frame = real_frame("equity/ibm_20131007_tick_quote_partial.csv", names)
    sides = frame[["bid", "bid_size", "ask", "ask_size"]].astype(float)
    for side in ("bid", "ask"):
        sides.loc[sides[side] == 0, [side, f"{side}_size"]] = float("nan")
        sides[side] /= PRICE_UNIT
    sides = sides.groupby(frame["exchange"]).ffill()
    midnight = midnight_ns(2013, 10, 7)
    quotes = [
        {
            "time_ns": midnight + int(ms) * 1_000_000, "exchange": venue,
            "conditions": "suspicious" if suspicious else None,
            **{name: None if pd.isna(value) else value for name, value in row.items()},
        }
        for ms, venue, suspicious, row in zip(
            frame["ms"], frame["exchange"], frame["suspicious"], sides.to_dict("records"), strict=True
        )
    ]  # fmt: skip
    market_store().set_instrument(Instrument("IBM", exchange="XNYS"))
    store_quotes("IBM", quotes)
    close_ns = midnight + 20 * 3_600 * SECOND_NS
    rows = best_rows(quotes, max_age_ns=3_600 * SECOND_NS, closes_ns=lambda *_: close_ns, end_ns=2**62)
    assert len(quotes) > 3_500
    assert streamed(api, "equities/IBM") == rows
