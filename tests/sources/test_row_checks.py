"""Which rows of a source are stored, which are refused, and which prices are worth a warning."""

import numpy as np
import pyarrow as pa
import pytest

from sources.protocol import SourceFailed
from sources.row_checks import far_price, rows_check
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import Dataset
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS, SECOND_NS, parse_timestamp

START_NS = parse_timestamp("2025-01-02T14:30:00Z")
WINDOW = Window(START_NS, START_NS + 3600 * SECOND_NS)
BESIDE = (190.0, 200.0)


def batch(dataset: Dataset, **columns) -> pa.RecordBatch:
    count = len(next(iter(columns.values())))
    arrays = [pa.array(columns.get(field.name, [None] * count), field.type) for field in dataset.schema]
    return pa.record_batch(arrays, schema=dataset.schema)


def trades(count: int, **columns) -> pa.RecordBatch:
    """Trades, one a second."""
    times = [START_NS + row * SECOND_NS for row in range(count)]
    usual = {"timestamp": times, "price": [190.0] * count, "volume": [100.0] * count}
    return batch(TRADES, **{**usual, **columns})


def checked(
    rows: pa.RecordBatch,
    window: Window = WINDOW,
    dataset: Dataset = TRADES,
    *,
    allows_nonpositive: bool = False,
) -> pa.RecordBatch:
    return rows_check(rows, dataset, window, allows_nonpositive=allows_nonpositive)


def at(*seconds: float) -> list[int]:
    return [START_NS + int(second * SECOND_NS) for second in seconds]


@pytest.mark.parametrize("count", [0, 1_000])
def test_good_rows_are_stored_as_they_are(count: int):
    assert checked(trades(count)).equals(trades(count))


@pytest.mark.parametrize(
    ("columns", "row", "reason"),
    [
        ({"price": [190.0, -1.0, 0.0]}, 1, "price"),
        ({"price": [190.0, 190.0, float("nan")]}, 2, "price"),
        ({"volume": [1.0, 1.0, -1.0]}, 2, "volume"),
        ({"price": [None, 190.0, 190.0]}, 0, "price"),
        ({"timestamp": [START_NS, None, START_NS]}, 1, "timestamp"),
        ({"exchange": ["X", "has spaces", None]}, 1, "exchange"),
        ({"timestamp": at(-0.000000001, 1, 2)}, 0, "lies outside of the window"),
        ({"timestamp": at(0, 1, 3600)}, 2, "lies outside of the window"),
        ({"timestamp": at(0, 2, 1)}, 2, "lies before the row before it"),
        ({"trade_id": ["1", "2", "1"], "exchange": ["A", "A", "A"]}, 2, "has the id of a row before it"),
        ({"trade_id": ["1", "1", None]}, 1, "has the id of a row before it"),
    ],
)
def test_the_first_wrong_row_is_named(columns, row: int, reason: str):
    with pytest.raises(SourceFailed, match=rf"^row {row}, \S+, {reason}"):
        checked(trades(3, **columns))


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
    assert checked(trades(3, **columns)).num_rows == 3


def test_an_id_may_come_again_on_another_date():
    rows = trades(2, timestamp=[START_NS, START_NS + DAY_NS], trade_id=["1", "1"], exchange=["A", "A"])
    assert checked(rows, ALL_TIME).num_rows == 2


def test_ids_of_several_columns_are_compared_together():
    rows = batch(
        CORPORATE_ACTIONS, timestamp=at(0, 0, 0), kind=["split", "dividend", "dividend"], ratio=[2.0, None, None],
        amount=[None, 1.0, 1.0], currency=[None, "USD", "USD"],
    )  # fmt: skip
    with pytest.raises(SourceFailed, match=r"^row 2, .* has the id of a row before it"):
        checked(rows, dataset=CORPORATE_ACTIONS)


def test_of_many_ids_the_one_that_repeats_is_found():
    ids = np.random.default_rng(7).permutation(100_000)
    ids[77_777] = ids[5]
    rows = trades(
        100_000,
        timestamp=[START_NS + row for row in range(100_000)],
        trade_id=[str(each) for each in ids],
        exchange=[f"X{each % 3}" for each in ids],
    )
    with pytest.raises(SourceFailed, match=r"^row 77,777, "):
        checked(rows, ALL_TIME)


def test_prices_below_zero_are_of_instruments_that_allow_them():
    assert checked(trades(1, price=[-35.0]), allows_nonpositive=True).num_rows == 1


# Far prices


@pytest.mark.parametrize(
    ("price", "is_far"), [(152.0, False), (151.9, True), (240.0, False), (240.1, True), (159.0, False)]
)
def test_a_price_a_fifth_from_both_sides_is_far(price: float, is_far: bool):
    text = "row 1, 2025-01-02T14:30:01Z, differs by more than 20 % from the prices beside the gap"
    assert far_price(trades(2, price=[190.0, price]), TRADES, BESIDE) == (text if is_far else "")


def test_a_price_near_one_side_is_not_far():
    """As after a split that the gap hides."""
    assert far_price(trades(2, price=[400.0, 40.0]), TRADES, (400.0, 40.0)) == ""
    assert far_price(trades(2, price=[400.0, 100.0]), TRADES, (400.0, 40.0)).startswith("row 1, ")


@pytest.mark.parametrize("beside", [(), (1.0,), (0.0, 1.0)])
def test_nothing_is_far_where_a_side_is_unknown(beside: tuple[float, ...]):
    assert far_price(trades(1), TRADES, beside) == ""


@pytest.mark.parametrize(
    ("dataset", "name"), [(QUOTES, "bid"), (QUOTES, "ask"), (BARS, "high"), (BARS, "low")]
)
def test_quotes_and_bars_have_prices_too(dataset: Dataset, name: str):
    rows = batch(dataset, timestamp=[START_NS], **{name: [900.0]})
    assert far_price(rows, dataset, BESIDE).startswith("row 0, ")
