"""Rows as CSV text: lossless, and readable by other programs."""

import io
import os
import shutil
import subprocess

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from store.csv.files.codec import decode_rows, encode_rows, header_line, header_of
from store.datasets import TRADES
from store.timestamps import EARLIEST_NS, LATEST_NS, format_timestamp
from tests.chance import SOAK
from tests.store.builders import NOON, record_batch, trade

pytestmark = pytest.mark.system

EXAMPLES = 1000 if SOAK else 30
TEXTS = ("trade_id", "exchange", "conditions")
HEADER_LINE = header_line(header_of(TRADES, TRADES.later_names))
COPIES = 500
FLAGS = {"true": True, "false": False}

visible = st.characters(min_codepoint=33, max_codepoint=126)
WORDS = ["NA", "nan", "null", "1", "1e5", "0x1", "=1,2", "'=", "''"]
risky = st.sampled_from([*",\"=+-@'é", '""', "\u202e", *WORDS])
texts = st.none() | st.lists(risky | st.text(visible, min_size=1, max_size=5), min_size=1, max_size=3).map(
    "".join
)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) - 2, 2**53 + 2).map(float)
instants = st.integers(EARLIEST_NS, LATEST_NS)
rows = st.builds(
    lambda at, **others: trade(**others) | {"timestamp": at},
    instants,
    price=numbers,
    volume=numbers,
    trade_id=texts,
    sequence=st.none() | st.integers(0, 2**53),
    exchange=texts,
    conditions=texts,
    received_at=st.none() | instants,
    buyer_is_maker=st.none() | st.booleans(),
)


def escaped(text):
    return "'" + text if text is not None and text.startswith(("=", "+", "-", "@", "'")) else text


def exact(rows):
    """Return rows with their floats as bits, so that -0.0 is not 0.0."""
    return [row | {name: row[name].hex() for name in ("price", "volume")} for row in rows]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(rows, min_size=1, max_size=6))
@example([trade(0, -0.0, 5e-324)])
@example([trade(0, 1.7976931348623157e308, -1e22), trade(0, 1.0, 2.0**53 + 2)])
def test_every_row_is_read_back_as_it_was(given_rows):
    text = encode_rows(TRADES, "A:B", record_batch(*given_rows))
    assert text.count(b"\n") == len(given_rows)
    read = decode_rows(TRADES, text)
    assert read.schema.equals(TRADES.schema)
    assert exact(read.to_pylist()) == exact(given_rows)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(rows, min_size=1, max_size=6))
def test_the_same_rows_in_other_places_of_a_buffer_are_the_same_text(given_rows):
    whole = record_batch(trade(0, trade_id="=0"), *given_rows, trade(0, trade_id="9"))
    part = whole.slice(1, len(given_rows))
    assert encode_rows(TRADES, "X", part) == encode_rows(TRADES, "X", record_batch(*given_rows))


@pytest.mark.parametrize("copies", [1, COPIES], ids=["few", "many"])
@pytest.mark.parametrize("cells", ["1", "X,1,2,3", ",,,,,,,,,,,,", "x,X,1,2,,,,,,"])
def test_lines_that_do_not_fit_the_header_are_refused(cells, copies):
    with pytest.raises(pa.ArrowInvalid):
        decode_rows(TRADES, (cells + "\n").encode() * copies)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(rows, min_size=1, max_size=6))
def test_pandas_reads_the_same_values(given_rows):
    text = HEADER_LINE + encode_rows(TRADES, "BRK.B", record_batch(*given_rows))
    frame = pd.read_csv(
        io.BytesIO(text),
        dtype=dict.fromkeys((*TEXTS, "buyer_is_maker"), "object") | {"sequence": "Int64"},
        keep_default_na=False,
        na_values={name: [""] for name in ("sequence", "received_at", "buyer_is_maker", *TEXTS)},
    )
    assert frame["symbol"].tolist() == ["BRK.B"] * len(given_rows)
    for row, (_, read) in zip(given_rows, frame.iterrows(), strict=True):
        assert pd.Timestamp(read["timestamp"]).value == row["timestamp"]
        assert (float(read["price"]), float(read["volume"])) == (row["price"], row["volume"])
        assert (None if pd.isna(read["sequence"]) else read["sequence"]) == row["sequence"]
        assert FLAGS.get(read["buyer_is_maker"]) == row["buyer_is_maker"]
        for name in TEXTS:
            assert (None if pd.isna(read[name]) else read[name]) == escaped(row[name])


def test_times_are_written_in_utc_at_full_precision_and_whole_numbers_as_integers():
    text = encode_rows(TRADES, "AAPL", record_batch(trade(5, 100.0, 10, received_at=NOON)))
    assert text == b"2025-01-02T12:00:00.000000005Z,AAPL,100,10,,,,,2025-01-02T12:00:00.000000000Z,\n"


def test_lines_are_made_for_the_header_of_their_file_and_read_by_it():
    rows = record_batch(trade(5, buyer_is_maker=True), trade(6))
    first, both = header_of(TRADES), header_of(TRADES, ["buyer_is_maker"])
    other = (*first, "from_elsewhere", "buyer_is_maker")
    for header, ends, flags in (
        (first, [b",", b","], [None, None]),
        (both, [b",,true", b",,"], [True, None]),
        (other, [b",,,true", b",,,"], [True, None]),
    ):
        text = encode_rows(TRADES, "AAPL", rows, header)
        assert all(line.endswith(end) for line, end in zip(text.splitlines(), ends, strict=True))
        assert {line.count(b",") for line in text.splitlines()} == {len(header) - 1}
        read = decode_rows(TRADES, text, header)
        assert read.schema.equals(TRADES.schema)
        assert read.column("buyer_is_maker").to_pylist() == flags


@pytest.mark.skipif(
    shutil.which("awk") is None and not os.environ.get("REQUIRE_ALL"),
    reason="there is no awk on this machine",
)
def test_awk_adds_up_a_column(tmp_path):
    rng = np.random.default_rng(3)
    rows = [
        trade(n, 1 + n / 4, float(rng.integers(1, 100)), trade_id=str(n), exchange="N") for n in range(50)
    ]
    (tmp_path / "day.csv").write_bytes(HEADER_LINE + encode_rows(TRADES, "AAPL", record_batch(*rows)))
    program = 'NR > 1 && $2 == "AAPL" {rows++; volume += $4; last = $1} END {print rows, volume, last}'
    answer = subprocess.run(
        ["awk", "-F,", program, str(tmp_path / "day.csv")], capture_output=True, text=True, check=True
    ).stdout.split()
    assert answer[:2] == ["50", f"{sum(row['volume'] for row in rows):.0f}"]
    assert pd.Timestamp(answer[2]).value == rows[-1]["timestamp"]
    assert answer[2][:19] == format_timestamp(rows[-1]["timestamp"])[:19]
