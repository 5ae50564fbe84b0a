"""Bars over HTTP: which there are, what they hold, and what is refused."""

from collections.abc import Iterator

import pytest

from stats import ohlc as bars
from tests.api_client import OHLC, Api, answer, problem, trade
from tests.installation import shared_installation
from trades.batches.sample_rows import SEED_TRADES


@pytest.fixture(scope="module")
def seeded(django_db_setup, django_db_blocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A caller before the stored seed, for tests that only read."""
    path = tmp_path_factory.mktemp("seeded") / "store"
    with shared_installation(django_db_blocker, path) as api:
        api.ingest(*SEED_TRADES)
        yield api


def at(time: str, price: float = 10, volume: float = 1, **more: object) -> dict[str, object]:
    """A trade of AAPL on 2 January 2025."""
    return trade(timestamp=f"2025-01-02T{time}Z", price=price, volume=volume, **more)


def starts(bars: list[dict[str, object]]) -> list[object]:
    return [bar["timestamp"] for bar in bars]


def test_the_seed_makes_two_bars(api):
    api.ingest(*SEED_TRADES)
    assert answer(api.ohlc(symbol="AAPL")) == {
        "symbol": "AAPL",
        "interval": "1min",
        "data": [
            {"timestamp": "2025-01-02T14:30:00Z", "open": 189.98, "high": 190.02, "low": 189.98, "close": 190.02, "volume": 350},
            {"timestamp": "2025-01-02T14:31:00Z", "open": 190.1, "high": 190.1, "low": 190.1, "close": 190.1, "volume": 75},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("14:30:00", "14:32:00", ["14:30", "14:31"]),
        ("14:30:59", "14:31:00", ["14:30"]),
        ("14:30:59", "14:31:00.000000001", ["14:30", "14:31"]),
        ("14:31:00", "14:31:01", ["14:31"]),
        ("14:31:59.999999999", None, ["14:31", "14:32"]),
        (None, "14:31:00", ["14:30"]),
        (None, None, ["14:30", "14:31", "14:32"]),
    ],
)
def test_range_is_extended_to_whole_bars_and_excludes_its_end(api, start, end, expected):
    api.ingest(at("14:30:30", volume=3), at("14:31:30", volume=3), at("14:32:30", volume=3))
    given = {"start": start, "end": end}
    bars = api.bars(**{name: f"2025-01-02T{time}Z" for name, time in given.items() if time})
    assert starts(bars) == [f"2025-01-02T{time}:00Z" for time in expected]
    assert {bar["volume"] for bar in bars} == {3}


@pytest.mark.parametrize(
    "start",
    [
        "2025-01-02T14:31:00Z", "2025-01-02T14:31:00", "2025-01-02 14:31:00", "2025-01-02T14:31Z", "2025-01-02t14:31:00z",
        "2025-01-02T09:31:00-05:00", "2025-01-02T20:01:00+05:30", "2025-01-02T14:31:00.000000000Z", "1735828260", "1735828260000",
        "1735828260000000", "1735828260000000000",
    ],
)  # fmt: skip
def test_a_time_may_be_written_in_many_ways(api, start):
    api.ingest(at("14:30:30"), at("14:31:30"))
    assert starts(api.bars(start=start)) == ["2025-01-02T14:31:00Z"]
    assert starts(api.bars(end=start)) == ["2025-01-02T14:30:00Z"]


def test_a_date_alone_is_its_midnight(api):
    api.ingest(
        trade(timestamp="2025-01-01T23:59:59Z"), at("00:00:00"), trade(timestamp="2025-01-03T00:00:00Z")
    )
    assert starts(api.bars(start="2025-01-02", end="2025-01-03")) == ["2025-01-02T00:00:00Z"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "missing_parameter"),
        ("interval=1min", 400, "missing_parameter"),
        ("symbol=", 400, "empty_parameter"),
        ("symbol=AAPL&symbol=AAPL", 400, "repeated_parameter"),
        ("symbol=../x", 422, "invalid_symbol"),
        ("symbol=AAPL%00", 422, "invalid_symbol"),
        ("symbol=%ff%fe", 422, "invalid_symbol"),
        ("symbol=" + "A" * 33, 422, "invalid_symbol"),
        ("symbol=../x&start=soon", 400, "invalid_timestamp"),
        ("symbol=../x&interval=2min", 422, "invalid_symbol"),
        ("symbol=NOPE", 404, "unknown_symbol"),
        ("symbol=AAPL&start=2030-01-01", 404, "no_data"),
        ("symbol=AAPL&start=2025-01-02T20:00:00Z", 404, "no_data"),
        ("symbol=AAPL&end=1999-01-01", 404, "no_data"),
        ("symbol=AAPL&interval=2min", 422, "unknown_interval"),
        ("symbol=AAPL&start=1899-12-31", 400, "timestamp_out_of_range"),
        ("symbol=AAPL&start=2025-01-03&end=2025-01-02", 400, "invalid_range"),
        ("symbol=AAPL&limit=0", 400, "invalid_limit"),
        ("symbol=AAPL&sybmol=AAPL", 400, "unknown_parameter"),
        ("symbol=AAPL&as_of=soon", 400, "invalid_timestamp"),
    ],
)
def test_unanswerable_query_is_refused(seeded, query, status, code):
    for path in (OHLC, "/v1/stats/ohlc/"):
        assert problem(seeded.get(f"{path}?{query}")) == (status, code)


def test_the_nearest_parameter_is_named(api):
    assert "did you mean symbol?" in answer(api.get(f"{OHLC}?symbl=AAPL"))["message"]
    response = answer(api.get(f"{OHLC}?symbol=AAPL&start=x&limit=0"))
    assert {error["path"] for error in response["errors"]} == {"start", "limit"}


def test_unencoded_plus_in_an_offset_is_400(api):
    api.ingest(*SEED_TRADES)
    assert problem(api.get(f"{OHLC}?symbol=AAPL&start=2025-01-02T14:31:00+05:00")) == (
        400,
        "invalid_timestamp",
    )


def test_too_many_bars_is_400_with_advice(api, monkeypatch):
    monkeypatch.setattr(bars, "BARS_LIMIT", 50)
    rows = [trade(symbol="MANY", timestamp=f"2025-01-02T14:{minute:02}:00Z") for minute in range(51)]
    api.ingest(*rows[:-1])
    assert len(api.bars("MANY")) == 50
    api.ingest(rows[-1])
    response = api.ohlc(symbol="MANY")
    assert problem(response) == (400, "range_too_large")
    assert "stream" in answer(response)["message"]
    assert len(api.bars("MANY", limit=40)) == 40
    assert len(api.bars("MANY", interval="5min")) == 11


@pytest.mark.parametrize("path", [OHLC, OHLC + "/", "/v1/stats/ohlc", "/v1/stats/ohlc/"])
def test_both_prefixes_answer_the_same_with_and_without_a_slash(api, path):
    api.ingest(*SEED_TRADES)
    response = api.ohlc(symbol="AAPL", path=path)
    reference = api.ohlc(symbol="AAPL")
    assert (response.content, response["ETag"]) == (reference.content, reference["ETag"])


def test_head_has_the_headers_of_get(api):
    api.ingest(*SEED_TRADES)
    got, head = api.ohlc(symbol="AAPL"), api.call("HEAD", f"{OHLC}?symbol=AAPL")
    assert (head.status_code, head.content) == (200, b"")
    assert all(head[name] == got[name] for name in ("ETag", "X-Commit", "Content-Type", "Vary"))
