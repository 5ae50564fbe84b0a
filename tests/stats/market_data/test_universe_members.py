"""`/universes` and `/universes/{symbol}`, and the members for a job: who belongs at an instant, or in a range."""

import random
import re
import time
from typing import Any

import orjson
import pytest

from stats.exceptions import NoData
from stats.universes import known_members
from store.instruments import Instrument
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from tests.api_client import Api, answer, problem, trade
from tests.marketdata_project.test_openapi import errors_of_answer
from tests.stats.market_data import universe_oracle
from tests.stats.market_data.universe_oracle import Change
from trades.stores import market_store
from web.requests.exceptions import InvalidParameter

pytestmark = [pytest.mark.django_db, pytest.mark.system]
UNIVERSES = "/api/v1/universes"
MEMBERS = f"{UNIVERSES}/X"
BEGIN = parse_timestamp("2024-01-01")


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


@pytest.fixture
def market(api: Api) -> Api:
    """A and B from 2 January; on 10 January C for B. Each has a trade on the 3rd and one on the 12th."""
    send(api, ("2024-01-02", "A", "add"), ("2024-01-02", "B", "add"))
    send(api, ("2024-01-10", "B", "remove"), ("2024-01-10", "C", "add"))
    for symbol in "ABC":
        traded(api, symbol, "2024-01-03T15:00:00Z", "2024-01-12T15:00:00Z")
    return api


def known(api: Api, start: str | None, end: str | None, *, as_of_ns: int | None = None) -> tuple[str, ...]:
    start_ns, end_ns = (None if each is None else parse_timestamp(each) for each in (start, end))
    return known_members("X", start_ns=start_ns, end_ns=end_ns, as_of_ns=as_of_ns or time.time_ns())


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
    for symbol in "ABCDEFG":
        traded(api, symbol, "2024-01-03T15:00:00Z")
    for day in range(-1, 42, 2):
        for at_ns in (BEGIN + day * DAY_NS, BEGIN + day * DAY_NS - 1):
            found = get(api, MEMBERS, at=format_timestamp(at_ns))["members"]
            assert found == [*universe_oracle.members_at(listed, at_ns)]
    for _ in range(20):
        start, end = sorted(BEGIN + place * DAY_NS for place in rng.sample(range(42), 2))
        if wanted := universe_oracle.members_within(listed, start, end):
            found_ = known_members("X", start_ns=start, end_ns=end, as_of_ns=time.time_ns())
            assert found_ == tuple(wanted)
        else:
            with pytest.raises(NoData):
                known_members("X", start_ns=start, end_ns=end, as_of_ns=time.time_ns())


def test_members_have_an_etag_and_a_commit(market: Api):
    response = market.get(MEMBERS, {"at": "2024-01-11"})
    assert answer(response) == {"symbol": "X", "at": "2024-01-11T00:00:00Z", "members": ["A", "C"]}
    assert errors_of_answer("get /api/v1/universes/{symbol}", answer(response)) == []
    assert response["X-Commit"].startswith("universe_changes=2-")
    assert market.get(MEMBERS, {"at": "2024-01-11"}, if_none_match=response["ETag"]).status_code == 304
    assert get(market, MEMBERS, at="2023-12-31")["members"] == []


def test_members_without_an_instant_are_those_of_now(market: Api, clock: Any):
    assert get(market, MEMBERS)["members"] == ["A", "C"]
    before = clock()
    send(market, ("2024-01-20", "D", "add"), ("2100-01-01", "E", "add"))
    assert get(market, MEMBERS)["members"] == ["A", "C", "D"]
    then = market.get(MEMBERS, {"as_of": before})
    assert (answer(then)["members"], "X-As-Of" in then) == (["A", "C"], True)


def test_the_list_of_universes(market: Api, clock: Any):
    before = clock()
    send(market, ("2024-01-20", "D", "add"), universe="Y")
    listed = get(market, UNIVERSES)["universes"]
    assert [(row["symbol"], row["members"], row["changes"]) for row in listed] == [("X", 2, 4), ("Y", 1, 1)]
    assert errors_of_answer("get /api/v1/universes", {"universes": listed}) == []
    assert (listed[0]["first"], listed[0]["last"]) == ("2024-01-02T00:00:00Z", "2024-01-10T00:00:00Z")
    (then,) = get(market, f"{UNIVERSES}/", as_of=before, at="2024-01-01")["universes"]
    assert (then["symbol"], then["members"]) == ("X", 0)
    response = market.get(UNIVERSES)
    # However many universes there are.
    assert re.fullmatch(r"universe_changes=\d+-[0-9a-f]+", response["X-Commit"])
    assert market.get(UNIVERSES, {}, if_none_match=response["ETag"]).status_code == 304


def test_a_job_has_all_members_of_its_range_that_have_rows(market: Api):
    send(market, ("2024-01-11", "NOTHING", "add"))
    assert known(market, "2024-01-09", "2024-01-13") == ("A", "B", "C")
    # One that joins at the end of a range does not belong to it.
    assert known(market, "2024-01-09", "2024-01-10") == ("A", "B")
    assert known(market, None, "2024-01-09") == ("A", "B")
    assert known(market, None, None) == ("A", "C")


def test_a_job_knows_the_members_of_its_as_of_and_each_instrument_once(market: Api):
    as_of_ns = time.time_ns()
    send(market, ("2024-01-11", "D", "add"), ("2024-01-11", "OLD", "add"))
    traded(market, "D", "2024-01-15T15:00:00Z")
    market_store().set_instrument(Instrument("A", aliases=("OLD",)))
    assert known(market, None, None) == ("A", "C", "D")
    assert known(market, None, None, as_of_ns=as_of_ns) == ("A", "C")


def test_a_universe_has_a_name_of_its_own(market: Api):
    market_store().set_instrument(Instrument("A", aliases=("X",), settle=3_600))
    send(market, ("2024-01-12", "E", "add"), universe="A")
    assert get(market, f"{UNIVERSES}/A")["members"] == ["E"]
    assert get(market, MEMBERS)["members"] == ["A", "C"]


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("market-data/equities/trades", {"symbols": "@X", "last": "1"}, (422, "invalid_symbol")),
        ("market-data/equities/latest", {"symbols": "A,@X"}, (422, "invalid_symbol")),
        ("gaps", {"symbols": "@X"}, (422, "invalid_symbol")),
        ("market-data/universes/X/members", {}, (404, "not_found")),
        ("universes/X", {"last": "1"}, (400, "unknown_parameter")),
        ("universes/NONE", {}, (404, "unknown_symbol")),
        ("universes/A*", {}, (422, "invalid_symbol")),
        ("universes", {"at": "soon"}, (400, "invalid_timestamp")),
        ("universes", {"start": "2024-01-01"}, (400, "unknown_parameter")),
    ],
)
def test_what_is_wrong_is_refused(market: Api, path: str, query: dict[str, str], wanted: tuple[int, str]):
    assert problem(market.get(f"/api/v1/{path}", query)) == wanted


def test_a_job_has_at_most_1000_members(market: Api):
    send(market, *(("2024-01-11", f"M{number}", "add") for number in range(1_000)))
    with pytest.raises(InvalidParameter, match="1,002 members"):
        known(market, None, None)
