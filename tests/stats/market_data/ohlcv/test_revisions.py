"""`/revisions`: which bars changed, when, from what to what, by which commit.

They are held against a ledger of the trades.
"""

import csv
import io
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest

from store.instruments import Instrument
from store.log import Snapshot
from store.log_views.revisions import Revisions, revisions_of
from store.protocol import Window
from tests.api_client import Api, answer, problem, trade
from tests.stats.market_data.builders import ingest
from tests.stats.market_data.oracle import bar
from trades.stores import market_store

TREE = "/api/v1/market-data/equities/AAPL"
PATH = f"{TREE}/revisions"
DAY = {"start": "2025-01-02", "end": "2025-01-03"}
LENGTHS = {"45s": 45, "1m": 60, "7m": 420, "1h": 3_600, "1d": 86_400}
OPENING = np.datetime64("2025-01-02T14:30:00")
SIDES = ("open", "high", "low", "close", "volume", "vwap", "trade_count")

Row = dict[str, Any]


def get(api: Api, path: str = PATH, **params: Any) -> Any:
    response = api.get(path, {**DAY, **params})
    assert response.status_code == 200, response.content
    return answer(response)


def revisions(api: Api, **params: Any) -> list[Row]:
    found: list[Row] = get(api, **params)["revisions"]
    return found


def text(seconds: int) -> str:
    return f"{OPENING + np.timedelta64(seconds, 's')}Z"


@dataclass
class Ledger:
    """An API whose clock is moved a minute on before each commit, and what stood after each of them.

    Trades are (second since the opening, price, volume), in order of arrival.
    """

    api: Api
    clock: Any
    stands: list[list[tuple[int, float, int]]] = field(default_factory=lambda: [[]])

    def committed_at(self, commit: int) -> str:
        return f"2025-02-01T12:{commit:02}:00Z"

    def ingest(self, *trades: tuple[int, float, int]) -> None:
        self._tick()
        rows = [
            trade(timestamp=text(seconds), price=price, volume=volume) for seconds, price, volume in trades
        ]
        response = self.api.ingest(*rows, query="dedupe=none")
        assert response.status_code == 200, response.content
        self.stands.append([*self.stands[-1], *trades])

    def cancel(self, known: tuple[int, float, int]) -> None:
        self._correct("cancel", known)
        self.stands.append([one for one in self.stands[-1] if one != known])

    def correct(self, known: tuple[int, float, int], *, price: float) -> None:
        self._correct("correct", known, new_price=price)
        self.stands.append(
            [(one[0], price, one[2]) if one == known else one for one in self.stands[-1]],
        )

    def _correct(self, action: str, known: tuple[int, float, int], **new: float) -> None:
        self._tick()
        seconds, price, volume = known
        named = {"timestamp": text(seconds), "price": price, "volume": volume}
        response = self.api.correct({"action": action, **named, **new})
        assert response.status_code == 200, response.content
        assert answer(response)["stored"] == 1

    def _tick(self) -> None:
        self.clock.move_to(self.committed_at(len(self.stands)), tick=False)

    def bars(self, commit: int, resolution: str) -> dict[str, Row]:
        """The bars after a commit, by their time."""
        length, prints = LENGTHS[resolution], dict[str, list[Row]]()
        offset = int((OPENING - np.datetime64("2025-01-02")).astype(int)) % length
        for seconds, price, volume in sorted(self.stands[commit], key=lambda one: one[0]):
            start = text((seconds + offset) // length * length - offset)
            prints.setdefault(start, []).append({"price": price, "volume": volume})
        return {
            start: {**bar(rows), "volume": sum(row["volume"] for row in rows)}
            for start, rows in prints.items()
        }

    def expected(self, resolution: str, *, after: int = 0, by: int | None = None) -> list[Row]:
        """The revisions by commits in `(after, by]`, by time of the bar, then by commit."""
        found, seen = [], set[str]()
        for commit in range(1, len(self.stands) if by is None else by + 1):
            before, now = self.bars(commit - 1, resolution), self.bars(commit, resolution)
            known = max((one[0] for stood in self.stands[:commit] for one in stood), default=None)
            if known is not None:
                # Where something later was known it could be seen that there was no bar.
                seen |= {
                    start for start in now if self._end(start, resolution) <= np.datetime64(text(known)[:-1])
                }
            changed = (
                [start for start in seen if before.get(start) != now.get(start)] if commit > after else []
            )
            found += [self._row(start, commit, before.get(start), now.get(start)) for start in changed]
            seen |= set(now)
        return sorted(found, key=lambda row: (row["timestamp"], row["commit"]))

    def _end(self, start: str, resolution: str) -> np.datetime64:
        return np.datetime64(start[:-1]) + np.timedelta64(LENGTHS[resolution], "s")

    def _row(self, start: str, commit: int, before: Row | None, after: Row | None) -> Row:
        sides = {
            f"{side}_{name}": None if bar is None else bar[name]
            for side, bar in (("before", before), ("after", after))
            for name in SIDES
        }
        return {"timestamp": start, "commit": commit, "committed_at": self.committed_at(commit), **sides}


@pytest.fixture
def ledger(api: Api, time_machine) -> Ledger:
    return Ledger(api, time_machine)


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """Two minutes with trades, then a late trade, a correction, a cancel of all of the second minute, and a new third one."""
    ledger.ingest((0, 190.0, 100), (70, 191.0, 50))
    ledger.ingest((10, 195.0, 10))
    ledger.correct((0, 190.0, 100), price=189.0)
    ledger.cancel((70, 191.0, 50))
    ledger.ingest((130, 192.0, 5))
    return ledger


def test_late_trades_corrections_and_cancels_are_revisions(told):
    minute = {"timestamp": "2025-01-02T14:30:00Z"}
    first = {
        **dict.fromkeys(("open", "high", "low", "close", "vwap"), 190.0),
        "volume": 100,
        "trade_count": 1,
    }
    second = {**first, "high": 195.0, "close": 195.0, "volume": 110, "vwap": 20_950 / 110, "trade_count": 2}
    third = {**second, "open": 189.0, "low": 189.0, "vwap": 20_850 / 110}
    gone = {**dict.fromkeys(("open", "high", "low", "close", "vwap"), 191.0), "volume": 50, "trade_count": 1}
    assert revisions(told.api, resolution="1m") == [
        {**minute, "commit": 2, "committed_at": told.committed_at(2), **sides(first, second)},
        {**minute, "commit": 3, "committed_at": told.committed_at(3), **sides(second, third)},
        {
            "timestamp": "2025-01-02T14:31:00Z",
            "commit": 4,
            "committed_at": told.committed_at(4),
            **sides(gone, dict.fromkeys(SIDES)),
        },
    ]


def sides(before: Row, after: Row) -> Row:
    return {
        f"{side}_{name}": bar[name] for side, bar in (("before", before), ("after", after)) for name in SIDES
    }


@pytest.mark.parametrize("resolution", LENGTHS)
def test_every_change_of_a_bar_is_a_revision(told, resolution):
    found = revisions(told.api, resolution=resolution)
    assert found == told.expected(resolution)
    assert len(found) >= 3


@pytest.mark.parametrize("seed", range(3))
def test_any_history_has_the_revisions_of_its_changes(ledger, seed):
    chance = random.Random(seed)
    for _ in range(14):
        if (standing := ledger.stands[-1]) and chance.random() < 0.5:
            known = chance.choice([one for one in standing if standing.count(one) == 1] or standing[:1])
            if chance.random() < 0.5:
                ledger.cancel(known)
            else:
                ledger.correct(known, price=round(known[1] + chance.choice([-1, 1, 2]) / 100, 2))
        else:
            ledger.ingest(
                *(
                    (
                        chance.randrange(0, 7_200) + chance.choice([0] * 9 + [86_400]),
                        chance.randrange(9_000, 9_100) / 100,
                        chance.randrange(1, 9),
                    )
                    for _ in range(3)
                )
            )
    for resolution in LENGTHS:
        found = revisions(ledger.api, resolution=resolution, limit=10_000)
        assert found == [row for row in ledger.expected(resolution) if row["timestamp"] < DAY["end"]], (
            resolution
        )
        assert found


def test_a_change_of_vwap_alone_is_a_revision(ledger):
    ledger.ingest((0, 10.0, 1), (10, 12.0, 1), (20, 11.0, 2), (30, 12.0, 1), (40, 10.0, 5))
    ledger.correct((20, 11.0, 2), price=11.5)
    (row,) = revisions(ledger.api, resolution="1m")
    assert (row["before_vwap"], row["after_vwap"]) == (10.6, 10.7)
    assert [row[f"before_{name}"] for name in SIDES if name != "vwap"] == [
        row[f"after_{name}"] for name in SIDES if name != "vwap"
    ]


def test_the_average_of_one_print_is_its_price(ledger):
    assert 0.1 * 3 / 3 != 0.1
    ledger.ingest((0, 0.1, 3))
    ledger.correct((0, 0.1, 3), price=0.7)
    (row,) = revisions(ledger.api, resolution="1m")
    assert (row["before_vwap"], row["after_vwap"]) == (0.1, 0.7)
    assert [row] == ledger.expected("1m")


def test_the_bar_before_and_the_bar_after_are_those_of_as_of(told):
    for row in revisions(told.api, resolution="1m"):
        commit = row["commit"]
        for side, as_of in (("before", told.committed_at(commit - 1)), ("after", told.committed_at(commit))):
            bars = get(told.api, f"{TREE}/ohlcv", resolution="1m", as_of=as_of)["bars"]
            at = [bar for bar in bars if bar["timestamp"] == row["timestamp"]]
            assert [row[f"{side}_{name}"] for name in SIDES] == (
                [at[0][name] for name in SIDES] if at else [None] * len(SIDES)
            )


def test_a_first_bar_and_a_repeated_batch_are_no_revisions(api: Api):
    for _ in range(2):
        api.ingest(trade())
    found = get(api, resolution="1m")
    assert (found["revisions"], found["reason"], found["resolution"]) == ([], "no_revisions", "1m")


@pytest.mark.parametrize("query", [{}, {"end": "2025-01-02T14:33Z"}], ids=["day", "up to the bar's end"])
def test_a_bar_that_a_late_trade_makes_between_others_is_a_revision(ledger, query):
    ledger.ingest((0, 190.0, 100), (180, 191.0, 50))
    ledger.ingest((150, 195.0, 10))
    ledger.ingest((240, 196.0, 10))
    (row,) = revisions(ledger.api, resolution="1m", **query)
    assert row == ledger.expected("1m")[0]
    assert (row["timestamp"], row["commit"], row["before_close"], row["after_close"]) == (
        "2025-01-02T14:32:00Z", 2, None, 195.0,
    )  # fmt: skip


@pytest.mark.parametrize(("after", "commits"), [(1, [2, 3, 4]), (2, [3, 4]), (4, []), (5, [])])
def test_after_an_instant_only_what_later_commits_changed(told, after, commits):
    found = revisions(told.api, resolution="1m", after=told.committed_at(after))
    assert found == told.expected("1m", after=after)
    assert [row["commit"] for row in found] == commits


def test_after_an_instant_of_many_dates_only_those_that_were_changed_later(ledger):
    day = 86_400
    for date in range(4):
        ledger.ingest((date * day, 190.0, 100), (date * day + 90, 191.0, 50))
    ledger.correct((day, 190.0, 100), price=189.0)
    ledger.ingest((2 * day + 10, 195.0, 10))
    for after, count in ((0, 2), (4, 2), (5, 1), (6, 0)):
        found = get(
            ledger.api,
            resolution="1m",
            start="2025-01-02",
            end="2025-01-07",
            after=ledger.committed_at(after),
        )
        assert found["revisions"] == ledger.expected("1m", after=after)
        assert (len(found["revisions"]), found["total_estimate"]) == (count, count)


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_a_page_reads_no_further_than_its_revisions(ledger, monkeypatch, sort):
    for date in range(3):
        ledger.ingest(*((date * 86_400 + 60 * minute, 190.0, 100) for minute in range(20)))
        ledger.ingest(*((date * 86_400 + 60 * minute + 1, 191.0, 100) for minute in range(20)))
    read: list[Window] = []

    def recorded(snapshot: Snapshot, window: Window, *args: Any, **kwargs: Any) -> Revisions:
        read.append(window)
        return revisions_of(snapshot, window, *args, **kwargs)

    monkeypatch.setattr("stats.market_data.ohlcv.revisions.revisions_of", recorded)
    page = get(ledger.api, resolution="1m", end="2025-01-07", limit=1, sort=sort)
    assert page["revisions"] == [ledger.expected("1m")[0 if sort == "asc" else -1]]
    assert page["total_estimate"] == 120
    edges = [each.end_ns if sort == "asc" else each.start_ns for each in read]
    first = OPENING if sort == "asc" else OPENING + np.timedelta64(2 * 86_400 + 19 * 60, "s")
    far = np.array(edges, "datetime64[ns]") - first
    assert (abs(far) < np.timedelta64(20, "m")).all()
    assert edges


@pytest.mark.parametrize(
    ("priced", "credited"),
    [("2025-01-02T23:00:00Z", "2025-01-03T02:00:00Z"), ("2025-01-04T12:00:00Z", "2025-01-06T12:00:00Z")],
    ids=["after midnight", "after a weekend, which belongs to the next trading date"],
)
def test_volume_that_is_credited_to_a_bar_of_an_earlier_date_is_a_revision(ledger, priced, credited):
    market_store().set_instrument(Instrument("AAPL", bar_policy="us_equities", exchange="XNYS"))
    ledger._tick()
    ledger.api.ingest(trade(timestamp=priced, price=190, volume=100))
    ledger.clock.move_to("2025-02-01T13:00:00Z", tick=False)
    sweep = trade(timestamp=credited, price=999, volume=40, conditions=["intermarket_sweep"])
    assert ledger.api.ingest(sweep).status_code == 200
    for after in ({}, {"after": "2025-02-01T12:30:00Z"}):
        (row,) = revisions(ledger.api, resolution="1m", start="2025-01-01", end="2025-01-10", **after)
        assert (row["timestamp"], row["before_volume"], row["after_volume"]) == (priced, 100, 140)


@pytest.mark.parametrize("by", [2, 3])
def test_as_of_ignores_later_revisions(told, by):
    assert revisions(told.api, resolution="1m", as_of=told.committed_at(by)) == told.expected("1m", by=by)


def test_only_bars_of_the_range(told):
    minute = revisions(told.api, resolution="1m", start="2025-01-02T14:31:00Z", end="2025-01-02T14:31:30Z")
    assert [row["timestamp"] for row in minute] == ["2025-01-02T14:31:00Z"]


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2])
def test_pages_split_the_revisions_of_a_bar(told, sort, limit):
    whole = revisions(told.api, resolution="1m", sort=sort)
    assert whole == told.expected("1m")[:: 1 if sort == "asc" else -1]
    found: list[Row] = []
    page = get(told.api, resolution="1m", sort=sort, limit=limit)
    while True:
        found += page["revisions"]
        assert page["total_estimate"] >= len(whole)
        if page["next_cursor"] is None:
            break
        page = get(told.api, resolution="1m", sort=sort, limit=limit, cursor=page["next_cursor"])
    assert found == whole
    before = get(told.api, resolution="1m", sort=sort, limit=limit, cursor=page["prev_cursor"])
    assert before["revisions"] == whole[: -len(page["revisions"])][-limit:]


def test_later_pages_ignore_new_commits(told):
    expected = told.expected("1m")
    first = get(told.api, resolution="1m", limit=1)
    told.ingest((71, 200.0, 1), (1, 200.0, 1))
    rest = get(told.api, resolution="1m", limit=100, cursor=first["next_cursor"])
    assert first["revisions"] + rest["revisions"] == expected
    assert revisions(told.api, resolution="1m") == told.expected("1m") != expected


def test_as_csv_they_have_the_same_values_and_a_link(told):
    response = told.api.get(f"{PATH}.csv", {**DAY, "resolution": "1m", "limit": 2})
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    expected = told.expected("1m")[:2]
    assert [list(row) for row in rows] == [list(row) for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        assert {name: value for name, value in row.items() if name.startswith(("before", "after"))} == {
            name: "" if value is None else str(value)
            for name, value in wanted.items()
            if name.startswith(("before", "after"))
        }
        assert row["timestamp"] == wanted["timestamp"]
        assert np.datetime64(row["committed_at"][:-1]) == np.datetime64(wanted["committed_at"][:-1])
    assert 'rel="next"' in response["Link"]


def test_an_answer_is_cached_until_the_log_changes(told):
    params = {**DAY, "resolution": "1m"}
    assert [told.api.get(PATH, params)["X-Cache"] for _ in range(2)] == ["miss", "hit"]
    told.ingest((5, 180.0, 1))
    assert told.api.get(PATH, params)["X-Cache"] == "miss"


def test_volume_that_is_credited_later_is_a_revision(ledger):
    market_store().set_instrument(Instrument("AAPL", bar_policy="us_equities"))
    ledger.ingest((0, 190.0, 100), (130, 191.0, 5))
    ledger._tick()
    sweep = trade(timestamp=text(70), price=999, volume=40, conditions=["intermarket_sweep"])
    assert ledger.api.ingest(sweep).status_code == 200
    (row,) = revisions(ledger.api, resolution="1m")
    assert (row["timestamp"], row["before_volume"], row["after_volume"]) == (text(0), 100, 140)
    assert (row["before_close"], row["after_close"]) == (190, 190)


def test_they_are_of_bars_of_trades_alone_and_say_so(told):
    """Stored bars change what `/ohlcv` answers, which names their commit."""
    told._tick()
    prices = dict.fromkeys(("open", "high", "low", "close"), 2)
    row = {
        "time_ns": int((OPENING - np.timedelta64(30, "m")).astype("datetime64[ns]").astype(int)),
        "resolution": "1m",
        **prices,
        "volume": 500,
    }
    ingest(told.api, "bars", "AAPL", [row])
    first = get(told.api, f"{TREE}/ohlcv", resolution="1m")["bars"][0]
    assert (first["open"], first["volume"]) == (2, 500)
    assert revisions(told.api, resolution="1d") == told.expected("1d")
    named = [
        [
            each.split("=")[0]
            for each in told.api.get(path, {**DAY, "resolution": "1d"})["X-Commit"].split(", ")
        ]
        for path in (PATH, f"{TREE}/ohlcv")
    ]
    assert named == [["trades"], ["trades", "bars"]]


@pytest.mark.parametrize("resolution", ["tick", "2d", "1w", "1M"])
def test_ticks_weeks_and_months_have_no_revisions(told, resolution):
    hour = {"start": "2025-01-02T14:00Z", "end": "2025-01-02T15:00Z"}
    response = told.api.get(PATH, {**hour, "resolution": resolution})
    assert problem(response) == (404, "resolution_unavailable")


def test_of_several_symbols_they_come_symbol_by_symbol(told):
    other = trade(symbol="MSFT", timestamp=text(0), price=1.5)
    told.api.ingest(other)
    told.api.ingest({**other, "price": 2.5})
    found = get(told.api, "/api/v1/market-data/equities/revisions", symbols="MSFT,AAPL", resolution="1d")[
        "revisions"
    ]
    assert [row.pop("symbol") for row in found] == ["MSFT", *["AAPL"] * (len(found) - 1)]
    assert found[1:] == told.expected("1d")


def test_trades_of_an_option_have_revisions_too(api):
    option = "AAPL250117C00190000"
    for seconds, price in ((0, 5.0), (60, 5.5), (30, 5.2)):
        assert api.ingest(trade(symbol=option, timestamp=text(seconds), price=price)).status_code == 200
    path = f"/api/v1/market-data/options/{option}/revisions"
    (row,) = revisions(api, path=path, resolution="1m")
    assert (row["timestamp"], row["commit"]) == ("2025-01-02T14:30:00Z", 3)
    assert (row["before_close"], row["after_close"]) == (5.0, 5.2)
    listed = get(api, "/api/v1/market-data/options/revisions", symbols=option, resolution="1m")
    assert [(each["symbol"], each["commit"]) for each in listed["revisions"]] == [(option, 3)]


def test_an_option_without_trades_has_no_revisions(api):
    option = "AAPL250117C00190000"
    quote = {"timestamp": text(0), "symbol": option, "bid": 5.0, "ask": 5.2}
    body = orjson.dumps({"option_quotes": [quote]})
    assert api.ingest(body, path="/api/v1/option-quotes/ingest").status_code == 200
    assert revisions(api, path=f"/api/v1/market-data/options/{option}/revisions") == []
