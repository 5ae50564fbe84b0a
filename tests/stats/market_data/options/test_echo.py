"""What is echoed of the inputs, beside what was found of them."""

import numpy as np
import pyarrow as pa
import pytest

from stats.market_data.options.rows import GREEKS, INPUTS, greek_columns, input_columns
from tests.stats.options.builders import inputs_of, valued


def test_the_answer_has_every_input():
    inputs = inputs_of(
        price=[4.76, np.nan, 4.0, 4.0],
        spot=[42.0, 42.0, np.nan, np.nan],
        rate=0.1,
        dividend_yield=0.01,
        parity_forward=[np.nan, 43.0, np.nan, 43.0],
    )
    found = valued(inputs)
    columns = input_columns(inputs, found)
    assert tuple(columns) == (*INPUTS, "reason")
    assert columns["forward_source"].to_pylist() == ["spot", "parity", None, "parity"]
    assert columns["reason"].to_pylist() == [None, "no_quote", "no_underlying", None]
    assert columns["spot"].to_pylist() == [42.0, 42.0, None, pytest.approx(43.0 * np.exp(-0.09 * 0.5))]
    assert columns["forward"].to_pylist()[1:] == [43.0, None, 43.0]
    assert columns["price"].to_pylist() == [4.76, None, 4.0, 4.0]
    assert columns["dividend_yield"].to_pylist() == [
        0.01,
        pytest.approx(0.1 - np.log(43 / 42) / 0.5),
        0.01,
        0.01,
    ]


def test_numbers_are_null_where_there_is_a_reason_and_nowhere_nan():
    found = valued(inputs_of(price=[4.76, 100.0]))
    for name, column in greek_columns(found).items():
        assert name in GREEKS
        assert [value is None for value in column.to_pylist()] == [False, True]
        assert not pa.compute.any(pa.compute.is_nan(column)).as_py()
