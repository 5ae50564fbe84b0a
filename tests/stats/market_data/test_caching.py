"""What is kept of the tree's answers: shared by all who ask for the same bars, one per representation, never stale."""

import gzip
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
import redis
import time_machine

from stats.caching.response_cache import RESPONSE_CACHE
from tests.api_client import OHLC, Api, answer, make_key
from tests.stats.market_data.builders import EQUITY, HOUR_NS, Market, ingest, tell
from tests.stats.market_data.oracle import SECOND_NS, Cut, bars
from tests.stats.market_data.representations import MEDIA_TYPES, nanoseconds, nested
from tests.stats.market_data.subjects import answered
from tests.store_settings import IS_OF_FILES, stores_at

PATH = f"/api/v1/market-data/equities/{EQUITY}/ohlcv"
MINUTES = {"start": "2025-01-02T09:00:00Z", "end": "2025-01-02T10:00:00Z", "resolution": "1m"}
NINE_NS = 1_735_808_400 * SECOND_NS


class Endpoint(NamedTuple):
    """Bars of the minutes of an hour: the tree's, or those of a dialect."""

    path: str
    query: dict[str, str]


TREE = Endpoint(PATH, MINUTES)
DIALECT = Endpoint(
    OHLC, {"symbol": EQUITY, "start": MINUTES["start"], "end": MINUTES["end"], "interval": "1min"}
)
both = pytest.mark.parametrize("endpoint", [TREE, DIALECT], ids=["tree", "dialect"])
DECODERS = {
    "gzip": gzip.decompress,
    "zstd": lambda body: pa.CompressedInputStream(pa.BufferReader(body), "zstd").read(),
}
VARY = "Accept, Accept-Encoding, Authorization, X-API-Key"


@pytest.fixture
def minutes(empty_market: Market) -> Market:
    """An hour of trades, each twenty seconds."""
    rows = [
        {"time_ns": NINE_NS + second * SECOND_NS, "price": 100.0 + second % 7, "volume": 1.0 + second}
        for second in range(0, 3_600, 20)
    ]
    empty_market.add("trades", EQUITY, rows)
    return empty_market


@pytest.fixture
def market_of_new_york(empty_market: Market) -> Market:
    """A trade in the last hour of a session."""
    tell(empty_market.api, EQUITY, **{"class": "equity", "exchange": "XNYS"})
    empty_market.add("trades", EQUITY, [{"time_ns": NINE_NS + 11 * HOUR_NS, "price": 1.0, "volume": 1.0}])
    return empty_market


def ask(market: Market, headers: Any = None, endpoint: Endpoint = TREE, **changes: Any) -> Any:
    response = market.api.get(endpoint.path, {**endpoint.query, **changes}, **(headers or {}))
    assert response.status_code == 200, response.content
    return response


def wanted(market: Market, start_ns: int = NINE_NS, end_ns: int = NINE_NS + HOUR_NS) -> list[Any]:
    rows = market.rows["trades", EQUITY]
    return [answered(row, None) for row in bars(rows, Cut("1m"), start_ns, end_ns)]


def forget_process_memory() -> None:
    RESPONSE_CACHE.local.clear()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2025-01-02T09:00:01Z", "2025-01-02T09:59:59Z"),
        ("2025-01-02T09:00:59.999999999Z", "2025-01-02T09:59:00.000000001Z"),
        ("2025-01-02T04:00:00-05:00", "2025-01-02T15:30:00+05:30"),
        ("1735808401", "1735811999000"),
    ],
)
@both
def test_ranges_of_the_same_bars_share_a_cached_answer(
    minutes: Market, endpoint: Endpoint, start: str, end: str
):
    first, second = ask(minutes, endpoint=endpoint), ask(minutes, endpoint=endpoint, start=start, end=end)
    assert (first["X-Cache"], second["X-Cache"]) == ("miss", "hit")
    assert (second.content, second["ETag"]) == (first.content, first["ETag"])


SHARED = [
    {"end": "2025-01-02T10:00:00.000000001Z"},
    {"start": "2025-01-02T08:59:59.999999999Z"},
    {"limit": "7"},
]


@pytest.mark.parametrize(
    ("endpoint", "changes"),
    [
        *((endpoint, each) for endpoint in (TREE, DIALECT) for each in SHARED), (DIALECT, {"interval": "5min"}), (TREE, {"resolution": "2m"}),
        (TREE, {"sort": "desc"}), (TREE, {"fields": "close"}), (TREE, {"time": "ms"}), (TREE, {"format": "csv"}),
        (TREE, {"format": "columnar"}), (TREE, {"partial": "exclude"}),
    ],
    ids=str,
)  # fmt: skip
def test_a_parameter_that_changes_the_answer_makes_another_entry(
    minutes: Market, endpoint: Endpoint, changes: dict[str, str]
):
    first, second = ask(minutes, endpoint=endpoint), ask(minutes, endpoint=endpoint, **changes)
    assert second["X-Cache"] == "miss"
    assert second["ETag"] != first["ETag"]


@both
def test_answers_have_cache_headers(minutes: Market, endpoint: Endpoint):
    response = ask(minutes, endpoint=endpoint)
    assert response["Cache-Control"] == "private, no-cache"
    assert response["Vary"] == VARY
    assert response["ETag"].startswith('"')
    assert (response["X-Cache"], response["Age"]) == ("miss", "0")
    assert response["X-Commit"].startswith("trades=1-")
    assert "X-As-Of" not in response


@pytest.mark.parametrize("encoding", [None, "gzip", "zstd"])
@pytest.mark.parametrize("name", MEDIA_TYPES)
def test_a_current_etag_is_304_without_a_body(minutes: Market, name: str, encoding: str | None):
    headers = {"accept": MEDIA_TYPES[name]} | ({} if encoding is None else {"accept_encoding": encoding})
    first = ask(minutes, headers)
    again = minutes.api.get(PATH, MINUTES, if_none_match=first["ETag"], **headers)
    assert (again.status_code, again.content, again["X-Cache"]) == (304, b"", "revalidated")
    assert all(again[name] == first[name] for name in ("ETag", "Cache-Control", "Vary", "X-Commit"))
    assert "Content-Type" not in again


@both
@pytest.mark.parametrize("form", ["{0}", "W/{0}", '"x", {0}', "*"])
def test_a_condition_may_be_weak_or_name_several_tags(minutes: Market, endpoint: Endpoint, form: str):
    condition = form.format(ask(minutes, endpoint=endpoint)["ETag"])
    again = minutes.api.get(endpoint.path, endpoint.query, if_none_match=condition)
    assert (again.status_code, again.content, again["X-Cache"]) == (304, b"", "revalidated")
    assert "X-RateLimit-Remaining" in again


def test_each_representation_has_a_tag_of_its_own(minutes: Market):
    tags = {
        ask(minutes, {"accept": media_type, "accept_encoding": encoding})["ETag"]
        for media_type in MEDIA_TYPES.values()
        for encoding in ("identity", "gzip", "zstd")
    }
    assert len(tags) == 3 * len(MEDIA_TYPES)


@pytest.mark.parametrize("encoding", DECODERS)
@pytest.mark.parametrize("name", MEDIA_TYPES)
def test_a_compressed_answer_is_cached_compressed(project_redis, minutes: Market, name: str, encoding: str):
    plain = ask(minutes, {"accept": MEDIA_TYPES[name]})
    packed = {"accept": MEDIA_TYPES[name], "accept_encoding": encoding}
    first = ask(minutes, packed)
    forget_process_memory()
    second = ask(minutes, packed)
    assert (first["Content-Encoding"], second["Content-Encoding"]) == (encoding, encoding)
    assert "Content-Encoding" not in plain
    assert (first["X-Cache"], second["X-Cache"], second.content) == ("miss", "hit", first.content)
    assert DECODERS[encoding](second.content) == plain.content
    assert second["Content-Type"] == plain["Content-Type"]
    assert second.headers.get("X-Original-Size") == plain.headers.get("X-Original-Size")
    with redis.Redis(unix_socket_path=str(project_redis.socket)) as client:
        held = [client.get(key) for key in client.scan_iter(match=f"mktdata:{EQUITY}:*")]
    assert any(first.content in value for value in held)


@pytest.mark.parametrize(
    ("accepted", "used"),
    [("gzip, zstd", {"gzip", "zstd"}), ("br", {None}), ("identity", {None}), ("gzip;q=0, zstd", {"zstd"}), ("*;q=0", {None}), ("GZIP", {"gzip"})],
)  # fmt: skip
def test_an_encoding_is_used_only_if_it_is_accepted(minutes: Market, accepted: str, used: set[str | None]):
    assert ask(minutes, {"accept_encoding": accepted}).headers.get("Content-Encoding") in used


def test_a_late_trade_is_seen_at_once(minutes: Market):
    first = ask(minutes)
    minutes.add("trades", EQUITY, [{"time_ns": NINE_NS + 1, "price": 999.0, "volume": 5.0}])
    second = ask(minutes)
    assert second["X-Cache"] == "miss"
    assert second["ETag"] != first["ETag"]
    assert nested(answer(second)["bars"]) == wanted(minutes)


@both
def test_a_trade_of_another_date_keeps_the_cached_answer(minutes: Market, endpoint: Endpoint):
    first = ask(minutes, endpoint=endpoint)
    minutes.add("trades", EQUITY, [{"time_ns": NINE_NS + 48 * HOUR_NS, "price": 1.0, "volume": 1.0}])
    second = ask(minutes, endpoint=endpoint)
    assert (second["X-Cache"], second["ETag"], second.content) == ("hit", first["ETag"], first.content)
    assert second["X-Commit"] != first["X-Commit"]


@pytest.mark.parametrize(
    ("dataset", "changes", "row"),
    [
        ("bars", {}, {"resolution": "1m", "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}),
        (
            "corporate_actions",
            {"adjustment": "split"},
            {"time_ns": NINE_NS + 24 * HOUR_NS, "kind": "split", "ratio": 2.0},
        ),
    ],
)
def test_every_input_of_an_answer_changes_its_etag(minutes: Market, dataset: str, changes: Any, row: Any):
    changes = {**changes, "end": "2025-01-02T10:10:00Z"}
    first = ask(minutes, **changes)
    ingest(minutes.api, dataset, EQUITY, [{"time_ns": NINE_NS + HOUR_NS, **row}])
    second = ask(minutes, **changes)
    assert second["X-Cache"] == "miss"
    assert second.content != first.content


def test_a_changed_instrument_changes_answers_at_once(minutes: Market):
    first = ask(minutes, resolution="1d", hours="all")
    tell(minutes.api, EQUITY, exchange="XNYS")
    second = ask(minutes, resolution="1d", hours="all")
    assert answer(first)["bars"][0]["timestamp"] == "2025-01-02T00:00:00Z"
    assert answer(second)["bars"][0]["timestamp"] == "2025-01-02T05:00:00Z"


def test_another_bar_policy_changes_answers_at_once(minutes: Market):
    print_ = {"time_ns": NINE_NS + 5, "price": 500.0, "volume": 1.0, "conditions": ["odd_lot"]}
    minutes.add("trades", EQUITY, [print_])
    highest = []
    for policy in ("all", "us_equities", "all"):
        tell(minutes.api, EQUITY, bar_policy=policy)
        highest.append(answer(ask(minutes))["bars"][0]["high"])
    assert highest == [500, 106, 500]


def test_only_an_old_as_of_makes_an_answer_immutable(minutes: Market):
    assert ask(minutes, as_of="2100-01-01")["Cache-Control"] == "private, no-cache"
    past = ask(minutes, as_of="2026-01-01")
    assert past["Cache-Control"].startswith("private, max-age=")
    assert past["Cache-Control"].endswith(", immutable")
    assert past["X-As-Of"] == "2026-01-01T00:00:00Z"


def test_an_answer_of_a_symbol_with_aliases_is_not_immutable(minutes: Market):
    tell(minutes.api, EQUITY, aliases=["OTHER"])
    assert ask(minutes, as_of="2026-01-01")["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("endpoint", "days"), [(TREE, {"resolution": "1d"}), (DIALECT, {"interval": "1d"})], ids=str
)
def test_an_answer_up_to_the_future_is_not_cached(minutes: Market, endpoint: Endpoint, days: dict[str, str]):
    query = {"start": "2025-01-02", "end": "2034-01-01", **days}
    first, second = (ask(minutes, endpoint=endpoint, **query) for _ in range(2))
    assert (first["X-Cache"], second["X-Cache"], first.content) == ("miss", "miss", second.content)


@pytest.mark.parametrize("hours", ["all", "regular", "extended"])
@pytest.mark.parametrize("resolution", ["1h", "1d"])
def test_a_bar_becomes_final_when_its_interval_ends(market_of_new_york: Market, hours: str, resolution: str):
    """The ends of the hour in which the session closes, of the session, of what is behind it, of the date."""
    query: dict[str, Any] = {
        "start": "2025-01-02T20:00:00Z",
        "end": "2025-01-02T20:30:00Z",
        "resolution": resolution,
        "hours": hours,
    }
    ends = {"1h": "21:00", "all": "05:00", "regular": "21:00", "extended": "01:00"}
    end = ends["1h" if resolution == "1h" else hours]
    day = "2025-01-02" if end == "21:00" else "2025-01-03"
    found = []
    for now_ns in (nanoseconds(f"{day}T{end}:00Z") - SECOND_NS, nanoseconds(f"{day}T{end}:00Z")):
        with time_machine.travel(now_ns / SECOND_NS, tick=False):
            found += [
                (bar["final"], response["X-Cache"])
                for response in [ask(market_of_new_york, **query)]
                for bar in answer(response)["bars"]
            ]
    assert found == [(False, "miss"), (True, "miss")]


def test_keys_are_readable_and_scannable_by_symbol(project_redis, minutes: Market):
    ask(minutes)
    with redis.Redis(unix_socket_path=str(project_redis.socket)) as client:
        (key,) = client.scan_iter(match=f"mktdata:{EQUITY}:*")
        assert key.startswith(f"mktdata:{EQUITY}:".encode())
        for part in (
            b"resolution=1m",
            b"range.start_ns=1735808400000000000",
            b"range.end_ns=1735812000000000000",
            b"trades=1-",
        ):
            assert part in key
        assert 6 * 86_400 < client.ttl(key) <= 7 * 86_400


@both
def test_callers_share_cached_answers(minutes: Market, endpoint: Endpoint):
    ask(minutes, endpoint=endpoint)
    other = Market(Api(make_key(scopes=("market:read",))))
    assert ask(other, endpoint=endpoint)["X-Cache"] == "hit"


@pytest.mark.parametrize(
    ("spelling", "path"),
    [({"sort": "asc"}, PATH), ({"hours": "all", "adjustment": "raw", "partial": "include"}, PATH), ({}, PATH.replace(EQUITY, EQUITY.lower()))],
    ids=str,
)  # fmt: skip
def test_spellings_of_a_query_share_answers_and_their_cursors(
    minutes: Market, spelling: dict[str, str], path: str
):
    query = {**MINUTES, "limit": "10"}
    first, second = minutes.api.get(path, {**query, **spelling}), minutes.api.get(PATH, query)
    assert (first["X-Cache"], second["X-Cache"]) == ("miss", "hit")
    cursor = answer(second)["next_cursor"]
    pages = [minutes.api.get(path, {**query, **given, "cursor": cursor}) for given in (spelling, {})]
    assert [response.status_code for response in pages] == [200, 200]


@pytest.mark.skipif(not IS_OF_FILES, reason="only a store of files is a folder")
def test_no_answer_outlives_a_restore(project_redis, settings: Any, tmp_path: Path, minutes: Market):
    """A restored store has the same commits. Answers from before may lack rows that had been lost."""
    before = ask(minutes)
    shutil.copytree(settings.MARKET_STORES["default"]["OPTIONS"]["path"], tmp_path / "restored")
    settings.MARKET_STORES = stores_at(tmp_path / "restored")
    after = ask(minutes, {"If-None-Match": before["ETag"]})
    assert (before["X-Cache"], after["X-Cache"]) == ("miss", "miss")
    assert before["X-Commit"] == after["X-Commit"]
    assert before.content == after.content
