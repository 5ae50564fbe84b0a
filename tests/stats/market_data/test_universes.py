"""Universes: changes with dates, sent as a batch, read as rows and, in process, as members at an instant."""

from typing import Any

import orjson
import pytest

from tests.api_client import Api, answer, problem
from trades.batches.sample_rows import SAMPLE_ROWS

pytestmark = pytest.mark.django_db
ROWS = SAMPLE_ROWS["universe_changes"]
PATH = "/api/v1/market-data/universes/SP500/changes"
UNIVERSE = "/api/v1/universes/SP500"


def send(api: Api, *rows: dict[str, Any]) -> Any:
    return api.call("POST", "/api/v1/universe-changes/ingest", orjson.dumps({"universe_changes": rows}))


def change(date: str, member: str, action: str) -> dict[str, Any]:
    return {"timestamp": date, "symbol": "SP500", "member": member, "action": action}


def test_changes_are_read_as_they_were_sent(api: Api):
    assert answer(send(api, *ROWS))["stored"] == 2
    response = api.get(PATH, {"start": "1990-01-01"})
    wanted = [{name: value for name, value in row.items() if name != "symbol"} for row in ROWS]
    assert answer(response)["changes"] == wanted
    assert response["X-Commit"].startswith("universe_changes=1-")
    assert answer(api.get("/api/v1/instruments"))["instruments"] == []
    assert problem(api.get(PATH.replace("SP500", "DJIA"), {"last": "1"})) == (404, "unknown_symbol")


@pytest.mark.parametrize(("sent", "member"), [("hb", "HB"), ("eth/usd", "ETH-USD"), ("BRK B", "BRK B")])
@pytest.mark.usefixtures("store_path")
def test_a_member_is_a_symbol_in_any_spelling(api: Api, sent: str, member: str):
    send(api, change("2024-01-02", sent, "add"))
    assert answer(api.get(UNIVERSE))["members"] == [member]
    send(api, change("2024-02-02", member, "remove"))
    assert answer(api.get(UNIVERSE))["members"] == []
    assert answer(send(api, change("2024-01-02", member, "add")))["duplicates"] == 1


@pytest.mark.parametrize("member", ["@BIG", "a,b", "..", "A" * 33])
def test_a_member_that_is_no_symbol_is_refused(api: Api, member: str):
    response = send(api, change("2024-01-02", "AAPL", "add"), change("2024-01-02", member, "add"))
    assert response.status_code == 422
    (error,) = answer(response)["errors"]
    assert error["path"].startswith("universe_changes[1]")
    assert error["code"] == "invalid_symbol"
