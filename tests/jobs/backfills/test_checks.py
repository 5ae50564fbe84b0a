"""What is stored of what came back, what is refused, and what a person must see."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.backfills.checks import Surroundings, Verdict, rows_check
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS, SECOND_NS
from tests.jobs.backfills.answers import START_NS, WINDOW, trades

AROUND = Surroundings(before=190.0, after=200.0)


def checked(rows: pa.Table, around: Surroundings = AROUND, window: Window = WINDOW):
    return rows_check(rows, TRADES, window, around)


def priced(*prices: float, **columns) -> pa.Table:
    return trades(len(prices), price=list(prices), **columns)


def test_good_rows_are_accepted_as_they_are():
    result = checked(trades(1_000))
    assert (result.verdict, result.code, result.row) == (Verdict.ACCEPTED, "", None)
    assert pa.Table.from_batches([result.rows]).equals(trades(1_000).combine_chunks())


def test_no_rows_are_accepted():
    result = checked(TRADES.schema.empty_table())
    assert result.rows is not None
    assert (result.verdict, result.rows.num_rows) == (Verdict.ACCEPTED, 0)


def at(*seconds: float) -> list[int]:
    return [START_NS + int(second * SECOND_NS) for second in seconds]


@pytest.mark.parametrize(
    ("columns", "code", "row"),
    [
        ({"price": [190.0, -1.0, 0.0]}, "nonpositive_price", 1),
        ({"price": [190.0, 190.0, float("nan")]}, "out_of_range", 2),
        ({"volume": [1.0, 1.0, -1.0]}, "negative_volume", 2),
        ({"price": [None, 190.0, 190.0]}, "null", 0),
        ({"timestamp": [START_NS, None, START_NS]}, "null", 1),
        ({"exchange": ["X", "has spaces", None]}, "invalid_text", 1),
        ({"timestamp": at(-0.000000001, 1, 2)}, "outside_window", 0),
        ({"timestamp": at(0, 1, 3600)}, "outside_window", 2),
        ({"timestamp": at(0, 2, 1)}, "not_in_order", 2),
        ({"trade_id": ["1", "2", "1"], "exchange": ["A", "A", "A"]}, "duplicate_id", 2),
        ({"trade_id": ["1", "1", None]}, "duplicate_id", 1),
    ],
)
def test_the_first_wrong_row_is_named(columns, code: str, row: int):
    result = checked(trades(3, **{"price": [190.0] * 3, **columns}))
    assert (result.verdict, result.code, result.row, result.rows) == (Verdict.REFUSED, code, row, None)
    assert result.reason.startswith(f"row {row}, ")


@pytest.mark.parametrize(
    "columns",
    [
        {"timestamp": at(1, 1, 1)},
        {"trade_id": ["1", "1", "1"], "exchange": ["A", "B", None]},
        {"trade_id": [None] * 3, "exchange": ["A"] * 3, "timestamp": at(1, 1, 1)},
        {"timestamp": at(0, 3599.999999999, 3599.999999999)},
    ],
)
def test_rows_without_ids_may_repeat_and_ids_are_of_an_exchange(columns):
    assert checked(trades(3, price=[190.0] * 3, **columns)).verdict is Verdict.ACCEPTED


def test_an_id_may_come_again_on_another_date():
    rows = trades(2, timestamp=[START_NS, START_NS + DAY_NS], trade_id=["1", "1"], exchange=["A", "A"])
    assert checked(rows, window=ALL_TIME).verdict is Verdict.ACCEPTED


def test_ids_of_several_columns_are_compared_together():
    columns = {
        "timestamp": at(0, 0, 0), "kind": ["split", "dividend", "dividend"], "ratio": [2.0, None, None],
        "amount": [None, 1.0, 1.0], "currency": [None, "USD", "USD"], "action_id": [None] * 3,
    }  # fmt: skip
    rows = pa.table(columns, schema=CORPORATE_ACTIONS.schema)
    result = rows_check(rows, CORPORATE_ACTIONS, WINDOW, AROUND)
    assert (result.code, result.row) == ("duplicate_id", 2)


def test_of_many_ids_the_one_that_repeats_is_found():
    chance = np.random.default_rng(7)
    ids = chance.permutation(100_000)
    ids[77_777] = ids[5]
    columns = {
        "timestamp": [START_NS + row for row in range(100_000)],
        "trade_id": [str(each) for each in ids],
        "exchange": [f"X{each % 3}" for each in ids],
    }
    result = checked(trades(100_000, **columns), window=ALL_TIME)
    assert (result.code, result.row) == ("duplicate_id", 77_777)


def test_prices_below_zero_are_of_instruments_that_allow_them():
    around = Surroundings(before=-30.0, after=-37.0, allows_nonpositive=True)
    assert checked(priced(-35.0), around).verdict is Verdict.ACCEPTED


# The price test


@pytest.mark.parametrize(
    ("price", "verdict"),
    [
        (152.0, Verdict.ACCEPTED), (151.9, Verdict.QUARANTINED), (240.0, Verdict.ACCEPTED), (240.1, Verdict.QUARANTINED),
        (159.0, Verdict.ACCEPTED), (229.0, Verdict.ACCEPTED),
    ],
)  # fmt: skip
def test_a_price_a_fifth_from_both_sides_is_shown_to_a_person(price: float, verdict: Verdict):
    result = checked(priced(190.0, price))
    assert result.verdict is verdict
    assert result.rows is not None
    if verdict is Verdict.QUARANTINED:
        assert (result.code, result.row) == ("far_price", 1)


def test_a_price_near_one_side_is_no_question():
    """As after a split that the gap hides."""
    assert checked(priced(400.0, 40.0), Surroundings(400.0, 40.0)).verdict is Verdict.ACCEPTED
    assert checked(priced(400.0, 100.0), Surroundings(400.0, 40.0)).verdict is Verdict.QUARANTINED


@pytest.mark.parametrize(
    "around", [Surroundings(), Surroundings(before=1.0), Surroundings(after=1.0), Surroundings(0.0, 1.0)]
)
def test_nothing_is_far_where_a_side_is_unknown(around: Surroundings):
    assert checked(priced(190.0), around).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    "words", ["opening_print", "regular;closing_print", "official_close", "reopening_print", "cross"]
)
def test_prices_of_auctions_may_be_half_off(words: str):
    prices = (100.0, 280.0)
    assert checked(priced(*prices, conditions=[words, words])).verdict is Verdict.ACCEPTED
    assert checked(priced(*prices, conditions=["regular", None])).verdict is Verdict.QUARANTINED
    assert checked(priced(94.0, conditions=[words])).verdict is Verdict.QUARANTINED


def test_the_first_prints_from_an_instant_on_may_be_half_off():
    prices = priced(190.0, 120.0, 120.0, 190.0, timestamp=at(0, 5, 5, 6))
    around = Surroundings(190.0, 200.0, wide_ns=at(3))
    assert checked(prices, around).verdict is Verdict.ACCEPTED
    result = checked(priced(190.0, 190.0, 120.0, timestamp=at(0, 5, 6)), around)
    assert (result.verdict, result.row) == (Verdict.QUARANTINED, 2)
    assert checked(priced(190.0), Surroundings(190.0, 200.0, wide_ns=at(99))).verdict is Verdict.ACCEPTED


def test_how_many_are_far_is_told():
    result = checked(priced(190.0, 900.0, 1_000.0))
    assert result.reason == (
        "row 1, 2025-01-02T14:30:01Z, is far from the prices on both sides of the gap; so are 1 others"
    )


@pytest.mark.parametrize(
    ("dataset", "name"), [(QUOTES, "bid"), (QUOTES, "ask"), (BARS, "high"), (BARS, "low")]
)
def test_quotes_and_bars_have_prices_too(dataset, name: str):
    usual = {"open": 195.0, "high": 195.0, "low": 195.0, "close": 195.0, "resolution": "1m", "volume": 1.0}
    given = {"timestamp": START_NS, **usual, name: {"low": 1.0}.get(name, 900.0)}
    rows = pa.Table.from_pylist([given], schema=dataset.schema)
    assert rows_check(rows, dataset, WINDOW, AROUND).verdict is Verdict.QUARANTINED


def test_a_missing_side_of_a_quote_is_not_far():
    rows = pa.Table.from_pylist([{"timestamp": START_NS, "bid": 195.0}], schema=QUOTES.schema)
    assert rows_check(rows, QUOTES, WINDOW, AROUND).verdict is Verdict.ACCEPTED
