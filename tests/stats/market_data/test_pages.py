"""Walks by cursor: forward, backward, back and forth, over rows with equal times, while a writer adds and corrects.

Whatever is written meanwhile, every page is a part of what there was when the first one was read.
"""

import base64
import itertools
import os
import shutil
from dataclasses import dataclass
from typing import Any

import pytest
import time_machine
from hypothesis import Phase, given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.api_client import Api, answer, problem
from tests.stats.market_data.builders import CRYPTO, HOUR_NS, Market, ingest, timestamp
from tests.stats.market_data.oracle import SECOND_NS, Cut, Row, bars, ticks
from tests.stats.market_data.representations import MEDIA_TYPES, Page, decoded
from tests.stats.market_data.subjects import (
    BARS,
    DATASETS,
    OPTION_VALUES,
    QUOTE_BARS,
    TRADES,
    Subject,
    answered,
)

pytestmark = pytest.mark.django_db
START_NS = 1_735_059_600 * SECOND_NS
RANGE = {"start": timestamp(START_NS), "end": timestamp(START_NS + HOUR_NS)}
WALKED = [
    *(one for one in DATASETS if one.dataset not in OPTION_VALUES),
    *(one for one in (*BARS, *QUOTE_BARS) if one.resolution in {"30m", "1w"}),
]
names = (f"P{number}" for number in itertools.count())


@dataclass
class Log:
    """The trades of a symbol, here and in the installation, by id in order of arrival."""

    api: Api
    symbol: str
    standing: dict[str, Row]
    numbers: Any

    @classmethod
    def of(cls, api: Api, times: list[int]) -> "Log":
        log = cls(api, next(names), {}, itertools.count(1))
        log.write(times)
        return log

    def write(self, seconds: list[int]) -> None:
        """Add a trade at each of the seconds."""
        rows = [
            {
                "time_ns": START_NS + second * SECOND_NS,
                "price": float(number),
                "volume": 1.0,
                "trade_id": f"t{number}",
            }
            for second, number in zip(seconds, self.numbers, strict=False)
        ]
        ingest(self.api, "trades", self.symbol, rows)
        self.standing |= {str(row["trade_id"]): row for row in rows}

    def correct(self, place: int) -> None:
        """Cancel one of the trades, or give it another price."""
        if not self.standing:
            return
        row = list(self.standing.values())[place % len(self.standing)]
        named = {"timestamp": timestamp(row["time_ns"]), "trade_id": row["trade_id"]}
        if place % 2:
            response = self.api.correct({"action": "cancel", **named}, symbol=self.symbol)
            del self.standing[row["trade_id"]]
        else:
            new = {"action": "correct", **named, "new_price": row["price"] + 1_000}
            response = self.api.correct(new, symbol=self.symbol)
            self.standing[row["trade_id"]] = row | {"price": row["price"] + 1_000}
        assert answer(response)["stored"] == 1

    def rows(self, dataset: str) -> list[Row]:
        """What there is now, as the dataset answers it."""
        window = (START_NS, START_NS + HOUR_NS)
        if dataset == "trades":
            return [answered(row, TRADES) for row in ticks(self.standing.values(), Cut("tick"), *window)]
        found = bars(self.standing.values(), Cut("1m"), *window)
        return [without_vwap(answered(row, None)) for row in found]


def without_vwap(row: Row) -> Row:
    """A row without the quotient, whose last digit is not the oracle's."""
    return {name: value for name, value in row.items() if name != "vwap"}


@dataclass
class Walk:
    """A client on its way through pages; `snapshot` is what there was at its first, in the order asked for."""

    api: Api
    path: str
    rows_name: str
    query: dict[str, str]
    format: str
    snapshot: list[Row]
    page: Page | None = None
    low: int = 0
    high: int = 0

    def begin(self, limit: int) -> None:
        self._see(None, limit, 0)

    def forward(self, limit: int) -> None:
        """The next page, or none behind the last."""
        assert self.page is not None
        assert (self.page.next_cursor is None) is (self.high == len(self.snapshot))
        if self.page.next_cursor is not None:
            self._see(self.page.next_cursor, limit, self.high)

    def back(self, limit: int) -> None:
        """The page before, or none before the first."""
        assert self.page is not None
        assert (self.page.prev_cursor is None) is (self.low == 0)
        if self.page.prev_cursor is not None:
            self._see(self.page.prev_cursor, limit, max(self.low - limit, 0), self.low)

    def _see(self, cursor: str | None, limit: int, low: int, high: int | None = None) -> None:
        query = {**self.query, "limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
        response = self.api.get(self.path, query, accept=MEDIA_TYPES[self.format])
        unit_ns = 1_000_000 if self.rows_name == "bars" else 1
        self.page = decoded(response, self.format, self.rows_name, unit_ns=unit_ns)
        self.low, self.high = low, min(low + limit, len(self.snapshot)) if high is None else high
        rows = [without_vwap(row) for row in self.page.rows]
        assert rows == self.snapshot[self.low : self.high]


def walk(
    api: Api, logs: list[Log], dataset: str, sort: str, form: str = "json", *, last: int | None = None
) -> Walk:
    """A walk through one symbol, or several, that begins now. last: of several only so many of the newest rows of each."""
    rows_name = "trades" if dataset == "trades" else "bars"
    query = {**RANGE, "sort": sort} | ({} if dataset == "trades" else {"resolution": "1m"})
    if last is not None:
        query = {name: value for name, value in query.items() if name != "start"} | {"last": str(last)}
    path = f"/api/v1/market-data/equities/{logs[0].symbol}/{dataset}"
    snapshot = logs[0].rows(dataset)
    if len(logs) > 1:
        path = f"/api/v1/market-data/equities/{dataset}"
        query["symbols"] = ",".join(log.symbol for log in logs)
        begin = 0 if last is None else -last
        snapshot = [{"symbol": log.symbol, **row} for log in logs for row in log.rows(dataset)[begin:]]
    if sort == "desc":
        snapshot.reverse()
    return Walk(api, path, rows_name, query, form, snapshot)


seconds = st.lists(st.sampled_from([0, 1, 59, 60, 61, 3_599]), min_size=1, max_size=12)
limits = st.sampled_from([1, 2, 3, 5, 100])
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["forward", "back"]), limits),
        st.tuples(st.sampled_from(["forward", "back"]), limits),
        st.tuples(st.just("write"), seconds),
        st.tuples(st.just("correct"), st.integers(0, 50)),
    ),
    max_size=14,
)


@pytest.mark.parametrize("count", [1, 2], ids=["one_symbol", "two_symbols"])
@pytest.mark.parametrize("dataset", ["trades", "ohlcv"])
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_every_page_is_of_the_snapshot_of_the_first(api: Api, dataset: str, sort: str, count: int):
    @seed(20_241_223)
    @examples(max_examples=300 if os.environ.get("SOAK") else 12, phases=[Phase.generate])
    @given(
        stored=st.lists(seconds, min_size=count, max_size=count),
        limit=limits,
        form=st.sampled_from(["json", "msgpack", "csv"]),
        steps=steps,
    )
    def holds(stored: list[list[int]], limit: int, form: str, steps: list[Any]) -> None:
        logs = [Log.of(api, times) for times in stored]
        client = walk(api, logs, dataset, sort, form)
        client.begin(limit)
        for place, (kind, argument) in enumerate(steps):
            if kind == "write":
                logs[place % count].write(argument)
            elif kind == "correct":
                logs[place % count].correct(argument)
            else:
                getattr(client, kind)(argument)
        assert_whole(client)

    holds()


@pytest.mark.parametrize("dataset", ["trades", "ohlcv"])
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_the_newest_rows_of_several_symbols_are_a_walk_of_their_own(api: Api, dataset: str, sort: str):
    @seed(20_241_224)
    @examples(max_examples=300 if os.environ.get("SOAK") else 20, phases=[Phase.generate])
    @given(
        stored=st.lists(seconds, min_size=2, max_size=4),
        last=st.sampled_from([1, 2, 3, 5, 100]),
        limit=limits,
        form=st.sampled_from(["json", "msgpack", "csv"]),
        steps=steps,
    )
    def holds(stored: list[list[int]], last: int, limit: int, form: str, steps: list[Any]) -> None:
        logs = [Log.of(api, times) for times in stored]
        client = walk(api, logs, dataset, sort, form, last=last)
        client.begin(limit)
        for place, (kind, argument) in enumerate(steps):
            if kind in {"write", "correct"}:
                getattr(logs[place % len(logs)], kind)(argument)
            else:
                getattr(client, kind)(argument)
        assert_whole(client)

    holds()


def assert_whole(client: Walk, size: int = 3) -> None:
    """To the end and back to the beginning, every row once in its place."""
    while client.high < len(client.snapshot):
        client.forward(size)
    client.forward(size)
    while client.low > 0:
        client.back(size + 1)
    client.back(size + 1)


@pytest.mark.parametrize("subject", WALKED, ids=str)
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_pages_of_every_dataset_put_together_are_all_of_it(market: Market, subject: Subject, sort: str):
    session = ("utc", "all") if subject.symbol == CRYPTO else ("exchange", "regular")
    rows = subject.expected(market, *session)
    query = {**subject.parameters, **subject.shape(*session), "sort": sort}
    snapshot = [without_vwap(row) for row in (rows if sort == "asc" else rows[::-1])]
    client = Walk(market.api, subject.path, subject.rows_name, query, "json", snapshot)
    size = len(rows) // 4 + 1
    client.begin(size)
    assert_whole(client, size)


@pytest.fixture
def log(api: Api) -> Log:
    """Thirty trades at three instants."""
    return Log.of(api, [0] * 10 + [1] * 10 + [60] * 10)


def first_page(log: Log, **changes: str) -> Any:
    path = f"/api/v1/market-data/equities/{log.symbol}/trades"
    return log.api.get(path, {**RANGE, "limit": "7", **changes})


def follow(log: Log, cursor: str, path: str = "trades", **changes: str) -> Any:
    query = {**RANGE, "limit": "7", "cursor": cursor, **changes}
    path = f"/api/v1/market-data/equities/{log.symbol}/{path}"
    return log.api.get(path, {name: value for name, value in query.items() if value})


def second(log: Log) -> str:
    """The cursor of the second page."""
    return str(answer(first_page(log))["next_cursor"])


def test_a_walk_knows_no_later_time_than_its_first_page(log: Log):
    """The second page is asked for after a bar was closed, and after trades of the future have come."""
    now_ns = START_NS + 90 * SECOND_NS
    path = f"/api/v1/market-data/equities/{log.symbol}/ohlcv"
    query = {"start": RANGE["start"], "resolution": "1m", "limit": "1"}
    with time_machine.travel(now_ns / SECOND_NS, tick=False):
        whole = answer(log.api.get(path, {**query, "limit": "10"}))["bars"]
        first = answer(log.api.get(path, query))
    log.write([200, 300])
    second_page = answer(log.api.get(path, {**query, "cursor": first["next_cursor"]}))
    assert [*first["bars"], *second_page["bars"]] == whole
    assert [bar["final"] for bar in whole] == [True, False]
    assert second_page["next_cursor"] is None


def test_an_answer_says_about_how_many_rows_there_are(log: Log):
    assert answer(first_page(log))["total_estimate"] >= 30
    assert answer(first_page(log, end=timestamp(START_NS + 1)))["total_estimate"] >= 10


def test_a_page_back_is_the_page_before_with_the_same_cursors(log: Log):
    first = answer(first_page(log))
    again = answer(follow(log, answer(follow(log, first["next_cursor"]))["prev_cursor"]))
    assert again["trades"] == first["trades"]
    assert (again["prev_cursor"], again["next_cursor"]) == (None, first["next_cursor"])


def test_pages_with_equal_cursors_have_equal_bytes(log: Log):
    cursor = second(log)
    before = follow(log, cursor)
    log.write([0, 1, 60])
    after = follow(log, cursor)
    assert (after.content, after["ETag"]) == (before.content, before["ETag"])


@pytest.mark.parametrize(
    "change", [{"fields": "price"}, {"limit": "3"}, {"time": "ms"}, {"format": "csv"}], ids=str
)
def test_what_a_page_looks_like_may_change_on_the_way(log: Log, change: dict[str, str]):
    assert follow(log, second(log), **change).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"end": timestamp(START_NS + 61 * SECOND_NS)}, {"start": timestamp(START_NS + 1)}, {"sort": "desc"},
        {"hours": "regular"}, {"as_of": "2100-01-01"}, {"path": "ohlcv", "resolution": "1m"}, {"path": "quotes"},
    ],
    ids=str,
)  # fmt: skip
def test_a_cursor_of_another_query_is_400(log: Log, change: dict[str, str]):
    ingest(log.api, "quotes", log.symbol, [{"time_ns": START_NS, "bid": 1.0}])
    assert problem(follow(log, second(log), **change)) == (400, "invalid_cursor")


def test_a_cursor_of_another_symbol_is_400(log: Log):
    other = Log.of(log.api, [0] * 10)
    assert problem(follow(other, second(log))) == (400, "invalid_cursor")


def test_a_cursor_of_another_path_to_the_same_rows_is_400(log: Log):
    query = {**RANGE, "limit": "7", "symbols": log.symbol, "cursor": second(log)}
    assert problem(log.api.get("/api/v1/market-data/equities/trades", query)) == (400, "invalid_cursor")


def test_a_cursor_that_was_cut_is_400(log: Log):
    cursor = second(log)
    for length in range(1, len(cursor)):
        assert problem(follow(log, cursor[:length])) == (400, "invalid_cursor")


def test_a_cursor_with_any_letter_changed_is_400(log: Log):
    cursor = second(log)
    for place, letter in enumerate(cursor):
        changed = cursor[:place] + ("A" if letter != "A" else "B") + cursor[place + 1 :]
        assert problem(follow(log, changed)) == (400, "invalid_cursor")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "A" * 4_000,
        "....",
        "AAAA AAAA",
        "../../etc/passwd",
        "null",
        "%00",
        "é",
        base64.urlsafe_b64encode(b"{}").decode(),
    ],
    ids=ascii,
)
def test_what_never_was_a_cursor_is_400(log: Log, text: str):
    assert problem(follow(log, text)) == (400, "invalid_cursor")


def test_a_cursor_is_url_safe(log: Log):
    cursor = second(log)
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_cursor_of_another_installation_is_400(log: Log, settings: Any):
    cursor = second(log)
    settings.SECRET_KEY = "another"
    assert problem(follow(log, cursor)) == (400, "invalid_cursor")


@pytest.mark.parametrize("commits", [0, 1, 2])
def test_a_cursor_of_a_log_that_was_restored_is_409(log: Log, store_path: Any, settings: Any, commits: int):
    log.write([5])
    cursor = second(log)
    shutil.rmtree(store_path)
    settings.MARKET_STORES = dict(settings.MARKET_STORES)
    for number in range(commits + 1):
        log.write([number] * 10)
    assert problem(follow(log, cursor)) == (409, "resync")


def test_pages_of_open_interest_with_equal_times(empty_market: Market):
    rows = [
        {"time_ns": START_NS, "date": f"2024-12-{day}", "open_interest": day, "status": "final"}
        for day in range(10, 24)
    ]
    empty_market.add("open_interest", "ACME250117C00100000", rows)
    path = "/api/v1/market-data/options/ACME250117C00100000/open-interest"
    wanted = [answered(row, ("date", "open_interest", "status")) for row in rows]
    client = Walk(empty_market.api, path, "open_interest", RANGE, "json", wanted)
    client.begin(5)
    assert_whole(client)
