"""Which rows of a source are stored, which are refused, and which prices are worth a warning."""

import pyarrow as pa
import pytest

from sources.protocol import SourceRefused
from sources.row_checks import far_price, rows_checked
from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from store.timestamps import SECOND_NS, parse_timestamp

START_NS = parse_timestamp("2025-01-02T14:30:00Z")
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


def checked(rows: pa.RecordBatch, *, allows_nonpositive: bool = False) -> pa.RecordBatch:
    found = rows_checked(rows, TRADES, allows_nonpositive=allows_nonpositive)
    if found.wrong:
        assert found.rows.num_rows == rows.num_rows - len(found.left_out)
        raise SourceRefused(found.wrong)
    return found.rows


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
    ],
)
def test_the_first_wrong_row_is_named(columns, row: int, reason: str):
    with pytest.raises(SourceRefused, match=rf"^row {row}, \S+, {reason}"):
        checked(trades(3, **columns))


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
