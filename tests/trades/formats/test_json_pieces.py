"""A large JSON body is decoded in pieces, and gives the same batch or refusal as in one piece."""

import json
from typing import Any

import pytest

from tests.api_client import trade
from trades.batches.row_batch import BatchOptions, RowBatch
from trades.exceptions import BatchRefused
from trades.formats import JSON, READERS, json_body
from web.requests.exceptions import MalformedDocument

ROWS = [trade(price=1.0 + number) for number in range(400)]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_body, "_PIECE_BYTES", 1_000)


def in_one_piece(body: bytes, monkeypatch: pytest.MonkeyPatch, **options: Any) -> RowBatch:
    with monkeypatch.context() as patch:
        patch.setattr(json_body, "_PIECE_BYTES", len(body))
        return READERS[JSON](body, BatchOptions(**options))


def encoded(rows: list[dict[str, Any]], **others: Any) -> bytes:
    return json.dumps({"trades": rows, **others}).encode()


@pytest.mark.parametrize(
    "optional",
    [
        {},
        {100: {"trade_id": "a"}, 399: {"sequence": 7, "conditions": ["odd_lot"]}},
        {number: {"trade_id": f"}},{{{number}"} for number in range(400)},  # it looks as if a row ended here
    ],
    ids=["required", "some-optional", "row-ends-in-texts"],
)
def test_the_rows_are_those_of_one_piece(
    optional: dict[int, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = encoded([row | optional.get(number, {}) for number, row in enumerate(ROWS)])
    batch = READERS[JSON](body, BatchOptions())
    assert batch.rows.num_rows == 400
    assert batch == in_one_piece(body, monkeypatch)


def test_rows_of_another_list_are_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    body = encoded(ROWS[:200], others=ROWS[200:])
    batch = READERS[JSON](body, BatchOptions(ignore_unknown=True))
    assert batch.rows.num_rows == 200
    assert batch == in_one_piece(body, monkeypatch, ignore_unknown=True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (encoded(ROWS)[:-3] + b',"price":2}]}', "duplicate_key"),
        (encoded(ROWS[:200])[:-1] + b"," + encoded(ROWS[200:])[1:], "duplicate_key"),
        (encoded([*ROWS, trade(symbol="MSFT")]), "mixed_symbols"),
        (encoded(ROWS * 251), "too_many_rows"),
    ],
    ids=["key-in-a-row", "key-of-the-rows", "two-symbols", "too-many"],
)
def test_refusals_are_those_of_one_piece(body: bytes, code: str) -> None:
    with pytest.raises((BatchRefused, MalformedDocument)) as refused:
        READERS[JSON](body, BatchOptions())
    assert refused.value.code == code
