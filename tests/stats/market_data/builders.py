"""A fortnight around Christmas 2024, made from a seed: what every test of the market data asks about.

Rows are as the oracle takes them: in order of arrival, with `time_ns` for their timestamp.
"""

import datetime as dt
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from calendars.trading_calendar import NOT_CLOSED, exchange_calendar
from tests.api_client import Api, answer
from tests.stats.market_data.oracle import SECOND_NS, Row
from tests.stats.market_data.published_hours import XCME, XNYS, Exchange, Session

FIRST, BEHIND = dt.date(2024, 12, 23), dt.date(2025, 1, 4)
EQUITY, FUTURE, CRYPTO, SPLIT = "ACME", "ESH25", "BTC-USD", "SPLT"
UNIVERSE = "SMALL"
CALL, PUT = "ACME250117C00100000", "ACME250117P00100000"
HOUR_NS = 3_600 * SECOND_NS
# Around the early close of 24 December; the opening of an evening session.
EQUITY_HOUR = 1_735_061_400 * SECOND_NS
FUTURE_HOUR = 1_734_993_000 * SECOND_NS


@dataclass
class Market:
    """An installation with data, and the data: rows by (dataset, symbol)."""

    api: Api
    rows: dict[tuple[str, str], list[Row]] = field(default_factory=dict)

    def add(self, dataset: str, symbol: str, rows: Sequence[Row]) -> None:
        """Ingest rows in their order, equal ones too, and remember them."""
        ingest(self.api, dataset, symbol, rows)
        self.rows.setdefault((dataset, symbol), []).extend(rows)


def complete_until_now() -> str:
    """The query parameter by which a feed says that it has sent everything."""
    return f"complete_until={int(time.time())}"


def timestamp(time_ns: int) -> str:
    """RFC 3339, to the nanosecond."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def ingest(api: Api, dataset: str, symbol: str, rows: Iterable[Row]) -> None:
    """Send rows of a feed that is complete until now, so that a bar is final as soon as its interval is over."""
    sent = [
        {
            "symbol": symbol,
            "timestamp": timestamp(row["time_ns"]),
            **{k: v for k, v in row.items() if k != "time_ns"},
        }
        for row in rows
    ]
    path = f"/api/v1/{dataset.replace('_', '-')}/ingest"
    response = api.ingest(
        orjson.dumps({dataset: sent}), path=path, query=f"dedupe=none&{complete_until_now()}"
    )
    assert response.status_code == 200, response.content
    assert answer(response)["stored"] == len(sent)


def tell(api: Api, symbol: str, **facts: Any) -> None:
    """Say what an instrument is."""
    response = api.call("PUT", f"/api/v1/instruments/{symbol}", orjson.dumps(facts))
    assert response.status_code in {200, 201}, response.content


def without_proofs(times: Iterable[int], exchange: str) -> list[int]:
    """Leave out instants that are half an hour after the first one of their closed date: over an hour they prove a session."""
    ordered, first = sorted(times), dict[int, int]()
    closed = exchange_calendar(exchange).closed_dates_of(np.array(ordered, np.int64)).tolist()
    return [
        at
        for at, date in zip(ordered, closed, strict=True)
        if date == NOT_CLOSED or at - first.setdefault(date, at) < HOUR_NS // 2
    ]


def sessions(exchange: Exchange) -> list[Session]:
    return [session for session in exchange.sessions if FIRST <= session.date < BEHIND]


def moments(chance: random.Random, start_ns: int, end_ns: int, count: int) -> list[int]:
    """Instants of a range, a third of them to the nanosecond, to the millisecond and to the second, some of them equal."""
    found: list[int] = []
    for _ in range(count):
        unit = chance.choice([1, 1_000_000, SECOND_NS])
        time_ns = -(-chance.randrange(start_ns, end_ns - SECOND_NS) // unit) * unit
        found.append(chance.choice(found) if found and chance.random() < 0.15 else time_ns)
    return found


def equity_times(chance: random.Random) -> list[int]:
    """Trades before, in and after every session, on its very edges, on a holiday and at a weekend."""
    found = moments(chance, EQUITY_HOUR, EQUITY_HOUR + HOUR_NS, 60)
    for session in sessions(XNYS):
        found += moments(chance, session.pre_ns, session.opens_ns, 5)
        found += moments(chance, session.opens_ns, session.closes_ns, 25)
        found += moments(chance, session.closes_ns, session.post_ns, 5)
        found += [session.pre_ns, session.opens_ns, session.closes_ns, session.post_ns, session.label_ns]
        found += [session.opens_ns - 1, session.closes_ns - 1]
    holiday_ns, weekend_ns = 1_735_142_400 * SECOND_NS, 1_735_398_000 * SECOND_NS
    return [*found, holiday_ns, weekend_ns]


def future_times(chance: random.Random) -> list[int]:
    """Trades of evening and day sessions and on their edges, and one on a Saturday."""
    found = moments(chance, FUTURE_HOUR + HOUR_NS // 2, FUTURE_HOUR + HOUR_NS, 40)
    for session in sessions(XCME):
        day_ns = (session.opens_ns + session.closes_ns) // 2
        found += moments(chance, session.opens_ns, day_ns, 12)
        found += moments(chance, day_ns, session.closes_ns - HOUR_NS, 12)
        found += [session.opens_ns, session.closes_ns - HOUR_NS // 12, session.closes_ns]
    return [*found, 1_735_398_000 * SECOND_NS]


def crypto_times(chance: random.Random) -> list[int]:
    """Trades at any hour of any day."""
    first_ns = sessions(XNYS)[0].label_ns
    return moments(chance, first_ns, first_ns + 11 * 24 * HOUR_NS, 300) + moments(
        chance, EQUITY_HOUR, EQUITY_HOUR + HOUR_NS, 50
    )


def trades(chance: random.Random, times: Iterable[int], *, price: float, unit: float = 1.0) -> list[Row]:
    """Trades at the times, one in ten of them late, some without volume, some with a sequence, ids, words, some repeated."""
    found: list[Row] = []
    for number, time_ns in enumerate(sorted(times)):
        price = round(max(price + chance.choice([-0.05, -0.01, 0, 0.01, 0.05]), 1), 2)
        volume = 0 if chance.random() < 0.03 else round(chance.randrange(1, 500) * unit, 4)
        row: Row = {"time_ns": time_ns, "price": price, "volume": volume}
        if chance.random() < 0.5:
            row["sequence"] = chance.randrange(1_000)
        if chance.random() < 0.3:
            row |= {"trade_id": f"t{number}", "exchange": chance.choice(["XNYS", "ARCX"])}
        if chance.random() < 0.2:
            row["conditions"] = chance.choice([["regular"], ["odd_lot", "extended_hours"]])
        found += [row] if "trade_id" in row or chance.random() < 0.9 else [row, dict(row)]
    return _with_late(chance, found)


def quotes(chance: random.Random, times: Iterable[int], *, price: float, venues: Sequence[str]) -> list[Row]:
    """Quotes at the times: two-sided, one-sided, locked, crossed."""
    found: list[Row] = []
    for time_ns in sorted(times):
        price = round(max(price + chance.choice([-0.1, 0, 0.1]), 1), 2)
        spread = chance.choice([0.05, 0.05, 0.05, 0.1, 0, -0.05])
        row: Row = {
            "time_ns": time_ns,
            "bid": price, "bid_size": chance.randrange(1, 50),
            "ask": round(price + spread, 2), "ask_size": chance.randrange(1, 50),
            "exchange": chance.choice(venues),
        }  # fmt: skip
        missing = chance.choice([(), (), (), (), ("bid", "bid_size"), ("ask", "ask_size")])
        found.append({name: value for name, value in row.items() if name not in missing})
    return _with_late(chance, found)


def _with_late(chance: random.Random, rows: Sequence[Row]) -> list[Row]:
    is_late = [chance.random() < 0.1 for _ in rows]
    return [row for row, late in zip(rows, is_late, strict=True) if not late] + [
        row for row, late in zip(rows, is_late, strict=True) if late
    ]


def open_interest(chance: random.Random, exchange: Exchange) -> list[Row]:
    """A preliminary figure in the evening of each trading date, the final one on the next morning."""
    found = []
    for session in sessions(exchange):
        figure = chance.randrange(10_000, 20_000)
        reports = ((1, "preliminary", figure), (14, "final", figure + chance.randrange(100)))
        found += [
            {
                "time_ns": session.closes_ns + hours * HOUR_NS, "date": session.date.isoformat(),
                "open_interest": figure, "status": status,
            }
            for hours, status, figure in reports
        ]  # fmt: skip
    return found


ACTIONS = [
    {"date": "2024-12-26", "kind": "split", "ratio": 4.0},
    {"date": "2024-12-31", "kind": "dividend", "amount": 0.5, "currency": "USD"},
    {"date": "2025-01-02", "kind": "split", "ratio": 0.5},
]


def fill(market: Market, seed: int = 20_241_223) -> None:
    """All of the fortnight."""
    chance = random.Random(seed)
    tell_all(market.api)
    hour = moments(chance, EQUITY_HOUR, EQUITY_HOUR + HOUR_NS, 60)
    market.add("trades", EQUITY, trades(chance, equity_times(chance), price=100.0))
    market.add(
        "quotes", EQUITY, quotes(chance, hour + equity_times(chance), price=100.0, venues=["XNYS", "ARCX"])
    )
    market.add("trades", FUTURE, trades(chance, future_times(chance), price=6_000.0))
    market.add("quotes", FUTURE, quotes(chance, future_times(chance), price=6_000.0, venues=["XCME"]))
    market.add("open_interest", FUTURE, open_interest(chance, XCME))
    market.add("trades", CRYPTO, trades(chance, crypto_times(chance), price=95_000.0, unit=0.001))
    market.add("quotes", CRYPTO, quotes(chance, crypto_times(chance), price=95_000.0, venues=["COIN"]))
    for symbol, price in ((CALL, 4.0), (PUT, 3.5)):
        market.add("option_quotes", symbol, quotes(chance, hour, price=price, venues=["XCBO", "XPHL"]))
        market.add("open_interest", symbol, open_interest(chance, XNYS))
    market.add("trades", SPLIT, trades(chance, equity_times(chance), price=80.0))
    market.rows["corporate_actions", SPLIT] = [*ACTIONS]
    ingest(
        market.api,
        "corporate_actions",
        SPLIT,
        [{"time_ns": midnight_ns(a["date"]), **_without_date(a)} for a in ACTIONS],
    )
    market.add("bars", EQUITY, stored_bars())
    market.add("universe_changes", UNIVERSE, universe_changes())
    market.add("trading_status", EQUITY, trading_status())


def universe_changes() -> list[Row]:
    """Two symbols join, one leaves during the equity's hour and comes back."""
    changes = ((-48, EQUITY, "add"), (-48, SPLIT, "add"), (0, SPLIT, "remove"), (48, SPLIT, "add"))
    return [
        {"time_ns": EQUITY_HOUR + hours * HOUR_NS + HOUR_NS // 2, "member": member, "action": action}
        for hours, member, action in changes
    ]


def trading_status() -> list[Row]:
    """A halt of ten minutes in the equity's hour, and one without an end days before."""
    changes = (
        (-96 * HOUR_NS, "halted", "T1"),
        (HOUR_NS // 2, "halted", "LUDP"),
        (HOUR_NS * 2 // 3, "resumed", None),
    )
    return [
        {"time_ns": EQUITY_HOUR + after_ns, "status": status, **({"reason": reason} if reason else {})}
        for after_ns, status, reason in changes
    ]


def midnight_ns(date: Any) -> int:
    return int(dt.datetime.fromisoformat(f"{date}T00:00:00+00:00").timestamp()) * SECOND_NS


def _without_date(action: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in action.items() if name != "date"}


def stored_bars() -> list[Row]:
    """Bars of a vendor with prices of their own, of intervals that have trades."""
    prices = {"open": 500.0, "high": 501.0, "low": 499.0, "close": 500.5, "volume": 7.0}
    minute = {"time_ns": EQUITY_HOUR + HOUR_NS // 2, "resolution": "1m", **prices}
    hour = {"time_ns": EQUITY_HOUR // HOUR_NS * HOUR_NS, "resolution": "1h", **prices}
    return [minute, hour, {"time_ns": midnight_ns("2024-12-24"), "resolution": "1d", **prices}]


def tell_all(api: Api) -> None:
    """What the instruments are."""
    tell(api, EQUITY, **{"class": "equity", "exchange": "XNYS", "currency": "USD"})
    tell(api, SPLIT, **{"class": "equity", "exchange": "XNYS", "currency": "USD"})
    tell(api, FUTURE, **{"class": "future", "exchange": "XCME", "currency": "USD"})
    for symbol in (CALL, PUT):
        tell(
            api, symbol, **{"class": "option", "exchange": "XCBO", "currency": "USD", "exercise": "european"}
        )
    tell(api, CRYPTO, **{"class": "crypto", "volume_kind": "fractional", "exchange": "BINA"})
