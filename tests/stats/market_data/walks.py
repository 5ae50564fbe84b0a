"""Walks through pages: the log that they are of, and the client that walks."""

import itertools
from dataclasses import dataclass
from typing import Any

from tests.api_client import Api, answer
from tests.stats.market_data.builders import HOUR_NS, ingest, timestamp
from tests.stats.market_data.oracle import SECOND_NS, Cut, Row, bars, ticks
from tests.stats.market_data.representations import MEDIA_TYPES, Page, decoded
from tests.stats.market_data.subjects import TRADES, answered

START_NS = 1_735_059_600 * SECOND_NS
RANGE = {"start": timestamp(START_NS), "end": timestamp(START_NS + HOUR_NS)}
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
    """A client on its way through pages.

    `snapshot` is what there was at its first, in the order asked for.
    """

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
    """A walk through one symbol, or several, that begins now.

    last: of several only so many of the newest rows of each.
    """
    rows_name = "trades" if dataset == "trades" else "bars"
    query = {**RANGE, "sort": sort} | ({} if dataset == "trades" else {"resolution": "1m"})
    if last is not None:
        query = {name: value for name, value in query.items() if name != "start"} | {"last": str(last)}
    path = f"/api/v1/market-data/equities/{logs[0].symbol}/{dataset}"
    step = -1 if sort == "desc" else 1
    snapshot = logs[0].rows(dataset)[::step]
    if len(logs) > 1:
        path = f"/api/v1/market-data/equities/{dataset}"
        query["symbols"] = ",".join(log.symbol for log in logs)
        begin = 0 if last is None else -last
        snapshot = [
            {"symbol": log.symbol, **row} for log in logs for row in log.rows(dataset)[begin:][::step]
        ]
    return Walk(api, path, rows_name, query, form, snapshot)
