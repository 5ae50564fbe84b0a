"""Arrow streams: types are cast safely or refused, and nothing that a stream says of itself is trusted."""

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from store.datasets import DATASETS, TRADES
from store.timestamps import parse_timestamp
from tests.trades.formats.bodies import ARROW, stream_of
from trades.batches.row_batch import BatchOptions
from trades.exceptions import BatchRefused
from trades.formats import READERS
from trades.formats.arrow_values import nearest_floats, typed_values
from web.requests.exceptions import MalformedDocument, RequestError

NOON = parse_timestamp("2025-01-02T12:00:00Z")
INSTANT = dt.datetime(2025, 1, 2, 12, tzinfo=dt.UTC)


def table(**columns: Any) -> pa.Table:
    """Two valid trades; a column of `None` is left out."""
    found = {
        "timestamp": pa.array([INSTANT, INSTANT], pa.timestamp("us", "UTC")),
        "symbol": pa.array(["AAPL", "AAPL"]),
        "price": pa.array([1.5, 2.5]),
        "volume": pa.array([1.0, 2.0]),
    } | columns
    return pa.table({name: column for name, column in found.items() if column is not None})


def rows(sent: pa.Table, **options: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = READERS[ARROW](stream_of(sent, **options), BatchOptions()).rows.to_pydict()
    return found


def errors(sent: pa.Table) -> list[tuple[str, str]]:
    with pytest.raises(BatchRefused) as refused:
        rows(sent)
    return [(error.path, error.code) for error in refused.value.errors]


@pytest.mark.parametrize(
    "times",
    [
        *(pa.array([INSTANT] * 2, pa.timestamp(unit, zone)) for unit in ("s", "ms", "us", "ns") for zone in ("UTC", "America/New_York")),
        pa.array([INSTANT.replace(tzinfo=None)] * 2, pa.timestamp("ms")),
        pa.array([NOON] * 2, pa.int64()),
        pa.array([NOON] * 2, pa.uint64()),
        pa.array(["2025-01-02T12:00:00Z"] * 2),
        pa.array(["2025-01-02T07:00:00-05:00"] * 2, pa.large_string()),
        pa.array(["2025-01-02T12:00:00Z"] * 2).dictionary_encode(),
    ],
    ids=lambda times: str(times.type),
)  # fmt: skip
def test_times_of_any_unit_and_zone_are_instants(times):
    assert rows(table(timestamp=times))["timestamp"] == [NOON, NOON]


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()], ids=str)
def test_dates_are_their_midnight(kind):
    assert (
        rows(table(timestamp=pa.array([INSTANT.date()] * 2, kind)))["timestamp"]
        == [NOON - 43_200 * 10**9] * 2
    )


@pytest.mark.parametrize(
    "times",
    [
        pa.array([2**62, NOON], pa.timestamp("s")),
        pa.array([-(2**62), NOON], pa.timestamp("ms")),
        pa.array([2**63 - 1, NOON], pa.int64()),
        pa.array([2**64 - 1, NOON], pa.uint64()),
        pa.array([2**31 - 1, 0], pa.date32()),
    ],
    ids=lambda times: str(times.type),
)
def test_a_time_that_would_wrap_is_out_of_range(times):
    assert ("trades[0].timestamp", "timestamp_out_of_range") in errors(table(timestamp=times))


@pytest.mark.parametrize(
    "prices",
    [
        pa.array([1, 2], pa.int8()), pa.array([1, 2], pa.uint64()), pa.array([1, 2], pa.float32()),
        pa.array(np.array([1, 2], np.float16)), pa.array([Decimal(1), Decimal(2)], pa.decimal128(9, 4)),
        pa.array([1.0, 2.0]).dictionary_encode(),
    ],
    ids=lambda prices: str(prices.type),
)  # fmt: skip
def test_numbers_of_any_type_are_numbers(prices):
    assert rows(table(price=prices))["price"] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("prices", "code"),
    [
        (pa.array([2**53 + 1, 1], pa.int64()), "out_of_range"),
        (pa.array([2**64 - 1, 1], pa.uint64()), "out_of_range"),
        (pa.array([float("nan"), 1]), "out_of_range"),
        (pa.array([float("inf"), 1]), "out_of_range"),
        (pa.array([Decimal(10) ** 30, Decimal(1)], pa.decimal256(60, 4)), "out_of_range"),
        (pa.array([None, 1], pa.float64()), "null"),
        (pa.array([-0.0, 1]), "nonpositive_price"),
    ],
)
def test_a_number_that_is_none_is_named(prices, code):
    assert errors(table(price=prices)) == [("trades[0].price", code)]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("price", pa.array(["1", "2"])), ("price", pa.array([True, False])), ("price", pa.array([[1.0], [2.0]])),
        ("price", pa.array([b"1", b"2"])), ("price", pa.array(["1", "2"]).dictionary_encode()),
        ("price", pa.array([INSTANT] * 2)), ("timestamp", pa.array([1.5, 2.5])), ("timestamp", pa.array([1, 2], pa.int32())),
        ("timestamp", pa.array([dt.time(1)] * 2)), ("symbol", pa.array([1, 2])), ("symbol", pa.array([b"A", b"A"])),
        ("sequence", pa.array(["1", "2"])), ("exchange", pa.array([1, 2])), ("conditions", pa.array([[1], [2]])),
        ("trade_id", pa.array([1.0, 2.0])), ("conditions", pa.array([{"a": 1}] * 2)),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)  # fmt: skip
def test_a_column_of_another_type_is_refused_as_a_whole(name, column):
    assert errors(table(**{name: column})) == [(name, "invalid_type")]


def test_whole_floats_and_nulls_of_pandas_are_counts():
    frame = pd.DataFrame({"sequence": [1.0, float("nan")]})
    assert rows(table(sequence=pa.Table.from_pandas(frame)["sequence"].combine_chunks()))["sequence"] == [
        1,
        None,
    ]
    assert errors(table(sequence=pa.array([1.5, 2.0]))) == [("trades[0].sequence", "invalid_type")]


@pytest.mark.parametrize("scale", [0, 2, 4, 8])
@pytest.mark.parametrize("is_encoded", [False, True], ids=["plain", "dictionary"])
def test_decimals_are_the_nearest_numbers(scale: int, is_encoded: bool):
    some = random.Random(scale)
    texts = [f"{some.uniform(0.01, 90_000):.{scale}f}" for _ in range(2_000)]
    price = pa.array([Decimal(text) + 1 for text in texts], pa.decimal128(18, scale))
    sent = pa.table(
        {
            "timestamp": pa.array([NOON] * len(price)),
            "symbol": ["AAPL"] * len(price),
            "price": price.dictionary_encode() if is_encoded else price,
            "volume": [1.0] * len(price),
            "sequence": pa.array([Decimal(each) for each in range(len(price))], pa.decimal128(9, 2)),
        }
    )
    found = rows(sent)
    assert found["price"] == [float(Decimal(text) + 1) for text in texts]
    assert found["sequence"] == [*range(len(price))]


@pytest.mark.parametrize(
    ("text", "code"),
    [("1000000000000000.0001", "invalid_type"), ("9007199254740994", "out_of_range"), ("-1", "out_of_range")],
)
def test_decimals_that_are_no_counts_are_refused(text: str, code: str):
    sequence = pa.array([Decimal(text), Decimal(7)], pa.decimal128(24, 4))
    assert errors(table(sequence=sequence)) == [("trades[0].sequence", code)]


def test_a_buffer_of_views_may_be_longer_than_they_are():
    element = np.array([2, int.from_bytes(b"XN", "little"), 0, 0], np.int32)
    views = pa.py_buffer(np.tile(element, 2).tobytes() + bytes(8))
    exchange = pa.Array.from_buffers(pa.string_view(), 2, [None, views])
    assert typed_values(TRADES.column("exchange"), exchange).values.to_pylist() == ["XN", "XN"]


def test_ids_may_be_integers_and_conditions_joined_texts():
    found = rows(table(trade_id=pa.array([7, None], pa.uint8()), conditions=pa.array(["a;b", ""])))
    assert (found["trade_id"], found["conditions"]) == (["7", None], ["a;b", None])


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.string_view())],
    ids=str,
)
def test_conditions_may_be_lists_of_any_kind_of_text(kind):
    found = rows(table(conditions=pa.array([["a", "b"], []], kind)))
    assert found["conditions"] == ["a;b", None]


def test_lists_without_any_word_are_no_conditions():
    assert rows(table(conditions=pa.array([[], []])))["conditions"] == [None, None]


@pytest.mark.parametrize(
    "lists", [[[""], None], [["a;b"], ["c"]], [["a", None], []], [["w"] * 33, ["w"]]], ids=str
)
def test_lists_of_words_are_checked_word_by_word(lists):
    ((path, code),) = errors(table(conditions=pa.array(lists, pa.list_(pa.string()))))
    assert path == "trades[0].conditions"
    assert code in {"invalid_text", "invalid_type", "too_many"}


def test_a_stream_of_several_batches_is_one_batch():
    sent = pa.concat_tables([table(), table(price=pa.array([3.5, 4.5]))])
    assert rows(sent)["price"] == [1.5, 2.5, 3.5, 4.5]


def test_dictionaries_may_differ_from_batch_to_batch():
    encoded = [table(exchange=pa.array([word] * 2).dictionary_encode()) for word in ("XNAS", "XNYS")]
    body = stream_of(pa.concat_tables(encoded))
    assert READERS[ARROW](body, BatchOptions()).rows["exchange"].to_pylist() == ["XNAS"] * 2 + ["XNYS"] * 2


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize(
    "column", [None, pa.array(["XNAS"] * 2).dictionary_encode()], ids=["plain", "dictionary"]
)
def test_compressed_buffers_are_refused(codec, column):
    with pytest.raises(MalformedDocument, match="compressed"):
        rows(table(exchange=column), options=pa.ipc.IpcWriteOptions(compression=codec))


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xff\xff\xff", b"ARROW1\0\0", stream_of(table())[:-200], b'{"trades":[]}', b"\xff\xff\xff\xff\xff\xff\xff\x7f"],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_stream_is_malformed(body):
    with pytest.raises(MalformedDocument) as refused:
        READERS[ARROW](body, BatchOptions())
    assert refused.value.code == "malformed_arrow"


def test_a_column_twice_is_refused():
    twice = pa.Table.from_arrays([*table().columns, table()["price"]], names=[*table().column_names, "price"])
    with pytest.raises(MalformedDocument) as refused:
        rows(twice)
    assert refused.value.code == "duplicate_key"


def test_a_long_text_in_a_dictionary_does_not_become_many_long_texts():
    word = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["x" * 1_000_000]))
    many = table().take([0] * 100_000).append_column("exchange", word)
    assert len(errors(many)) == 100


def test_a_schema_of_very_many_columns_is_refused():
    many = pa.table({f"c{number}": pa.array([1]) for number in range(1_001)})
    with pytest.raises(MalformedDocument, match="1,000 columns"):
        rows(many)


def test_nulls_that_take_no_bytes_are_counted_before_they_are_looked_at():
    nulls = pa.Array.from_buffers(pa.null(), 2**40, [None])
    huge = pa.table({"timestamp": nulls})
    with pytest.raises(BatchRefused) as refused:
        rows(huge, options=pa.ipc.IpcWriteOptions(allow_64bit=True))
    assert refused.value.code == "too_many_rows"


@pytest.mark.parametrize("name", ["plain", "dictionary"])
def test_mutants_of_a_good_stream_are_read_or_refused(name):
    generator = random.Random(20250102)
    column = pa.array(["XNAS"] * 2).dictionary_encode() if name == "dictionary" else pa.array(["XNAS"] * 2)
    good = stream_of(table(exchange=column, conditions=pa.array([["a"], []])))
    read = 0
    for _ in range(400):
        body = bytearray(good)
        for _ in range(generator.randint(1, 3)):
            body[generator.randrange(len(body))] = generator.randrange(256)
        try:
            read += READERS[ARROW](bytes(body), BatchOptions()).rows.num_rows > 0
        except RequestError as error:
            assert len(str(error)) < 1_000  # noqa: PT017
    assert read


def test_the_date_of_open_interest_may_be_an_arrow_date():
    sent = pa.table(
        {
            "timestamp": pa.array([INSTANT]), "symbol": ["ESH25"], "date": pa.array([dt.date(2025, 1, 1)]),
            "open_interest": [7], "status": ["final"],
        }
    )  # fmt: skip
    batch = READERS[ARROW](stream_of(sent), BatchOptions(DATASETS["open_interest"]))
    assert batch.rows["date"].to_pylist() == [parse_timestamp("2025-01-01")]


@pytest.mark.parametrize("shared", ["dictionary", "string view", "list of string views"])
def test_a_text_that_stands_in_many_rows_counts_in_each(shared):
    rows, text = 20_000, ";".join(["w" * 60] * 30)
    if shared == "dictionary":
        words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array([text]))
    else:
        buffer = text.encode()
        element = np.array([len(buffer), int.from_bytes(buffer[:4], "little"), 0, 0], np.int32)
        views = [None, pa.py_buffer(np.tile(element, rows).tobytes()), pa.py_buffer(buffer)]
        words = pa.Array.from_buffers(pa.string_view(), rows, views)
        if shared == "list of string views":
            words = pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32)), words)
    table = pa.table(
        {
            "timestamp": pa.array(np.full(rows, 1_735_830_000 * 10**9)),
            "symbol": pa.array(["A"] * rows),
            "price": pa.array(np.ones(rows)),
            "volume": pa.array(np.ones(rows)),
            "conditions": words,
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(MalformedDocument, match="the texts of all rows") as refused:
        READERS[ARROW](sink.getvalue().to_pybytes(), BatchOptions())
    assert refused.value.code == "document_too_large"


def test_floats_of_32_and_16_bits_mean_their_shortest_decimal_text():
    price = pa.array([187.15, 65_603_040.0], pa.float32())
    volume = pa.array(np.array([0.1, 2050], np.float16))
    sent = rows(table(price=price, volume=volume))
    assert (sent["price"], sent["volume"]) == ([187.15, 65_603_040.0], [0.1, 2050.0])


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_any_float_with_a_fraction_is_read_as_python_writes_it(kind: type):
    bits = np.random.default_rng(3).integers(0, 2**32, 20_000, np.uint32)
    numbers = bits.view(np.float32) if kind is np.float32 else bits.astype(np.uint16).view(np.float16)
    numbers = numbers[np.isfinite(numbers)]
    numbers = numbers[numbers != np.floor(numbers)]
    assert nearest_floats(pa.array(numbers)).to_pylist() == [float(str(each)) for each in numbers]


def test_whole_numbers_of_32_bits_are_exact():
    numbers = np.array([37_438_248, 123_456_792, np.nan], np.float32)
    assert nearest_floats(pa.array(numbers, mask=np.isnan(numbers))).to_pylist() == [
        37438248.0,
        123456792.0,
        None,
    ]
