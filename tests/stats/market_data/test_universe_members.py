"""`/universes`, `/members`, and `symbols=@NAME`: who belongs, and answers that follow the changes."""

import random
import re
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
import time_machine

from stats.market_data.reports import parse_report_query, report_snapshot
from store.instruments import Instrument
from store.rows.knowledge import LIVE_NS
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, format_timestamp, parse_timestamp
from tests.api_client import Api, answer, problem, trade
from tests.stats.market_data import universe_oracle
from tests.stats.market_data.universe_oracle import Change
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.system]
TREE = "/api/v1/market-data"
MEMBERS = f"{TREE}/universes/X/members"
BEGIN = parse_timestamp("2024-01-01")
SETTLE_NS = 2 * SECOND_NS


def send(api: Api, *changes: tuple[str, str, str], universe: str = "X") -> None:
    rows = [
        {"timestamp": time, "symbol": universe, "member": member, "action": action}
        for time, member, action in changes
    ]
    response = api.call("POST", "/api/v1/universe-changes/ingest", orjson.dumps({"universe_changes": rows}))
    assert response.status_code == 200, response.content


def row_of(change: Change) -> tuple[str, str, str]:
    return format_timestamp(change.time_ns), change.member, "add" if change.joins else "remove"


def traded(api: Api, symbol: str, *times: str) -> None:
    response = api.ingest(
        *(trade(symbol=symbol, timestamp=time, price=1 + n) for n, time in enumerate(times))
    )
    assert response.status_code == 200, response.content


def get(api: Api, path: str, **params: str) -> Any:
    response = api.get(path, params)
    assert response.status_code == 200, response.content
    return answer(response)


def symbols(api: Api, path: str = f"{TREE}/equities/trades", universe: str = "X", **params: str) -> Any:
    return get(api, path, symbols=f"@{universe}", **params)["symbols"]


@pytest.fixture
def market(api: Api) -> Api:
    """A and B from 2 January; on 10 January C for B. Each has a trade on the 3rd and one on the 12th."""
    send(api, ("2024-01-02", "A", "add"), ("2024-01-02", "B", "add"))
    send(api, ("2024-01-10", "B", "remove"), ("2024-01-10", "C", "add"))
    for symbol in "ABC":
        traded(api, symbol, "2024-01-03T15:00:00Z", "2024-01-12T15:00:00Z")
    return api


def test_members_are_those_of_the_oracle_at_every_instant(api: Api):
    rng = random.Random(5)
    changes = {
        (time_ns, member): Change(time_ns, member, rng.random() < 0.6)
        for time_ns, member in [
            (BEGIN + rng.randrange(40) * DAY_NS, rng.choice("ABCDEFG")) for _ in range(90)
        ]
    }
    listed = list(changes.values())
    rng.shuffle(listed)
    for part in (listed[:40], listed[40:]):
        send(api, *map(row_of, part))
    for day in range(-1, 42, 2):
        for at_ns in (BEGIN + day * DAY_NS, BEGIN + day * DAY_NS - 1):
            rows = get(api, MEMBERS, at=format_timestamp(at_ns))["members"]
            found = {row["member"]: parse_timestamp(row["since"]) for row in rows}
            assert found == universe_oracle.members_at(listed, at_ns)
            assert [(row["since"], row["member"]) for row in rows] == sorted(
                (row["since"], row["member"]) for row in rows
            )
    for _ in range(20):
        start, end = sorted(BEGIN + place * DAY_NS for place in rng.sample(range(42), 2))
        wanted = universe_oracle.members_within(listed, start, end)
        window = {"start": format_timestamp(start), "end": format_timestamp(end)}
        response = api.get(f"{TREE}/equities/ohlcv", {"symbols": "@X", **window})
        if wanted:
            assert answer(response)["symbols"] == wanted
        else:
            assert problem(response) == (404, "no_data")


def test_members_of_then_are_those_of_the_oracle(api: Api):
    """Changes are announced, sent live or too late, or are imported long after."""
    rng = random.Random(6)
    listed: dict[tuple[int, str], Change] = {}
    for batch in range(12):
        sent_ns = BEGIN + batch * 40 * MINUTE_NS
        times = [(sent_ns - rng.randrange(-60, 90) * MINUTE_NS, rng.choice("ABCDEFG")) for _ in range(5)]
        new = {}
        for time_ns, member in times:
            if (time_ns, member) not in listed:
                known_ns = sent_ns if sent_ns - time_ns <= LIVE_NS else time_ns
                new[time_ns, member] = Change(time_ns, member, rng.random() < 0.5, known_ns)
        with time_machine.travel(sent_ns / 1e9, tick=False):
            send(api, *map(row_of, new.values()))
        listed |= new
    changes = list(listed.values())
    places = [BEGIN + rng.randrange(-90, 540) * MINUTE_NS - rng.randrange(4) * SECOND_NS for _ in range(40)]
    for at_ns in places:
        rows = get(api, MEMBERS, at=format_timestamp(at_ns), knowledge="then")["members"]
        found = {row["member"]: parse_timestamp(row["since"]) for row in rows}
        assert found == universe_oracle.members_at(changes, at_ns, SETTLE_NS)
    for pair in pairwise(places):
        start_ns, end_ns = sorted(pair)
        window = {"start": format_timestamp(start_ns), "end": format_timestamp(end_ns)}
        query = {"symbols": "@X", "knowledge": "then", "resolution": "1m", **window}
        found_symbols = answer(api.get(f"{TREE}/equities/ohlcv", query)).get("symbols", [])
        assert found_symbols == universe_oracle.members_within(changes, start_ns, end_ns, SETTLE_NS)


def test_a_late_change_counts_in_a_range_from_when_it_was_known(api: Api):
    with time_machine.travel("2024-01-02T00:00:00Z", tick=False):
        send(api, ("2024-01-01T23:30", "GONE", "add"))
    with time_machine.travel("2024-01-05T09:30:00Z", tick=False):
        send(api, ("2024-01-05T09:00", "LATE", "add"), ("2024-01-05T09:00", "GONE", "remove"))
    query = {"knowledge": "then", "resolution": "1h"}
    path = f"{TREE}/equities/ohlcv"
    assert symbols(api, path, start="2024-01-05T08:00", end="2024-01-08", **query) == ["GONE", "LATE"]
    assert symbols(api, path, start="2024-01-05T09:15", end="2024-01-08", **query) == ["GONE", "LATE"]
    assert symbols(api, path, start="2024-01-05T09:15", end="2024-01-05T09:20", **query) == ["GONE"]
    assert symbols(api, path, start="2024-01-05T10:00", end="2024-01-08", **query) == ["LATE"]


def test_members_have_pages_formats_and_an_etag(market: Api):
    response = market.get(MEMBERS, {"at": "2024-01-11"})
    assert answer(response)["members"] == [
        {"member": "A", "since": "2024-01-02T00:00:00Z"},
        {"member": "C", "since": "2024-01-10T00:00:00Z"},
    ]
    assert response["X-Commit"].startswith("universe_changes=2-")
    assert market.get(MEMBERS, {"at": "2024-01-11"}, if_none_match=response["ETag"]).status_code == 304
    first = get(market, MEMBERS, at="2024-01-11", limit="1")
    assert first["total_estimate"] == 2
    second = get(market, MEMBERS, at="2024-01-11", limit="1", cursor=first["next_cursor"])
    assert [page["members"][0]["member"] for page in (first, second)] == ["A", "C"]
    newest = get(market, MEMBERS, at="2024-01-11", sort="desc", fields="member")["members"]
    assert newest == [{"member": "C"}, {"member": "A"}]
    table = market.get(f"{MEMBERS}.csv", {"at": "2024-01-09"}).content.decode()
    assert table.split() == ["member,since", "A,2024-01-02T00:00:00.0Z", "B,2024-01-02T00:00:00.0Z"]
    assert get(market, MEMBERS, at="2023-12-31")["members"] == []
    several = get(market, f"{TREE}/universes/members", symbols="X", at="2024-01-09")["members"]
    assert [(row["symbol"], row["member"]) for row in several] == [("X", "A"), ("X", "B")]


def test_members_without_an_instant_are_those_of_now(market: Api, clock: Any):
    assert [row["member"] for row in get(market, MEMBERS)["members"]] == ["A", "C"]
    before = clock()
    send(market, ("2024-01-20", "D", "add"), ("2100-01-01", "E", "add"))
    assert [row["member"] for row in get(market, MEMBERS)["members"]] == ["A", "C", "D"]
    assert [row["member"] for row in get(market, MEMBERS, as_of=before)["members"]] == ["A", "C"]
    first = get(market, MEMBERS, limit="1")
    send(market, ("2024-01-03", "AA", "add"))
    rest = get(market, MEMBERS, limit="5", cursor=first["next_cursor"])["members"]
    assert [row["member"] for row in rest] == ["C", "D"]


def test_the_list_of_universes(market: Api, clock: Any):
    before = clock()
    send(market, ("2024-01-20", "D", "add"), universe="Y")
    listed = get(market, f"{TREE}/universes")["universes"]
    assert [(row["symbol"], row["members"], row["changes"]) for row in listed] == [("X", 2, 4), ("Y", 1, 1)]
    assert (listed[0]["first"], listed[0]["last"]) == ("2024-01-02T00:00:00Z", "2024-01-10T00:00:00Z")
    (then,) = get(market, f"{TREE}/universes/", as_of=before, at="2024-01-01")["universes"]
    assert (then["symbol"], then["members"]) == ("X", 0)
    response = market.get(f"{TREE}/universes")
    assert re.fullmatch(
        r"universe_changes=\d+-[0-9a-f]+", response["X-Commit"]
    )  # however many universes there are
    later = market.get(f"{TREE}/universes", {"at": "2024-02-01"})
    assert [row["members"] for row in answer(later)["universes"]] == [2, 1]
    assert market.get(f"{TREE}/universes", {}, if_none_match=response["ETag"]).status_code == 304


def test_the_members_stand_for_symbols(market: Api):
    trades = f"{TREE}/equities/trades"
    assert symbols(market, end="2024-01-09", last="1") == ["A", "B"]
    assert symbols(market, last="1") == ["A", "C"]
    assert symbols(market, start="2024-01-03T15:00", end="2024-01-03T15:30") == ["A", "B"]
    # All that were members at some time of the range.
    query = {"start": "2024-01-09", "end": "2024-01-13", "resolution": "1d"}
    assert symbols(market, f"{TREE}/equities/ohlcv", **query) == ["A", "B", "C"]
    # One that joins at the end of a range does not belong to it.
    assert symbols(market, f"{TREE}/equities/ohlcv", **query | {"end": "2024-01-10"}) == ["A", "B"]
    named = get(market, trades, symbols="A,B", end="2024-01-09", last="2")
    found = get(market, trades, symbols="@x", end="2024-01-09", last="2")
    assert found == named
    for report in ("latest", "snapshot"):
        path = f"{TREE}/equities/{report}"
        assert get(market, path, symbols="@X") == get(market, path, symbols="A,C")


def test_as_of_knows_the_members_of_then(market: Api, clock: Any):
    before = clock()
    send(market, ("2024-01-11", "D", "add"))
    assert symbols(market, last="1") == ["A", "C", "D"]
    assert symbols(market, last="1", as_of=before) == ["A", "C"]
    assert symbols(market, f"{TREE}/equities/latest", as_of=before) == ["A", "C"]


@pytest.mark.parametrize(
    "path", [f"{TREE}/equities/snapshot?symbols=@X", f"{TREE}/equities/ohlcv?symbols=@X&last=1"]
)
def test_answers_follow_the_changes_of_members_and_of_their_rows(market: Api, path: str):
    response = market.get(path)
    assert answer(response)["symbols"] == ["A", "C"]
    tag = response["ETag"]
    assert market.get(path)["X-Cache"] == "hit"
    assert market.get(path, {}, if_none_match=tag).status_code == 304
    names = [part.split("=")[0] for part in response["X-Commit"].split(", ")]
    assert names == ["universe_changes:X", "members:X"]
    send(market, ("2024-01-20", "C", "remove"))
    changed = market.get(path)
    assert answer(changed)["symbols"] == ["A"]
    assert changed["ETag"] != tag
    traded(market, "A", "2024-01-15T15:00:00Z")
    again = market.get(path)
    assert again["ETag"] != changed["ETag"]
    assert again["X-Commit"] != changed["X-Commit"]


def test_a_member_joins_when_its_time_comes(market: Api, monkeypatch: pytest.MonkeyPatch):
    begin = time.time_ns()
    send(market, (format_timestamp(begin + DAY_NS), "B", "add"))
    path = f"{TREE}/equities/latest?symbols=@X"
    assert answer(market.get(path))["symbols"] == ["A", "C"]
    monkeypatch.setattr(time, "time_ns", lambda: begin + DAY_NS)
    assert answer(market.get(path))["symbols"] == ["A", "B", "C"]


def test_an_answer_as_of_an_instant_does_not_expire(market: Api):
    joins_ns = time.time_ns() + DAY_NS
    send(market, (format_timestamp(joins_ns), "B", "add"))
    as_of_ns = time.time_ns()
    query = parse_report_query("latest", "equities", None, f"symbols=@X&as_of={format_timestamp(as_of_ns)}")
    report = report_snapshot(query, now_ns=joins_ns + DAY_NS)
    assert (report.symbols, report.expires_ns) == (("A", "C"), None)
    newest = replace(query, as_of_ns=None)
    assert report_snapshot(newest, now_ns=as_of_ns).expires_ns == joins_ns


def test_a_universe_has_a_name_of_its_own(market: Api):
    market_store().set_instrument(Instrument("A", aliases=("X",), settle=3_600))
    send(market, ("2024-01-11", "D", "add"))
    assert symbols(market, last="1") == ["A", "C", "D"]
    before_ns = time.time_ns() - 60 * SECOND_NS
    before = format_timestamp(before_ns)
    send(market, (before, "E", "add"))
    send(market, (before, "E", "add"), universe="A")
    assert [row["member"] for row in get(market, MEMBERS, at=before, knowledge="then")["members"]] == list(
        "ACD"
    )
    assert get(market, f"{TREE}/universes/A/members", at=before, knowledge="then")["members"] == []
    named = get(market, f"{TREE}/universes/A/changes", start="2024-01-01", knowledge="then")
    assert named["changes"] == []
    query = {"last": "1", "end": format_timestamp(before_ns + 1), "knowledge": "then"}
    assert symbols(market, f"{TREE}/equities/ohlcv", **query) == ["A", "C", "D"]


def test_a_change_that_came_late_was_not_known_then(market: Api, clock: Any):
    before_ns = time.time_ns() - 60 * SECOND_NS
    before = format_timestamp(before_ns)
    send(market, (before, "D", "add"))
    for at, now, then in ((before, "ACD", "AC"), (clock(), "ACD", "ACD")):
        assert [row["member"] for row in get(market, MEMBERS, at=at)["members"]] == list(now)
        known = get(market, MEMBERS, at=at, knowledge="then")["members"]
        assert [row["member"] for row in known] == list(then)
    query = {"last": "1", "end": format_timestamp(before_ns + 1)}
    assert symbols(market, f"{TREE}/equities/ohlcv", **query) == ["A", "C", "D"]
    assert symbols(market, f"{TREE}/equities/ohlcv", **query, knowledge="then") == ["A", "C"]


def test_a_member_without_rows_has_none(market: Api):
    send(market, ("2024-01-11", "NOTHING", "add"))
    rows = get(market, f"{TREE}/equities/trades", symbols="@X", last="1")
    assert rows["symbols"] == ["A", "C", "NOTHING"]
    assert {row["symbol"] for row in rows["trades"]} == {"A", "C"}
    snapshot = get(market, f"{TREE}/equities/snapshot", symbols="@X")["snapshot"]
    assert snapshot[2] == {"symbol": "NOTHING"} | dict.fromkeys(list(snapshot[2])[1:])
    traded(market, "NOTHING", "2024-01-15T15:00:00Z")
    assert get(market, f"{TREE}/equities/snapshot", symbols="@X")["snapshot"][2]["trade"] is not None


def test_two_names_of_one_instrument_are_one_member(market: Api):
    market_store().set_instrument(Instrument("A", aliases=("OLD",)))
    send(market, ("2024-01-11", "OLD", "add"))
    assert symbols(market, last="1") == ["A", "C"]


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("equities/latest", {"symbols": "@NONE"}, (404, "unknown_symbol")),
        ("equities/trades", {"symbols": "@X", "last": "1", "end": "2024-01-01"}, (404, "no_data")),
        ("equities/trades", {"symbols": "A,@X", "last": "1"}, (400, "invalid_parameter")),
        ("equities/trades", {"symbols": "@X,@X", "last": "1"}, (400, "invalid_parameter")),
        ("equities/trades", {"symbols": "@", "last": "1"}, (422, "invalid_symbol")),
        ("equities/trades", {"symbols": "@X", "last": "1", "cursor": "abc"}, (400, "conflicting_parameters")),
        ("equities/trades", {"symbols": "@X", "last": "2", "limit": "3"}, (400, "range_too_large")),
        ("universes/changes", {"symbols": "@X", "last": "1"}, (400, "invalid_parameter")),
        ("universes/members", {"symbols": "@X"}, (400, "invalid_parameter")),
        ("crypto/latest", {"symbols": "@X"}, (404, "wrong_class")),
        ("universes/X/members", {"last": "1"}, (400, "unknown_parameter")),
        ("universes/NONE/members", {}, (404, "unknown_symbol")),
        ("universes", {"at": "soon"}, (400, "invalid_timestamp")),
        ("universes", {"start": "2024-01-01"}, (400, "unknown_parameter")),
    ],
)
def test_what_is_wrong_is_refused(market: Api, path: str, query: dict[str, str], wanted: tuple[int, str]):
    assert problem(market.get(f"{TREE}/{path}", query)) == wanted


def test_a_universe_has_at_most_1000_members(market: Api):
    send(market, *(("2024-01-11", f"M{number}", "add") for number in range(1_000)))
    response = market.get(f"{TREE}/equities/latest", {"symbols": "@X"})
    assert problem(response) == (400, "too_many_symbols")
    assert "1,002 members" in answer(response)["message"]
