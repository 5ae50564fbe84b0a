"""A key that is repeated in one row is refused, in every dataset, whatever its values are and however they are written."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.datasets import DATASETS
from tests.chance import examples
from tests.trades.formats.bodies import MSGPACK, NDJSON, valid_rows, value_of
from trades.batches.row_batch import BatchOptions
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.formats import JSON, READERS
from web.requests.exceptions import MalformedDocument

Pairs = Sequence[tuple[str, Any]]
datasets = pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
often = settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
spaces = st.sampled_from(["", " ", "\t", "\r"])


def written(rows: Sequence[Pairs], space: str, *, escaped: bool) -> list[str]:
    """The rows as objects of JSON; escaped: each key as an escape."""

    def key(name: str) -> str:
        return f'"\\u{ord(name[0]):04x}{name[1:]}"' if escaped else f'"{name}"'

    return [
        "{" + ",".join(f"{key(name)}{space}:{space}{json.dumps(value)}" for name, value in row) + "}"
        for row in rows
    ]


def packed(name: str, rows: Sequence[Pairs]) -> bytes:
    """The document in MessagePack; a map may have a key twice."""
    encode = msgspec.msgpack.encode
    maps = [
        bytes([0x80 + len(row)]) + b"".join(encode(key) + encode(value) for key, value in row) for row in rows
    ]
    return b"\x81" + encode(name) + bytes([0x90 + len(rows)]) + b"".join(maps)


@datasets
@often
@given(data=st.data())
def test_a_repeated_key_is_refused_in_every_dataset(dataset, data):
    rows = [list(row.items()) for row in data.draw(valid_rows(dataset))]
    space, escaped = data.draw(spaces), data.draw(st.booleans())
    bodies = {}
    for repeated in (False, True):
        if repeated:
            row = data.draw(st.sampled_from(rows))
            name, value = data.draw(st.sampled_from(row))
            others = st.just("AAPL") if name == "symbol" else value_of(dataset.column(name))
            row.insert(data.draw(st.integers(0, len(row))), (name, data.draw(st.just(value) | others)))
        lines = written(rows, space, escaped=escaped)
        bodies[repeated] = {
            JSON: f'{{"{dataset.name}":[{",".join(lines)}]}}'.encode(),
            NDJSON: "\n".join(lines).encode(),
            MSGPACK: packed(dataset.name, rows),
        }
    for media_type, read in READERS.items():
        if media_type in bodies[True]:
            assert read(bodies[False][media_type], BatchOptions(dataset)).rows.num_rows == len(rows)
            with pytest.raises(MalformedDocument) as refused:
                read(bodies[True][media_type], BatchOptions(dataset))
            assert refused.value.code == "duplicate_key"


@pytest.mark.parametrize(
    "rows",
    [
        '{"member":5,"member":6,"action":"add"}',
        '{"member":5,"action":"add"},{"member":6,"action":"add","action":"remove"},{"member":7,"action":"add"}',
        '{"member" :5,"member":6,"action":"add"}',
    ],
)
def test_integers_and_spaces_hide_no_repeated_key(rows):
    first = SAMPLE_ROWS["universe_changes"][0]
    beginning = f'{{"timestamp":"{first["timestamp"]}","symbol":"{first["symbol"]}",'
    body = f'{{"universe_changes":[{rows.replace("{", beginning)}]}}'.encode()
    with pytest.raises(MalformedDocument) as refused:
        READERS[JSON](body, BatchOptions(DATASETS["universe_changes"]))
    assert refused.value.code == "duplicate_key"


@datasets
def test_usual_rows_are_read_once(dataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("trades.formats.json_body.read_json", None)
    body = json.dumps({dataset.name: SAMPLE_ROWS[dataset.name]}, indent=2).encode()
    assert READERS[JSON](body, BatchOptions(dataset)).rows.num_rows == len(SAMPLE_ROWS[dataset.name])
