"""The regular session's daily bar against one made row by row."""

import math
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from store.bar_policies import US_EQUITIES
from store.bars.bars import Bars, bars_of
from store.bars.prints import STANDS
from store.bars.session_bars import aggregate_rows, session_bars_of
from tests.chance import examples
from tests.store.builders import DAY, NOON
from tests.store.printed_days import Row, in_order, role_of, several_days, table

AUCTIONS = {"opening_print", "closing_print"}


def tuples(bars: Bars) -> list[tuple[float, ...]]:
    return list(zip(*(getattr(bars, name).tolist() for name in Bars.__slots__), strict=True))


def words(row: Row) -> set[str]:
    return set((row["conditions"] or "").split(";"))


def largest(rows: list[Row], word: str) -> list[float]:
    return [row["price"] for row in sorted(rows, key=lambda row: -row["volume"]) if word in words(row)][:1]


def slow_session(rows: list[Row], at: int) -> tuple[float, ...] | None:
    """The bar of one date's ordered rows."""
    rows = [row for row in rows if row["commit"] <= at < row["until"] and "suspicious" not in words(row)]
    roles = [(row, role_of(row, US_EQUITIES, at), words(row)) for row in rows]
    inside = [
        (row, role, said) for row, role, said in roles if said & AUCTIONS or "extended_hours" not in said
    ]
    prices = [row["price"] for row, role, said in inside if said & AUCTIONS or role.sets_open_close]
    if not prices:
        return None
    open_ = (largest(rows, "opening_print") or prices)[0]
    close = (largest(rows, "closing_print") or largest(rows, "official_close") or prices[-1:])[0]
    counted = [row for row, role, said in inside if said & AUCTIONS or role.counts_volume]
    extremes = [*prices, open_, close]
    volume = math.fsum(row["volume"] for row in counted)
    notional = math.fsum(row["price"] * row["volume"] for row in counted)
    return open_, max(extremes), min(extremes), close, volume, len(counted), notional


@settings(max_examples=examples(150), deadline=None)
@given(drawn=st.lists(several_days, max_size=30), at=st.sampled_from([None, 1, 3]))
def test_session_bars_equal_bars_made_row_by_row(drawn, at):
    rows = in_order(drawn)
    expected = []
    for date in sorted({row["timestamp"] // DAY * DAY for row in rows}):
        bar = slow_session(
            [r for r in rows if r["timestamp"] // DAY * DAY == date], STANDS - 1 if at is None else at
        )
        expected += [(date, *bar)] if bar else []
    found = bars_of(aggregate_rows(table(rows), DAY, US_EQUITIES.session, commit=at))
    assert tuples(found) == expected


def day(*prints: tuple[float, float, str | None]) -> Bars:
    """The bars of prints (price, size, conditions) one second apart."""
    drawn = [
        {
            "timestamp": NOON + place * 10**9,
            "price": price,
            "volume": size,
            "sequence": None,
            "conditions": said,
        }
        | {"commit": 1, "lasts": None}
        for place, (price, size, said) in enumerate(prints)
    ]
    return session_bars_of(table(in_order(drawn)), US_EQUITIES)


def ohlcv(bars: Bars) -> list[float]:
    return [getattr(bars, name)[0] for name in ("open", "high", "low", "close", "volume")]


def test_auction_print_belongs_to_the_session_at_any_time():
    bars = day(
        (9.0, 7.0, "extended_hours"),
        (10.5, 1.0, "regular"),
        (10.0, 500.0, "opening_print"),
        (10.2, 1.0, "regular"),
        (14.0, 7.0, "extended_hours"),
        (11.0, 900.0, "closing_print"),
    )
    assert ohlcv(bars) == [10.0, 11.0, 10.0, 11.0, 1402.0]
    assert bars.time_ns.tolist() == [int(datetime(2025, 1, 2, tzinfo=UTC).timestamp()) * 10**9]


def test_largest_auction_print_counts_or_the_first_of_equals():
    small, first, second = (
        (1.0, 10.0, "opening_print"),
        (2.0, 90.0, "opening_print"),
        (3.0, 90.0, "opening_print"),
    )
    assert ohlcv(day(small, first, second))[0] == 2.0


def test_official_close_is_used_without_a_closing_auction():
    bars = day((1.0, 5.0, None), (2.0, 5.0, None), (3.0, 8.0, "official_close"))
    assert ohlcv(bars) == [1.0, 3.0, 1.0, 3.0, 10.0]
