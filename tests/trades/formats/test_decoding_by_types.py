"""A body has the same batch or refusal whether it is decoded by the types of its columns or without types."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from store.datasets import DATASETS, TRADES
from store.declarations import Dataset
from tests.api_client import trade
from tests.chance import examples
from tests.trades.formats.bodies import MSGPACK, NDJSON, Row, valid_rows
from trades.batches.row_batch import BatchOptions
from trades.batches.validation import columns_of
from trades.formats import JSON, READERS
from web.requests.exceptions import RequestError

pytestmark = pytest.mark.system

datasets = pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
FULL = trade(
    trade_id="t-1",
    sequence=7,
    exchange="XNAS",
    conditions=["regular", "odd_lot"],
    received_at="2025-01-02T14:30:01Z",
    buyer_is_maker=True,
)
NUMBERS = [
    "0", "-0", "-0.0", "1", "-1", "1.0", "0.5", "1e5", "1E5", "1e+5", "1e-400", "1e400", "1E400", "-1e999", "1e999",
    "9007199254740992", "9007199254740993", "9007199254740992.0", "9007199254740993.0", "9007199254740994",
    "9.007199254740992e15", "9007199254740992.5", "9007199254740992.00000000000000000001",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775809",
    "1" + "0" * 30, "1" * 299, "1" * 300, "1" * 309, "1" * 310, "1" * 5000, "0." + "0" * 400 + "1", "5e-324", "2e-324",
    "1" * 400 + "e-399", "100" + "0" * 350 + "e-350", "1.7976931348623157e308", "1.7976931348623159e308",
    "01", "-01", "1.", ".5", "+1", "1e", "1e+", "0x10", "1_000", "NaN", "Infinity", "-Infinity", "--1", "1 1", "\uff11",
]  # fmt: skip
OTHER_VALUES = [
    "null", "true", "false", "{}", "[]", '""', '" "', '"A"', '"1"', '"1_000"', "[[]]", "[null]", "[1]", '[""]', '["a b"]',
    '["a;b"]', '["a"]', '["a","a"]', "[" + ",".join(['"w"'] * 32) + "]", "[" + ",".join(['"w"'] * 33) + "]", '":"', '" :"',
    '{"a":1}', '{"a":1,"a":2}', "True", "None", "undefined", "", ",", "[1,]", '["a",]', "[" * 990 + "]" * 990, '"\\ud800"',
    '"\\ud83d\\ude00"', '"\\u0041APL"', '"\\x41"', '"\\u00"', '"A\nB"', '"A\\nB"', '"\x7f"', '"\u2028"', '"\x00"', '"' + "A" * 64 + '"',
    '"' + "A" * 65 + '"', '"' + "A" * 32 + '"', '"' + "A" * 33 + '"', '"\\"', '"a', "'a'", '"},{"',
]  # fmt: skip
values = st.sampled_from(NUMBERS + OTHER_VALUES) | st.text(max_size=8).map(json.dumps)
spaces = st.sampled_from(["", "", " ", "\n\t", "\r", "\x0b", "\x00", "\u00a0", "/**/"])


def outcome(media_type: str, body: bytes, options: BatchOptions) -> Any:
    try:
        batch = READERS[media_type](body, options)
    except RequestError as refused:
        return refused.code, str(refused), refused.errors
    return batch.symbol, batch.rows.to_pylist()


def assert_one_outcome(media_type: str, body: bytes, dataset: Dataset = TRADES) -> None:
    for ignore_unknown in (False, True):
        options = BatchOptions(dataset, ignore_unknown)
        found = outcome(media_type, body, options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trades.formats.json_body._PIECE_BYTES", 1)
            assert outcome(media_type, body, options) == found, body
            for name in ("json_body._typed_piece", "json_body._typed_lines", "msgpack_body._typed_rows"):
                patch.setattr(f"trades.formats.{name}", lambda *_: None)
            assert outcome(media_type, body, options) == found, body


def written(row: Row, changes: dict[str, str]) -> str:
    pairs = {name: json.dumps(value) for name, value in row.items()} | changes
    return "{" + ",".join(f'"{name}":{value}' for name, value in pairs.items()) + "}"


@st.composite
def changed_rows(draw: Any, dataset: Dataset) -> list[str]:
    """Valid rows as JSON, in one of which mostly one thing is changed."""
    rows = draw(valid_rows(dataset))
    changed, space = draw(st.sampled_from(rows)), draw(spaces)
    names = [column.name for column in columns_of(dataset)]
    pairs = [(json.dumps(name), json.dumps(value)) for name, value in changed.items()]
    place = draw(st.integers(0, len(pairs) - 1))
    match draw(st.sampled_from(["value", "value", "extra", "double", "drop", "nothing"])):
        case "value":
            pairs[place] = (pairs[place][0], draw(values))
        case "extra":
            key = draw(st.sampled_from([*names, "prise", "", "symbol\0"]).map(json.dumps) | values)
            pairs.insert(place, (key, draw(values)))
        case "double":
            pairs.append(pairs[place])
        case "drop":
            del pairs[place]
    text = "{" + f"{space},{space}".join(f"{key}{space}:{space}{value}" for key, value in pairs) + "}"
    return [text if row is changed else json.dumps(row) for row in rows]


@datasets
@settings(max_examples=examples(500), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_changed_rows_of_every_dataset_have_one_outcome(dataset, data):
    lines = data.draw(changed_rows(dataset))
    end = data.draw(
        st.sampled_from(
            ["]}", "]}", "]}", "]", f'],"{dataset.name}":[]}}', '],"x":1}', f'],"x":[{lines[0]}]}}']
        )
    )
    text = f'{{"{dataset.name}":[{",".join(lines)}{end}'
    assert_one_outcome(JSON, text.encode("utf-8", "surrogatepass"), dataset)
    assert_one_outcome(NDJSON, "\n".join(lines).encode("utf-8", "surrogatepass"), dataset)


@settings(max_examples=examples(500), deadline=None)
@given(place=st.integers(0, 400), byte=st.integers(0, 255), width=st.integers(0, 2))
@example(place=0, byte=0xEF, width=0)
def test_a_damaged_body_has_one_outcome(place, byte, width):
    for media_type, body in (
        (JSON, json.dumps({"trades": [FULL]}).encode()),
        (NDJSON, json.dumps(FULL).encode()),
        (MSGPACK, msgspec.msgpack.encode({"trades": [FULL]})),
    ):
        assert_one_outcome(media_type, body[:place] + bytes([byte]) + body[place + width :])


@pytest.mark.parametrize("field", FULL)
@pytest.mark.soak
def test_each_value_in_each_column_has_one_outcome(field):
    for value in NUMBERS + OTHER_VALUES:
        line = written(FULL, {field: value})
        for rows in (line, f"{json.dumps(FULL)},{line}"):
            assert_one_outcome(JSON, f'{{"trades":[{rows}]}}'.encode("utf-8", "surrogatepass"))
