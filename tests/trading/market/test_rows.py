"""Stored rows as values: which prints may fill, which quotes may be marks."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES, TRADING_STATUS
from store.declarations import Dataset
from store.instruments import Instrument
from store.timestamps import DAY_NS, SECOND_NS
from tests.calendars.published import ns
from tests.store.builders import Row
from tests.trading.stored import NOON, SYMBOL, batch_of, quote, trade
from trading.core.events import BarPrint, Print, RowRef
from trading.core.rows import CorporateAction, Quote, StatusChange
from trading.market.rows import LATE_NS, FollowedRows, market_values

STOCK = Instrument(SYMBOL, exchange="XNYS", bar_policy="us_equities")
CRYPTO = Instrument("BTC-USD", instrument_class="crypto")


def ref_of(dataset: Dataset, row: Row, ordinal: int = 0) -> RowRef:
    return RowRef(
        dataset=dataset.name, symbol=SYMBOL, commit="1-abcdef", ordinal=ordinal, timestamp_ns=row["timestamp"]
    )


def values(
    dataset: Dataset, *rows: Row, known_ns: int | None = None, instrument: Instrument = STOCK, **facts: Any
) -> list[Any]:
    known = [row["timestamp"] if known_ns is None else known_ns for row in rows]
    refs = [ref_of(dataset, row, ordinal) for ordinal, row in enumerate(rows)]
    batch, before_ns = batch_of(dataset, *rows), np.zeros(len(rows), np.int64)
    return list(
        market_values(FollowedRows(dataset, instrument, batch, refs, np.array(known), before_ns, **facts))
    )


def is_eligible(row: Row, **facts: Any) -> bool:
    (value,) = values(TRADES, row, **facts)
    assert isinstance(value, Print)
    return value.is_eligible


def test_a_print_has_the_shortest_texts_of_its_numbers():
    row = trade(1, 100.1, volume=0.3)
    expected = Print(
        ref=ref_of(TRADES, row), price=Decimal("100.1"), volume=Decimal("0.3"), known_ns=NOON + SECOND_NS
    )
    assert values(TRADES, row) == [expected]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (None, True),
        ("regular", True),
        ("intermarket_sweep", False),
        ("trade_through_exempt", True),
        ("odd_lot", False),
        ("regular;out_of_sequence", False),
        ("opening_print", False),
        ("suspicious", False),
    ],
)
def test_words_decide_by_the_policy_and_by_their_moment(words: str | None, expected: bool):
    assert is_eligible(trade(conditions=words)) is expected


def test_a_policy_that_counts_all_prints_has_no_auctions_either():
    assert is_eligible(trade(conditions="intermarket_sweep"), instrument=CRYPTO)
    assert not is_eligible(trade(conditions="closing_print"), instrument=CRYPTO)


@pytest.mark.parametrize(("late_ns", "expected"), [(0, True), (LATE_NS, True), (LATE_NS + 1, False)])
def test_a_late_print_does_not_count(late_ns: int, expected: bool):
    assert is_eligible(trade(), known_ns=NOON + late_ns) is expected


def test_prints_without_volume_of_backfills_and_outside_the_session_do_not_count():
    assert not is_eligible(trade(volume=0.0))
    assert not is_eligible(trade(), is_filled=True)
    evening = trade(6 * 3_600)
    assert not is_eligible(evening)
    assert is_eligible(evening, instrument=CRYPTO)


def test_each_row_is_judged_by_itself():
    rows = [trade(0), trade(1, conditions="odd_lot"), trade(2, volume=0.0), trade(3)]
    assert [each.is_eligible for each in values(TRADES, *rows)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("row", "sides", "expected"),
    [
        (quote(), ("99.0", "101.0"), True),
        (quote(bid=None), (None, "101.0"), False),
        (quote(ask=None), ("99.0", None), False),
        (quote(bid=0.0), (None, "101.0"), True),
        (quote(bid=101.0), ("101.0", "101.0"), True),
        (quote(bid=102.0), ("102.0", "101.0"), True),
        (quote(conditions="non_firm"), ("99.0", "101.0"), False),
    ],
    ids=["both sides", "no bid", "no ask", "bid of zero", "locked", "crossed", "non-firm"],
)
def test_a_quote_has_its_sides(row: Row, sides: tuple[str | None, ...], expected: bool):
    bid, ask = (None if side is None else Decimal(side) for side in sides)
    found = Quote(ref=ref_of(QUOTES, row), bid=bid, ask=ask, known_ns=NOON, is_eligible=expected)
    assert values(QUOTES, row) == [found]
    assert found.middle == (None if bid is None or ask is None else (bid + ask) / 2)


def test_prices_of_zero_are_prices_where_the_instrument_has_them():
    spread = Instrument(SYMBOL, allow_nonpositive_price=True)
    (found,) = values(QUOTES, quote(bid=-0.5, ask=0.0), instrument=spread)
    assert (found.bid, found.ask) == (Decimal("-0.5"), Decimal("0.0"))


@pytest.mark.parametrize("volume", [7.0, None])
def test_a_bar_ends_with_its_interval(volume: float | None):
    prices = {"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": volume}
    row = {"timestamp": NOON, "resolution": "5m", **prices}
    amounts: dict[str, Any] = {
        name: None if value is None else Decimal(repr(value)) for name, value in prices.items()
    }
    end_ns = NOON + 300 * SECOND_NS
    assert values(BARS, row) == [BarPrint(ref=ref_of(BARS, row), end_ns=end_ns, known_ns=NOON, **amounts)]


def test_actions_and_changes_of_status():
    split = {"timestamp": NOON, "kind": "split", "ratio": 4.0}
    dividend = {"timestamp": NOON, "kind": "dividend", "amount": 0.25, "currency": "USD"}
    first, second = values(CORPORATE_ACTIONS, split, dividend)
    named = {"known_ns": NOON}
    assert first == CorporateAction(
        ref=ref_of(CORPORATE_ACTIONS, split),
        date=NOON // DAY_NS,
        effective_ns=NOON,
        kind="split",
        ratio=Decimal("4.0"),
        amount=None,
        currency=None,
        **named,
    )
    assert (second.amount, second.currency, second.ratio) == (Decimal("0.25"), "USD", None)
    halt = {"timestamp": NOON, "status": "halted", "reason": "T1"}
    expected = StatusChange(ref=ref_of(TRADING_STATUS, halt), status="halted", reason="T1", **named)
    assert values(TRADING_STATUS, halt) == [expected]


def test_midnight_utc_means_the_start_of_a_trading_date():
    midnight = ns("2024-03-13T00:00")
    (dividend,) = values(CORPORATE_ACTIONS, {"timestamp": midnight, "kind": "dividend", "amount": 0.25})
    assert (dividend.date, dividend.effective_ns) == (midnight // DAY_NS, ns("2024-03-13T04:00"))
