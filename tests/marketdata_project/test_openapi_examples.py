"""The examples of the OpenAPI document are calls that are answered, on a store that has what they name."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.db import connection

from jobs.exports.query import DATASET_ID, DataSetDocument
from tests.api_client import INGEST, OF_SCHEMA, UNLIMITED, Api, body_of, streams_close, trade
from tests.hostile import callers, stock
from tests.hostile.operations import Call, Operation, example_calls, operations_of
from tests.openapi_snapshot import served
from tests.system.installation import key_row
from trades.batches.sample_rows import SEED_TRADES
from web.documents import example_of

pytestmark = OF_SCHEMA

# The key of the examples' paths.
KEY = 12
# Statuses in a process without an engine, and of a caller with as many keys as one may have.
STATUSES = {
    **stock.STATUSES,
    **dict.fromkeys(("order_batch_submit", "trade_preview", "trading_start"), 503),
    "key_create": 409,
    "dataset": 200,
    # What the examples delete is there.
    **dict.fromkeys((*stock.DELETED, "feed_stop"), 204),
}


class OwnDatabase:
    """Puts rows into the test's database, as `Installation` does into that of a server."""

    def insert(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        with connection.cursor() as cursor:
            for row in rows:
                names, places = ", ".join(f'"{name}"' for name in row), ", ".join(["%s"] * len(row))
                cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", list(row.values()))

    def new_keys(self, several: Iterable[dict[str, Any]]) -> list[str]:
        made = [key_row(**columns) for columns in several]
        self.insert("ratelimit_apikey", [row for _, row in made])
        return [key for key, _ in made]


@pytest.fixture
def stocked(api: Api, settings: Any, tmp_path: Path) -> Api:
    """A caller before a store that has the symbols, times, jobs and accounts of the examples."""
    settings.EXPORTS_DIR, database = tmp_path, OwnDatabase()
    (tmp_path / "datasets" / "an owner").mkdir(parents=True)
    (tmp_path / "datasets" / "an owner" / f"{DATASET_ID}.json").write_bytes(
        orjson.dumps(example_of(DataSetDocument))
    )
    callers.stock_database(database)
    terms = {"tier": "internal", "rate": UNLIMITED, "trading_rate": UNLIMITED, "accounts": '["*"]'}
    text, _ = database.new_keys([terms | {"id": callers.OWNER}, {"id": KEY}])
    rows = (SEED_TRADES, *([trade(symbol=symbol)] for symbol in ("DEMOA", "DEMOB")))
    sent = [*stock.requests(), *(("POST", INGEST, body_of(*each)) for each in rows)]
    for method, path, body in sent:
        response = api.call(method, path, body)
        assert response.status_code == 200, response.content
    return Api(text)


def refusals(api: Api, operations: Iterable[Operation]) -> list[str]:
    """The calls of the operations' examples that get another status than they should."""
    found = []
    for call in (call for operation in operations for call in example_calls(operation)):
        response = answered(api, call)
        if response.status_code != STATUSES.get(call.operation.name, 200):
            found.append(
                f"{call.operation.method} {call.target}: {response.status_code} {response.content!r:.300}"
            )
        streams_close()
    return found


def answered(api: Api, call: Call) -> Any:
    body = call.body or b""
    return api.call(call.operation.method, call.target, body, content_type=call.media_type)


def test_the_examples_of_each_read_are_a_call_that_is_answered(stocked: Api):
    reads = [each for each in operations_of(served("v1")) if each.method == "GET"]
    assert len(reads) > 100
    refused = refusals(stocked, reads)
    assert not refused, "\n".join(refused)


def test_the_examples_of_each_write_are_a_call_that_is_answered(stocked: Api):
    writes = [each for each in operations_of(served("v1")) if each.method != "GET"]
    # What is deleted is there for the others.
    writes.sort(key=lambda each: each.method == "DELETE")
    assert len(writes) > 50
    refused = refusals(stocked, writes)
    assert not refused, "\n".join(refused)
